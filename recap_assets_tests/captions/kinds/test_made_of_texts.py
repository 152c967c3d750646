"""Sources made of other texts: templates, parts, and the columns of the pool that they name."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.pool import POOL_COLUMNS, RAW_POOL
from recap_assets.graph.planner import plan
from recap_assets.specs.loading import ExperimentError
from recap_assets.world.scenes import FINE, world_of
from recap_assets.world.writing import pool_sample
from recap_assets_tests.pool.test_bad_input import jpeg
from recap_assets_tests.tiny import EXPERIMENT, Bench, Memory, tiny_experiment

COLUMNS = {"label": "json.fine", "side": "json.original_width", "nothing": "json.kind.of"}
SOURCES = {
    "titled": {"kind": "template", "template": "{{{raw}}} is a {label} of {side}"},
    "words": {"kind": "split", "source": "raw", "at": "comma", "keep": 2},
    "of_titled": {"kind": "template", "template": "It says: {titled}"},
    "never": {"kind": "template", "template": "{label} {nothing}"},
}


def experiment(columns: dict[str, str], sources: dict[str, Any]) -> Any:
    return tiny_experiment(
        pool={**EXPERIMENT["pool"], "columns": columns},
        sources=sources,
        mixes={"raw": EXPERIMENT["mixes"]["raw"]},
        report={},
    )


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    made = Bench(tmp_path_factory.mktemp("data"), experiment(COLUMNS, SOURCES), Memory())
    made.build("world", "pool", "captions")
    return made


def captions(bench: Bench, source: str) -> pl.DataFrame:
    return bench.project.workspace.tables.read(SYNTHETIC_CAPTIONS, source=source)


def test_a_template_has_the_scenes_own_words(bench: Bench) -> None:
    world = world_of(3)
    samples = [pool_sample(world, number) for number in range(60)]
    expected = {
        sample.uid: f"{{{sample.text.strip()}}} is a {FINE[sample.scene.things[0].fine].name} of "
        f"{sample.original_side}"
        for sample in samples
    }
    found = captions(bench, "titled")
    assert dict(found.select("uid", "text").iter_rows()) == expected
    assert found["status"].unique().to_list() == ["ok"]
    again = captions(bench, "of_titled").select("uid", "text").iter_rows()
    assert dict(again) == {uid: f"It says: {text}" for uid, text in expected.items()}


def test_an_image_that_lacks_a_text_is_set_aside_with_its_name(bench: Bench) -> None:
    found = captions(bench, "never")
    assert found.height == 60
    assert set(found.select("status", "reject_reason", "text").iter_rows()) == {
        ("empty", "without_nothing", None)
    }
    version = bench.memory.latest("synthetic_captions/never")["00000"]
    assert dict(version.rejected) == {"without_nothing": 20}


def test_parts_are_candidates_and_what_is_beyond_is_counted(bench: Bench) -> None:
    raw = bench.project.workspace.tables.read(RAW_POOL).select("uid", "text")
    found = captions(bench, "words").sort("uid", "candidate")
    for uid, text in raw.iter_rows():
        parts = [part.strip() for part in text.split(",")]
        of_image = found.filter(pl.col("uid") == pl.lit(uid))
        assert of_image["text"].to_list() == list(dict.fromkeys(parts))[:2]
        assert of_image["candidate"].to_list() == list(range(of_image.height))
    assert found["candidate"].max() == 1


def test_a_column_without_any_text_is_said(bench: Bench) -> None:
    for name, passed in (("label", True), ("nothing", False)):
        (check,) = bench.graph.nodes[POOL_COLUMNS.key(name)].checks
        assert check.evaluate(["00000"]).passed is passed
        assert not check.blocking


def stale(bench: Bench, changed: Any) -> set[str]:
    again = Bench(bench.project.workspace.data, changed, bench.memory)
    ready = [one for one in plan(again.graph, again.memory).ready if one.state != "leaving"]
    families = ("pool_columns/", "synthetic_captions/", "raw_pool", "embedded_world/pool")
    return {one.asset for one in ready if one.asset.startswith(families)}


def test_the_place_of_a_column_rebuilds_it_and_a_template_what_reads_that(bench: Bench) -> None:
    elsewhere = experiment({**COLUMNS, "label": "json.kind"}, SOURCES)
    assert stale(bench, elsewhere) == {"pool_columns/label"}
    more = experiment({**COLUMNS, "new": "json.key"}, SOURCES)
    assert stale(bench, more) == {"pool_columns/new"}
    other = {**SOURCES, "titled": {"kind": "template", "template": "{raw}!"}}
    assert stale(bench, experiment(COLUMNS, other)) == {"synthetic_captions/titled"}
    assert stale(bench, experiment(COLUMNS, SOURCES)) == set()


@pytest.mark.parametrize(
    ("columns", "sources", "told"),
    [
        ({}, SOURCES, "sources.titled.template: there is no 'label'; known are never, of_titled"),
        ({"raw": "json.a"}, {}, "pool.columns.raw: a source has this name"),
        ({"x": "json"}, {}, "columns.x: 'json' is no place in this pool; write json.NAME or"),
        ({"x": "table.a"}, {}, "columns.x: 'table.a' is no place in this pool"),
        ({"x": "metadata.a"}, {}, "columns.x: `metadata`, which would hold it, is not set"),
        ({}, {"a": {"kind": "template", "template": "{raw"}}, "a single { in '{raw'"),
        ({}, {"a": {"kind": "template", "template": "cat"}}, "'cat' is the same for every image"),
        ({}, {"a": {"kind": "template", "template": "{a}"}}, "made of each other in a circle"),
        (
            {},
            {
                "a": {"kind": "template", "template": "{b}"},
                "b": {"kind": "split", "source": "a"},
            },
            "sources.a.template: the sources are made of each other in a circle",
        ),
        ({}, {"a": {"kind": "split", "source": "b"}}, "sources.a.source: there is no 'b'"),
    ],
)
def test_names_are_checked_when_the_file_is_read(
    columns: dict[str, str], sources: dict[str, Any], told: str
) -> None:
    with pytest.raises(ExperimentError) as caught:
        experiment(columns, sources)
    assert told in str(caught.value)


def test_columns_of_a_folder_and_of_metadata(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    rows = []
    for number in range(4):
        (tmp_path / "images" / f"{number}.jpg").write_bytes(jpeg(number))
        rows.append({"image": f"{number}.jpg", "text": "t", "tags": ["a", number], "n": number})
    rows[3]["tags"] = {"a": 1}
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pool = {
        "kind": "folder", "images": str(tmp_path / "images"), "samples_per_shard": 3,
        "texts": str(tmp_path / "texts.jsonl"), "columns": {"tags": "table.tags", "n": "table.n"},
    }  # fmt: skip
    sources = {"both": {"kind": "template", "template": "{tags}/{n}"}}
    changes = {"sources": sources, "mixes": {"raw": EXPERIMENT["mixes"]["raw"]}, "report": {}}
    bench = Bench(tmp_path / "data", tiny_experiment(pool=pool, **changes), Memory())
    bench.build("pool", "captions")
    found = captions(bench, "both").sort("shard", "text")
    assert found["text"].drop_nulls().sort().to_list() == ["a, 0/0", "a, 1/1", "a, 2/2"]
    assert found["reject_reason"].drop_nulls().to_list() == ["without_tags"]
    rows[1]["tags"] = "new"
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    bench.project.scan()
    computed = bench.build("pool", "captions")
    assert ("pool_columns/n", "00000") in computed
    assert [one for one in computed if one[0] == "raw_pool"] == []
    assert [one for one in computed if one[0].startswith("synth")] == [
        ("synthetic_captions/both", "00000")
    ]
