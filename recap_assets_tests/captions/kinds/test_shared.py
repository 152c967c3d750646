"""Texts that the images of a group share: in a ring, or by score; of any partition."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.captions.kinds.shared.sharing import shared_texts
from recap_assets.graph.node import Dependency
from recap_assets.graph.planner import plan
from recap_assets.specs.loading import ExperimentError
from recap_assets.world.scenes import world_of
from recap_assets.world.writing import pool_sample, pool_uid
from recap_assets_tests.tiny import EXPERIMENT, Bench, Memory, tiny_experiment

VIEWS = 4
POOL = {**EXPERIMENT["pool"], "samples": 30, "samples_per_shard": 10, "views": VIEWS}
COLUMNS = {"object": "json.group", "side": "json.width", "nothing": "json.none"}
SOURCES: Mapping[str, Any] = {
    "ours": {"kind": "shared", "source": "raw", "group": "object", "keep": 3},
    "too_large": {"kind": "shared", "source": "raw", "group": "side", "largest": 29},
    "alone": {"kind": "shared", "source": "raw", "group": "nothing"},
}


def experiment(**sources: Any) -> Any:
    return tiny_experiment(
        pool={**POOL, "columns": COLUMNS},
        sources={**SOURCES, **sources},
        mixes={"all": [{"use": "ours", "candidates": "all"}]},
        report={},
    )


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    made = Bench(tmp_path_factory.mktemp("shared"), experiment(), Memory())
    made.build("world", "pool", "captions")
    return made


def texts(bench: Bench, source: str) -> dict[bytes, list[str]]:
    found: defaultdict[bytes, list[str]] = defaultdict(list)
    rows = bench.project.workspace.tables.read(SYNTHETIC_CAPTIONS, source=source)
    for uid, text in rows.sort("uid", "candidate").select("uid", "text").iter_rows():
        found[uid].append(text)
    return found


def raw(bench: Bench) -> dict[bytes, str]:
    rows = bench.project.workspace.tables.read(RAW_POOL)
    return dict(rows.select("uid", "text").iter_rows())


def test_a_view_has_its_own_text_and_those_of_the_next_views(bench: Bench) -> None:
    own, found = raw(bench), texts(bench, "ours")
    assert found.keys() == own.keys()
    for number in range(30):
        group = number // VIEWS
        ring = sorted(pool_uid(3, n) for n in range(group * VIEWS, min(30, (group + 1) * VIEWS)))
        at = ring.index(uid := pool_uid(3, number))
        expected = dict.fromkeys(own[one] for one in (*ring[at:], *ring[:at]))
        assert found[uid] == list(expected)[:3]
    scenes = [pool_sample(world_of(3), n, VIEWS).scene.background for n in range(30)]
    assert [scenes[n] == scenes[n - n % VIEWS] for n in range(30)] == [True] * 30
    facts = bench.memory.facts("synthetic_captions/ours", _version(bench, "00001"))
    assert (facts["groups"], facts["images_in_groups"]) == (3, 12), "10 to 19 are of scenes 2 to 4"


def _version(bench: Bench, partition: str) -> str:
    return bench.memory.latest("synthetic_captions/ours")[partition].data_version


def test_too_large_a_group_and_none_leave_an_image_its_own_text(bench: Bench) -> None:
    own = {uid: [text] for uid, text in raw(bench).items()}
    assert texts(bench, "too_large") == own
    assert texts(bench, "alone") == own


def test_what_it_reads_is_of_every_partition(bench: Bench) -> None:
    node = bench.graph.nodes["synthetic_captions/ours"]
    texts = Dependency("raw_pool", "all", ("texts",))
    every = {texts, Dependency("pool_columns/object", "all")}
    assert set(node.dependencies) == every
    again = Bench(bench.project.workspace.data, experiment(), bench.memory)
    captions = [one for one in plan(again.graph, bench.memory).ready if "captions" in one.asset]
    assert not captions


def by_the_words(
    uids: list[bytes], rows: list[tuple[bytes, str, int, str, float | None]], keep: int
) -> list[list[str]]:
    """What the documentation says of `scorer`, in plain loops."""
    group_of = {uid: group for uid, group, *_ in rows}
    found = []
    for uid in uids:
        of_group = [row for row in rows if row[1] == group_of.get(uid)]
        best = sorted(of_group, key=lambda r: (r[4] is None, -(r[4] or 0), r[0], r[2]))
        found.append(list(dict.fromkeys(text for *_, text, _score in best))[:keep])
    return found


def test_by_score_a_group_has_its_best_texts_for_all_its_images() -> None:
    rng = np.random.default_rng(0)
    rows: list[tuple[bytes, str, int, str, float | None]] = []
    for number in range(600):
        uid, group = number.to_bytes(16), f"g{rng.integers(150)}"
        for candidate in range(rng.integers(3)):
            score = None if rng.random() < 0.2 else float(np.float32(rng.integers(5) / 4))
            rows.append((uid, group, candidate, f"text {rng.integers(40)}", score))
    members = {uid: group for uid, group, *_ in rows}
    frame = pl.DataFrame({"uid": [*members], "group": [*members.values()]})
    shape = {"uid": pl.Binary, "group": pl.String, "candidate": pl.Int16, "text": pl.String}
    given = pl.DataFrame(rows, {**shape, "score": pl.Float32}, orient="row").drop("group")
    uids = [number.to_bytes(16) for number in range(600)]
    found = shared_texts(
        uids, frame.sample(fraction=1, shuffle=True, seed=1), given.reverse(), 3, by_score=True
    )
    assert found == by_the_words(uids, rows, 3)


def test_by_score_an_experiment_orders_them_by_the_images_own_scores(tmp_path: Path) -> None:
    best = {"kind": "shared", "source": "raw", "group": "object", "scorer": "clip", "keep": 1}
    bench = Bench(tmp_path, experiment(best=best))
    node = bench.graph.nodes["synthetic_captions/best"]
    assert {one.asset for one in node.dependencies} == {
        "raw_pool", "pool_columns/object", "clip_scores/clip/raw"
    }  # fmt: skip
    assert node.stage == "scores"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"source": "none", "group": "object"}, "sources.bad.source: there is no 'none'"),
        ({"source": "raw", "group": "raw"}, "sources.bad.group: there is no 'raw'"),
        ({"source": "raw", "group": "object", "scorer": "x"}, "sources.bad.scorer: there is no"),
        ({"source": "bad", "group": "object"}, "circle"),
    ],
)
def test_what_it_names_must_be_there(fields: Mapping[str, str], told: str) -> None:
    with pytest.raises(ExperimentError, match=told):
        experiment(bad={"kind": "shared", **fields})
