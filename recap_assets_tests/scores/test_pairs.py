"""A scorer without embeddings, from its kind's entry point to mixes and exports."""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import nullcontext
from typing import Any

import numpy as np
import polars as pl
import pytest

from recap_assets.artefacts.captions import texts_of
from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.scores import CLIP_SCORES, SCORE_HISTOGRAMS
from recap_assets.engines.protocols import Usage
from recap_assets.graph import shardwise
from recap_assets.graph.building import compute_and_write
from recap_assets.graph.node import Step
from recap_assets.scores import pairs
from recap_assets.scores.assets import score_partition
from recap_assets.scores.node import ScoreError
from recap_assets.shards.reading import iterate_images
from recap_assets.specs.loading import ExperimentError
from recap_assets_tests.registering import registered
from recap_assets_tests.scores.matching import Matching, MatchingScorer, score_of
from recap_assets_tests.tiny import EXPERIMENT, Bench, tiny_experiment

CLIP = EXPERIMENT["scorers"]["clip"]
JUDGED = {
    "scorers": {"judge": {"kind": "matching", "salt": "a"}},
    "sources": {
        **EXPERIMENT["sources"],
        "best": {"kind": "reranked", "source": "a", "scorer": "judge", "keep": 1},
    },
    "mixes": {
        "raw_top30": [{"use": "raw", "where": {"top": 0.3}}],
        "best_of": [{"use": {"best_of": ["raw", "a"]}}],
    },
    "exports": {"tars": {"to": "webdataset", "mix": "best_of"}},
    "sets": {"laion": {"kind": "laion2b", "scorer": "judge", "threshold": 0.0, "language": None}},
    "report": {},
}


@pytest.fixture(autouse=True, scope="module")
def matching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    point = "matching = recap_assets_tests.scores.matching:MatchingScorer"
    with registered(tmp_path_factory.mktemp("site"), "scores", point):
        yield


@pytest.fixture(scope="module")
def bench(matching: None, tmp_path_factory: pytest.TempPathFactory) -> Bench:  # noqa: ARG001
    made = Bench(tmp_path_factory.mktemp("judged"), tiny_experiment(**JUDGED))
    made.build("world", "pool", "models", "captions", "scores", "mixes", "exports")
    return made


def expected(bench: Bench, source: str, salt: bytes = b"a") -> dict[tuple[bytes, int], float]:
    """Score by uid and candidate, computed one pair at a time."""
    project, found = bench.project, {}
    for partition in project.partitions:
        texts = texts_of(project.workspace.tables, source, partition)
        rows = project.usable_images(partition)
        for batch, images in iterate_images(rows, project.shards, project.pool, batch_size=64):
            by_uid = {u: i for u, i in zip(batch["uid"], images, strict=True) if i is not None}
            for _, uid, candidate, text in texts.filter(
                pl.col("uid").is_in(batch["uid"].implode()) & pl.col("text").is_not_null()
            ).iter_rows():
                found[uid, candidate] = score_of(salt, by_uid[uid], text)
    return found


@pytest.mark.parametrize("source", ["raw", "a"])
def test_every_text_is_scored_beside_its_own_image(bench: Bench, source: str) -> None:
    rows = bench.project.workspace.tables.read(CLIP_SCORES, scorer="judge", source=source)
    found = {(uid, n): s for uid, n, s in rows.select("uid", "candidate", "score").iter_rows()}
    told = expected(bench, source)
    assert len(found) == rows.height >= 40
    for pair, score in told.items():
        assert found[pair] == (None if np.isnan(score) else pytest.approx(score, abs=1e-6))
    assert all(found[pair] is None for pair in found.keys() - told.keys())


def test_what_it_declines_is_counted_by_reason(bench: Bench) -> None:
    declined = sum(np.isnan(score) for score in expected(bench, "raw").values())
    counted = [
        score_partition(bench.project, "judge", "raw", Step(partition)).rejected
        for partition in bench.project.partitions
    ]
    assert declined > 0
    assert sum(one.get("not_scored", 0) for one in counted) == declined
    assert not any("image_unreadable" in one for one in counted)


