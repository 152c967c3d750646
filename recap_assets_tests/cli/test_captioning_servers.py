"""A source behind a server: what the doctor finds, what it cost, and its old replies."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from recap_assets.specs.loading import load_experiment
from recap_assets_tests.chat_server import MODEL, ChatServer
from recap_assets_tests.cli.running import Recap
from recap_assets_tests.pool.test_bad_input import jpeg, uid, write_shard
from recap_assets_tests.tiny import EXPERIMENT, Bench

Written = Callable[..., Path]


@pytest.fixture
def server() -> Iterator[ChatServer]:
    found = ChatServer()
    yield found
    found.stop()


@pytest.fixture
def path(tmp_path: Path, written: Written, server: ChatServer) -> Path:
    """An experiment file whose only source is served."""
    write_shard(tmp_path / "pool", 0, [(uid(i), jpeg(i), "a boat") for i in range(3)])
    source = {
        "kind": "openai", "model": MODEL, "base_url": server.base_url,
        "price_per_million_prompt_tokens": 1_000, "price_per_million_completion_tokens": 10_000,
    }  # fmt: skip
    return written(
        pool={"kind": "webdataset", "shards": str(tmp_path / "pool")},
        sources={"vlm": source},
        mixes={"raw": EXPERIMENT["mixes"]["raw"]},
        report={},
    )


def test_the_doctor_asks_the_server_for_its_models(
    recap: Recap, path: Path, server: ChatServer
) -> None:
    done = recap("-e", path, "doctor")
    assert f"ok     sources.vlm: {server.base_url} serves {MODEL}" in done.output
    other = recap("-e", path, "--set", "sources.vlm.model=other", "doctor")
    assert f"wrong  sources.vlm: {server.base_url} serves no other; it lists" in other.output
    server.stop()
    gone = recap("-e", path, "doctor")
    assert gone.exit_code == 1
    assert "cannot be reached" in gone.output
    assert not server.asked


def test_status_tells_what_the_captions_cost(recap: Recap, path: Path, tmp_path: Path) -> None:
    Bench(tmp_path / "data", load_experiment(path)).build("pool", "captions")
    told = recap("-e", path, "status").output
    assert "synthetic_captions/vlm: 900 tokens asked, 21 answered, 1.11 at the prices" in told
    rows = json.loads(recap("-e", path, "status", "--json").output)
    (row,) = [row for row in rows if row["asset"] == "synthetic_captions/vlm"]
    assert (row["prompt_tokens"], row["completion_tokens"]) == (900, 21)
    assert row["cost"] == pytest.approx(1.11)


def test_gc_leaves_replies_alone_unless_their_age_is_named(
    recap: Recap, path: Path, tmp_path: Path
) -> None:
    bench = Bench(tmp_path / "data", load_experiment(path))
    bench.build("pool", "captions")
    replies = bench.project.workspace.replies
    with closing(sqlite3.connect(replies)) as database, database:
        database.execute("UPDATE replies SET written = written - 864000")
    assert "replies" not in recap("-e", path, "gc", "--yes").output
    would = recap("-e", path, "gc", "--dry-run", "--replies-days", "9").output
    assert "replies of captioning servers" in would
    assert recap("-e", path, "gc", "--yes", "--replies-days", "11").exit_code == 0
    with closing(sqlite3.connect(replies)) as database:
        assert database.execute("SELECT count(*) FROM replies").fetchone() == (3,)
    assert recap("-e", path, "gc", "--yes", "--replies-days", "9").exit_code == 0
    with closing(sqlite3.connect(replies)) as database:
        assert database.execute("SELECT count(*) FROM replies").fetchone() == (0,)
