"""Captions by a server through the real stage: rows, versions, costs, and a server that dies."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.assembly.cleaning import old_replies, remove_old_replies
from recap_assets.captions.servers import client as server_client
from recap_assets.captions.servers.batches import asking as batch_asking
from recap_assets.captions.spending import Spending, spending
from recap_assets.engines.errors import CaptionServerError
from recap_assets.graph.planner import plan
from recap_assets.storage.content import slice_version
from recap_assets_tests.batch_server import batch_servers
from recap_assets_tests.chat_server import (
    MODEL,
    Answer,
    Asked,
    ChatServer,
    Start,
    captioned,
    chat_servers,
    refused,
    said,
)
from recap_assets_tests.pool.test_bad_input import jpeg, uid, write_shard
from recap_assets_tests.tiny import EXPERIMENT, Bench, Memory, tiny_experiment

KEY = "sk-very-secret-4711"
N_SHARDS, N_IMAGES = 3, 4


@pytest.fixture
def start() -> Iterator[Start]:
    with chat_servers() as start:
        yield start


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_client, "FIRST_PAUSE", 0.01)


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    for number in range(N_SHARDS):
        images = [(uid(10 * number + i), jpeg(10 * number + i), "a boat") for i in range(N_IMAGES)]
        write_shard(tmp_path / "pool", number, images)
    return tmp_path / "pool"


def bench_of(
    folder: Path, pool: Path, server: ChatServer, memory: Memory | None = None, **keys: Any
) -> Bench:
    source = {"kind": "openai", "model": MODEL, "base_url": server.base_url, **keys}
    experiment = tiny_experiment(
        pool={"kind": "webdataset", "shards": str(pool), "shards_per_partition": N_SHARDS},
        sources={"vlm": source},
        mixes={"raw": EXPERIMENT["mixes"]["raw"]},
        report={},
    )
    return Bench(folder, experiment, memory)


def rows_of(bench: Bench) -> pl.DataFrame:
    return bench.project.workspace.tables.read(SYNTHETIC_CAPTIONS)


def version_of(bench: Bench) -> str:
    return bench.memory.latest(SYNTHETIC_CAPTIONS.key("vlm"))["00000"].data_version


def facts_of(bench: Bench) -> dict[str, Any]:
    return dict(bench.memory.facts(SYNTHETIC_CAPTIONS.key("vlm"), version_of(bench)))


def test_every_image_is_captioned_and_what_it_took_is_told(
    tmp_path: Path, pool: Path, start: Start
) -> None:
    server = start()
    prices = {
        "price_per_million_prompt_tokens": 2.0,
        "price_per_million_completion_tokens": 10.0,
    }
    bench = bench_of(tmp_path / "data", pool, server, candidates=2, **prices)
    bench.build("pool", "captions")
    rows = rows_of(bench)
    assert rows.height == len(server.asked) == 2 * N_SHARDS * N_IMAGES
    assert rows["status"].unique().to_list() == ["ok"]
    assert rows["text"].n_unique() == rows.height
    assert rows["n_tokens"].unique().to_list() == [7]
    assert rows["n_prompt_tokens"].unique().to_list() == [300]
    assert rows["seconds"].min() > 0  # type: ignore[operator]
    facts = facts_of(bench)
    assert facts["requests"] == 24
    assert (facts["prompt_tokens"], facts["completion_tokens"]) == (7_200, 168)
    assert facts["cost"] == pytest.approx((7_200 * 2 + 168 * 10) / 1e6)
    (spent,) = spending(bench.project)
    assert replace(spent, cost=None) == Spending("vlm", 24, 7_200, 168, None)
    assert spent.cost == pytest.approx(facts["cost"])
    node = bench.graph.nodes[SYNTHETIC_CAPTIONS.key("vlm")]
    assert (node.pool, node.checks[0].evaluate(["00000"]).passed) == ("cpu", True)


def test_speed_address_and_price_change_no_version_but_the_prompt_does(
    tmp_path: Path, pool: Path, start: Start
) -> None:
    slow, fast = start(), start()
    first = bench_of(tmp_path / "one", pool, slow, concurrency=1)
    first.build("pool", "captions")
    other = {"concurrency": 16, "timeout_seconds": 5, "max_attempts": 2, "cache": False}
    second = bench_of(tmp_path / "two", pool, fast, **other)
    second.build("pool", "captions")
    assert version_of(first) == version_of(second)
    assert rows_of(first).drop("seconds").equals(rows_of(second).drop("seconds"))
    assert rows_of(first)["seconds"].to_list() != rows_of(second)["seconds"].to_list()
    moved = bench_of(tmp_path / "one", pool, fast, first.memory, **other)
    assert moved.build("pool", "captions") == []
    edited = bench_of(tmp_path / "one", pool, fast, first.memory, prompt="What is it?")
    reasons = {e.asset: e.reason for e in plan(edited.graph, edited.memory).ready}
    assert "captioner.prompt" in reasons[SYNTHETIC_CAPTIONS.key("vlm")]
    assert edited.build("pool", "captions") == [(SYNTHETIC_CAPTIONS.key("vlm"), "00000")]


def test_a_server_that_dies_fails_the_partition_and_nothing_is_asked_twice(
    tmp_path: Path, pool: Path, start: Start
) -> None:
    answered: Counter[bytes] = Counter()

    def dies(asked: Asked) -> Answer:
        if asked.number == N_IMAGES + 2:  # in the second shard
            server.stop()
        else:
            answered[asked.jpeg] += 1
        return captioned(asked)

    server = start(dies)
    keys = {"concurrency": 1, "max_attempts": 2}
    bench = bench_of(tmp_path / "data", pool, server, **keys)
    bench.build("pool")
    with pytest.raises(CaptionServerError, match="captions no image"):
        bench.build("captions")
    assert rows_of(bench).is_empty()
    assert sum(answered.values()) == N_IMAGES + 2
    server.start()
    again = bench_of(tmp_path / "data", pool, server, bench.memory, **keys)
    again.build("captions")
    assert rows_of(again)["status"].to_list() == ["ok"] * N_SHARDS * N_IMAGES
    assert set(answered.values()) == {1}
    # The first shard was finished; of the second the two that had been answered were on the disk.
    assert facts_of(again)["cache_hits"] == 2
    undisturbed = bench_of(tmp_path / "other", pool, start())
    undisturbed.build("pool", "captions")
    assert version_of(undisturbed) == version_of(again)


def test_bad_images_and_bad_replies_are_rows_with_reasons_that_add_up(
    tmp_path: Path, pool: Path, start: Start
) -> None:
    oddities = {
        3: refused("cannot identify image file", 400),
        5: Answer("<html>proxy</html>"),
        6: Answer(said("I'm sorry, I can't help with identifying people.")),
        7: Answer(said("a cut ph", "length")),
        8: Answer({"choices": [], "usage": {"prompt_tokens": 10**12}}),
        9: Answer(said("")),
        10: Answer({**said("a photo"), "usage": {"prompt_tokens": 10**12}}),
    }
    server = start(lambda asked: oddities.get(asked.number, captioned(asked)))
    bench = bench_of(tmp_path / "data", pool, server, concurrency=1)
    bench.build("pool", "captions")
    rows = rows_of(bench)
    states = Counter(rows.select("status", "reject_reason").rows())
    assert states == {
        ("ok", None): 6,
        ("truncated", None): 1,
        ("error", "request_refused"): 1,
        ("error", "reply_not_json"): 1,
        ("error", "reply_malformed"): 1,
        ("refused", "declined"): 1,
        ("empty", "empty"): 1,
    }
    record = bench.memory.latest(SYNTHETIC_CAPTIONS.key("vlm"))["00000"]
    assert sum(dict(record.rejected).values()) == 5
    node = bench.graph.nodes[SYNTHETIC_CAPTIONS.key("vlm")]
    assert node.checks[0].evaluate(["00000"]).passed


def test_the_key_reaches_the_server_and_no_table_file_or_error(
    tmp_path: Path, pool: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTION_KEY", KEY)
    server = start(lambda asked: Answer(said(f"a photo {asked.headers['authorization']}")))
    bench = bench_of(tmp_path / "data", pool, server, api_key_env="CAPTION_KEY")
    bench.build("pool", "captions")
    assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {KEY}"}
    assert set(rows_of(bench)["text"]) == {"a photo Bearer [key]"}
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert bench.project.workspace.replies in files
    assert not any(KEY.encode() in path.read_bytes() for path in files)
    assert KEY not in repr((bench.memory.records, facts_of(bench), bench.project.experiment))
    server.answer = lambda asked: refused(f"no such key: {asked.headers['authorization']}", 401)
    other = bench_of(tmp_path / "data", pool, server, bench.memory, api_key_env="CAPTION_KEY",
                     prompt="What?")  # fmt: skip
    with pytest.raises(CaptionServerError, match=r"401: no such key: Bearer \[key\]") as raised:
        other.build("captions")
    assert KEY not in str(raised.getrepr(style="long", showlocals=False))


def test_another_experiment_pays_for_nothing_that_was_replied(
    tmp_path: Path, pool: Path, start: Start
) -> None:
    server = start()
    first = bench_of(tmp_path / "data", pool, server)
    first.build("pool", "captions")
    experiment = first.project.experiment.model_copy(update={"name": "another"})
    second = Bench(tmp_path / "data", experiment)
    second.build("pool", "captions")
    assert len(server.asked) == N_SHARDS * N_IMAGES
    assert facts_of(second)["cache_hits"] == N_SHARDS * N_IMAGES
    assert rows_of(second).equals(rows_of(first))
    assert slice_version(SYNTHETIC_CAPTIONS, rows_of(first)) == version_of(second)


def test_a_partition_asked_in_batches_is_the_one_that_is_asked_singly(
    tmp_path: Path, pool: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_asking, "FIRST_POLL", 0.01)
    prices = {"price_per_million_prompt_tokens": 2.0, "price_per_million_completion_tokens": 10.0}
    with batch_servers() as start_batches:
        provider = start_batches(captioned)
        batched = bench_of(tmp_path / "one", pool, provider, batch=True, candidates=2, **prices)
        batched.build("pool", "captions")
        singly = bench_of(tmp_path / "two", pool, start(), candidates=2)
        singly.build("pool", "captions")
        assert version_of(batched) == version_of(singly)
        rows = rows_of(batched)
        assert rows.drop("seconds").equals(rows_of(singly).drop("seconds"))
        assert not provider.asked
        # All shards of the partition are in one batch.
        assert len(provider.batches) == 1
        facts = facts_of(batched)
        assert (facts["requests"], facts["cache_hits"]) == (2 * N_SHARDS * N_IMAGES, 0)
        assert facts["cost"] == pytest.approx((7_200 * 2 + 168 * 10) / 1e6 / 2)
        assert [one.cost for one in spending(batched.project)] == [facts["cost"]]
        moved = bench_of(tmp_path / "one", pool, start(), batched.memory, candidates=2)
        assert moved.build("pool", "captions") == []


def test_a_build_whose_batch_is_not_done_collects_it_the_next_time(
    tmp_path: Path, pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_asking, "FIRST_POLL", 0.01)
    with batch_servers() as start_batches:
        provider = start_batches(
            lambda asked: (
                refused("cannot identify image file", 400)
                if asked.number == 1
                else captioned(asked)
            )
        )
        provider.looks = 10**9
        bench = bench_of(tmp_path / "data", pool, provider, batch=True)
        bench.build("pool")
        with monkeypatch.context() as patience:
            patience.setattr(batch_asking, "LONGEST_WAIT", 0.1)
            with pytest.raises(CaptionServerError, match="build again to wait on"):
                bench.build("captions")
        assert rows_of(bench).is_empty()
        provider.looks = 1
        again = bench_of(tmp_path / "data", pool, provider, bench.memory, batch=True)
        again.build("captions")
        assert len(provider.batches) == 1
        assert set(provider.paid.values()) == {1}
        states = Counter(rows_of(again).select("status", "reject_reason").rows())
        assert states == {("ok", None): 11, ("error", "request_refused"): 1}


def test_old_replies_go_when_that_is_asked_for(tmp_path: Path, pool: Path, start: Start) -> None:
    server = start()
    bench = bench_of(tmp_path / "data", pool, server)
    workspace = bench.project.workspace
    assert old_replies(workspace, 0) == []
    bench.build("pool", "captions")
    assert old_replies(workspace, None) == old_replies(workspace, 1) == []
    (found,) = old_replies(workspace, -1)
    assert (found.kind, found.n, found.path) == ("replies", 12, workspace.replies)
    remove_old_replies(workspace, -1)
    assert old_replies(workspace, -1) == []
    assert workspace.replies.exists()