def test_an_image_that_cannot_be_read_any_more_is_set_aside(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_the_first(*given: Any, **named: Any) -> Iterator[Any]:
        for batch, images in iterate_images(*given, **named):
            yield batch, [None, *images[1:]]

    partition = next(iter(bench.project.partitions))
    before = score_partition(bench.project, "judge", "a", Step(partition)).frame
    monkeypatch.setattr(shardwise, "iterate_images", without_the_first)
    found = score_partition(bench.project, "judge", "a", Step(partition))
    lost = found.rejected["image_unreadable"]
    assert 0 < lost < before.height
    assert found.frame.select("uid", "candidate").equals(before.select("uid", "candidate"))
    kept = found.frame.drop_nulls("score")
    assert kept.height == before["score"].drop_nulls().len() - lost
    assert kept.join(before, on=["uid", "candidate", "score"], how="anti").is_empty()


def test_it_has_scores_and_no_embeddings(bench: Bench) -> None:
    keys = set(bench.graph.nodes)
    assert {"clip_scores/judge/raw", "clip_scores/judge/a"} <= keys
    assert not [key for key in keys if key.startswith("image_embeddings")]
    node = bench.graph.nodes["clip_scores/judge/a"]
    assert {one.asset for one in node.dependencies} == {"raw_pool", "synthetic_captions/a"}
    assert node.pool == "cpu"
    assert [check.name for check in node.checks] == ["scores_are_in_range"]


def test_a_mix_takes_what_scored_best(bench: Bench) -> None:
    tables = bench.project.workspace.tables
    scores = tables.read(CLIP_SCORES, scorer="judge", source="raw").drop_nulls("score")
    top = tables.read(CURATED_MIXES, mix="raw_top30")
    worst = scores.filter(pl.col("uid").is_in(top["uid"].implode()))["score"].min()
    left = scores.filter(~pl.col("uid").is_in(top["uid"].implode()))["score"].max()
    assert 0 < top.height < scores.height
    assert worst >= left  # type: ignore[operator]
    chosen = tables.read(CURATED_MIXES, mix="best_of")
    both = {s: expected(bench, s) for s in ("raw", "a")}
    for uid, source in chosen.select("uid", "source").iter_rows():
        best = {s: np.nan_to_num(told.get((uid, 0), np.nan), nan=-2) for s, told in both.items()}
        assert best[source] == max(best.values())


def test_histograms_and_exports_are_there(bench: Bench) -> None:
    tables = bench.project.workspace.tables
    histogram = tables.read(SCORE_HISTOGRAMS, scorer="judge", source="raw")
    scored = tables.read(CLIP_SCORES, scorer="judge", source="raw")["score"].drop_nulls().len()
    assert histogram["n"].sum() == scored
    assert "synthetic_captions/best" in bench.memory.records
    assert bench.memory.records["exports/tars"]
    told = next(iter(bench.memory.records["clip_scores/judge/raw"].values()))
    assert told.data_version


def test_what_decides_is_its_fields_and_its_distribution(bench: Bench) -> None:
    def version(**fields: Any) -> str:
        changed = {**JUDGED, "scorers": {"judge": {"kind": "matching", "salt": "a", **fields}}}
        graph = Bench(bench.project.workspace.root, tiny_experiment(**changed)).graph
        return graph.nodes["clip_scores/judge/raw"].code_version

    first = version()
    assert version(batch_size=3) == first
    assert version(salt="b") != first
    assert "recap-others" in bench.graph.nodes["clip_scores/judge/raw"].decides


def test_a_partition_is_the_same_in_other_batches(bench: Bench) -> None:
    changed = {**JUDGED, "scorers": {"judge": {"kind": "matching", "salt": "a", "batch_size": 3}}}
    other = Bench(bench.project.workspace.root.parent, tiny_experiment(**changed))
    for partition in other.project.partitions:
        one = score_partition(bench.project, "judge", "a", Step(partition)).frame
        two = score_partition(other.project, "judge", "a", Step(partition)).frame
        assert one.equals(two)


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([7.5], r"the scorer matching of recap-others 1\.0 gave 7\.5 for a pair.*in \[-1, 1\]"),
        ([0.5, 0.5, 0.5], r"gave scores of shape \(3,\) for \d+ pairs"),
        ([float("inf")], r"gave inf for a pair"),
    ],
)
def test_what_is_no_score_stops_the_build(
    bench: Bench, scores: list[float], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong:
        def score(self, images: list[Any], _texts: list[str]) -> np.ndarray:
            return np.resize(scores, len(images) if len(scores) == 1 else len(scores))

    monkeypatch.setattr(pairs, "pair_scorer_of", lambda *_: nullcontext(Wrong()))
    node = bench.graph.nodes["clip_scores/judge/raw"]
    with pytest.raises(ScoreError, match=words):
        compute_and_write(node, Step(next(iter(bench.project.partitions))))


class Remote(Matching):
    """A server, that notes what it is asked and when an answer is waited for."""

    usage = Usage()

    def __init__(self, log: list[str]) -> None:
        super().__init__("a")
        self.log, self.unscored = log, {"declined": 2}

    def submit(self, images: list[Any], texts: list[str]) -> Future[Any]:
        self.log.append("asked")
        log, scores = self.log, self.score(images, texts)

        class Waited(Future[Any]):
            def result(self, timeout: float | None = None) -> Any:  # noqa: ARG002
                log.append("waited")
                return scores

        return Waited()

    def close(self) -> None:
        self.log.append("closed")


def test_a_server_is_asked_ahead_and_closed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    changed = {**JUDGED, "scorers": {"judge": {"kind": "matching", "salt": "a", "batch_size": 2}}}
    other = Bench(bench.project.workspace.root.parent, tiny_experiment(**changed))
    monkeypatch.setattr(MatchingScorer, "waits_for_a_server", True)
    monkeypatch.setattr(MatchingScorer, "open", lambda *_: Remote(log))
    partition = next(iter(other.project.partitions))
    found = score_partition(other.project, "judge", "a", Step(partition))
    assert log[:5] == ["asked", "asked", "asked", "waited", "asked"]
    assert log.count("asked") == log.count("waited") > 6
    assert log[-1] == "closed"
    assert log.count("closed") == 1
    assert found.rejected["declined"] == 2
    monkeypatch.undo()
    before = score_partition(bench.project, "judge", "a", Step(partition))
    assert found.frame.equals(before.frame)


NEAR = {"kind": "image_based", "scorer": "judge", "clusters": 5, "target": {"task": "coarse"}}
HEAD = {"kind": "embedding_head", "scorer": "judge", "weights": "head.safetensors"}
EVALUATION = EXPERIMENT["evaluation"]


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"sets": {"near": NEAR}}, r"sets\.near\.scorer"),
        (
            {"sets": {"like": {"kind": "unique", "by": "embedding", "scorer": "judge"}}},
            r"sets\.like\.scorer",
        ),
        ({"image_scorers": {"aesthetic": HEAD}}, r"image_scorers\.aesthetic\.scorer"),
        (
            {"evaluation": {**EVALUATION, "captions": {"sets": ["retrieval"]}}},
            r"evaluation\.captions\.scorer",
        ),
    ],
)
def test_what_needs_embeddings_refuses_it_by_name(changes: dict[str, Any], where: str) -> None:
    both = {"scorers": {"judge": JUDGED["scorers"]["judge"], "clip": CLIP}}
    mixes = {"mixes": {"raw": {"scorer": "judge", "rules": [{"use": "raw"}]}}, "report": {}}
    words = (
        rf"{where}: scorers\.judge is of the kind matching, which has no embeddings; "
        r"of those that have are clip"
    )
    with pytest.raises(ExperimentError, match=words):
        tiny_experiment(**both, **mixes, **changes)
