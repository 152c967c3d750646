"""Whatever asks a chat server for each row, in a provider's batches: as if it had asked singly."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.captions.servers.batches import asking
from recap_assets.engines.errors import CaptionServerError
from recap_assets.graph.building import Built, build_partition
from recap_assets.specs.loading import ExperimentError
from recap_assets_tests.batch_server import BatchServer, batch_servers
from recap_assets_tests.chat_server import MODEL, Answer, Asked, refused, said
from recap_assets_tests.pool.test_bad_input import jpeg, uid, write_shard
from recap_assets_tests.tiny import EXPERIMENT, Bench, Memory, tiny_experiment
from recap_assets_tests.waiting import SECONDS

REPOSITORY = Path(__file__).parents[2]
N_SHARDS, N_IMAGES = 3, 4
BOXES = [[0, 0, 0.5, 0.5], [0.25, 0.25, 1, 1]]
PRICES: dict[str, Any] = {
    "price_per_million_prompt_tokens": 2.0,
    "price_per_million_completion_tokens": 10.0,
}

WAYS = {
    "captioner": "synthetic_captions/vlm",
    "regions": "synthetic_captions/things",
    "rewriter": "synthetic_captions/fused",
    "judge": "clip_scores/judge/raw",
}
"""What is asked for each row, by its asset."""

PER_IMAGE = {"captioner": 2, "regions": 2 * len(BOXES), "rewriter": 2, "judge": 1}
"""Requests for an image."""

Start = Callable[..., BatchServer]


def answered(asked: Asked) -> Answer:
    """What the request decides, seed and all, and nothing else."""
    body = json.dumps(asked.body, sort_keys=True)
    digest = hashlib.sha256(body.encode()).hexdigest()
    if "Mark how it fits" in body:
        return Answer(said(json.dumps({"fit": 1 + int(digest[:4], 16) % 5})))
    return Answer(said(f"a photo of the thing {digest[:12]}"))


@pytest.fixture
def start() -> Iterator[Start]:
    with batch_servers() as start:
        yield lambda answer=answered: start(answer)


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "FIRST_POLL", 0.01)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("announced") / "pool"
    for number in range(N_SHARDS):
        numbers = range(10 * number, 10 * number + N_IMAGES)
        samples = [(uid(n), jpeg(n), f"boat {n}") for n in numbers]
        write_shard(folder, number, samples, boxes=BOXES)
    return folder


def bench_of(
    folder: Path, pool: Path, url: str, memory: Memory | None = None, **keys: Any
) -> Bench:
    by = {"kind": "openai", "model": MODEL, "base_url": url, "max_attempts": 1, **keys}
    sources = {
        "vlm": {**by, "candidates": 2},
        "things": {"kind": "regions", "boxes": "boxes", "by": {**by, "candidates": 2}},
        "fused": {"kind": "rewrite", "prompt": "Say it: {raw}", "by": by, "candidates": 2},
    }
    experiment = tiny_experiment(
        pool={
            "kind": "webdataset", "shards": str(pool), "shards_per_partition": N_SHARDS,
            "columns": {"boxes": "json.boxes"},
        },
        sources=sources,
        scorers={**EXPERIMENT["scorers"], "judge": {**by, "axes": {"fit": "how well it fits"}}},
        mixes={"raw": {"scorer": "clip", "rules": [{"use": "raw"}]}},
        report={},
    )  # fmt: skip
    bench = Bench(folder, experiment, memory)
    bench.build("pool")
    return bench


def built(bench: Bench, way: str) -> Built:
    """The partition of what asks, and no other asset."""
    node = bench.graph.nodes[WAYS[way]]
    found = build_partition(bench.graph, bench.memory, node, "00000")
    bench.memory.keep(node, "00000", found)
    return found


def rows_of(bench: Bench, way: str) -> pl.DataFrame:
    """Its rows, without what only the clock decides."""
    tables = bench.project.workspace.tables
    if way == "judge":
        return tables.read(CLIP_SCORES, scorer="judge", source="raw")
    name = WAYS[way].rpartition("/")[2]
    return tables.read(SYNTHETIC_CAPTIONS, source=name).drop("seconds")


@pytest.mark.parametrize("way", WAYS)
def test_batches_give_what_single_requests_give_at_their_share_of_the_price(
    way: str, tmp_path: Path, pool: Path, start: Start
) -> None:
    provider, server = start(), start()
    batched = bench_of(tmp_path / "a", pool, provider.base_url, batch=True, **PRICES)
    facts = built(batched, way).outcome.facts
    singly = bench_of(tmp_path / "b", pool, server.base_url, **PRICES)
    cost = built(singly, way).outcome.facts["cost"]
    assert rows_of(batched, way).equals(rows_of(singly, way))
    assert rows_of(batched, way).height == PER_IMAGE[way] * N_SHARDS * N_IMAGES
    assert not provider.asked
    assert not server.batches
    # All shards of the partition are in one batch.
    assert len(provider.batches) == 1
    n = PER_IMAGE[way] * N_SHARDS * N_IMAGES
    assert (facts["requests"], facts["retries"], facts["cache_hits"]) == (n, 0, 0)
    assert (len(server.asked), set(provider.paid.values())) == (n, {1})
    assert facts["cost"] == pytest.approx(float(cost) / 2)
    # The batch decides nothing: asked singly from now on, nothing is out of date or asked again.
    moved = bench_of(tmp_path / "a", pool, server.base_url, batched.memory)
    assert moved.build("captions" if way != "judge" else "scores").count((WAYS[way], "00000")) == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_build_whose_batch_is_not_done_collects_it_and_sets_aside_what_was_refused(
    way: str, tmp_path: Path, pool: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = start(
        lambda asked: refused("cannot identify", 400) if asked.number == 1 else answered(asked)
    )
    provider.looks = 10**9
    bench = bench_of(tmp_path, pool, provider.base_url, batch=True)
    with monkeypatch.context() as patience:
        patience.setattr(asking, "LONGEST_WAIT", 0.1)
        with pytest.raises(CaptionServerError, match="build again to wait on"):
            built(bench, way)
    assert rows_of(bench, way).is_empty()
    provider.looks = 1
    outcome = built(bench, way).outcome
    assert len(provider.batches) == 1
    assert set(provider.paid.values()) == {1}
    assert outcome.rejected == {"request_refused": 1}
    rows = rows_of(bench, way)
    lost = rows.filter(pl.col("score" if way == "judge" else "text").is_null())
    assert lost.height == 1


@pytest.mark.parametrize("way", WAYS)
def test_what_a_batch_leaves_is_asked_in_another_and_a_stubborn_one_is_set_aside(
    way: str, tmp_path: Path, pool: Path, start: Start
) -> None:
    stubborn: list[str] = []

    def answer(asked: Asked) -> Answer:
        body = json.dumps(asked.body, sort_keys=True)
        stubborn[:] = stubborn or [body]
        return refused("boom", 500) if body == stubborn[0] else answered(asked)

    provider = start(answer)
    bench = bench_of(tmp_path, pool, provider.base_url, batch=True)
    outcome = built(bench, way).outcome
    assert outcome.rejected == {"server_failed": 1}
    assert outcome.facts["retries"] == len(provider.batches) - 1 == 3
    assert sorted(set(provider.paid.values())) == [1, 4]


KILLED = """
import sys
from pathlib import Path
from recap_assets.captions.servers.batches import asking
from recap_assets_tests.captions.test_announced import bench_of, built
asking.FIRST_POLL = 0.01
bench = bench_of(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], batch=True)
built(bench, sys.argv[4])
"""


@pytest.mark.parametrize("way", ["regions", "rewriter", "judge"])
def test_a_build_that_is_killed_pays_for_nothing_twice(
    way: str, tmp_path: Path, pool: Path, start: Start
) -> None:
    provider = start()
    told = [str(tmp_path), str(pool), provider.base_url, way]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, "-c", KILLED, *told], env=environment, cwd=REPOSITORY
    )

    def kill(what: str) -> None:
        if what == "POST /batches" and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()

    provider.after = kill
    assert process.wait(SECONDS) == -signal.SIGKILL
    bench = bench_of(tmp_path, pool, provider.base_url, batch=True)
    assert not built(bench, way).outcome.rejected
    assert len(provider.batches) == 1
    assert (len(provider.paid), set(provider.paid.values())) == (
        PER_IMAGE[way] * N_SHARDS * N_IMAGES,
        {1},
    )


def test_a_provider_that_answers_nothing_stops_a_judge_and_blames_no_pair(
    tmp_path: Path, pool: Path, start: Start
) -> None:
    provider = start(lambda _: refused("Invalid token", 401))
    bench = bench_of(tmp_path, pool, provider.base_url, batch=True)
    with pytest.raises(CaptionServerError, match="401: Invalid token"):
        built(bench, "judge")
    provider.answer = answered
    assert not built(bench, "judge").outcome.rejected


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"cache": False}, "leave out `cache: false`"),
        ({"base_url": ["http://a/v1", "http://b/v1"]}, "batch: true asks one provider"),
    ],
)
def test_what_cannot_be_batched_is_refused(keys: dict[str, Any], words: str) -> None:
    by = {"kind": "openai", "model": MODEL, "batch": True, **keys}
    for change in (
        {"sources": {"x": {"kind": "rewrite", "prompt": "{raw}", "by": by}}},
        {"scorers": {**EXPERIMENT["scorers"], "judge": {**by, "axes": {"fit": "it"}}}},
    ):
        with pytest.raises(ExperimentError, match=words):
            tiny_experiment(
                mixes={"raw": {"scorer": "clip", "rules": [{"use": "raw"}]}}, report={}, **change
            )
