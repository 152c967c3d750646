"""A build goes on past what fails, and says what failed in words."""

import errno
import signal
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from dagster._utils import interrupts
from rich.console import Console

from recap_assets.cli.progress import print_failures
from recap_assets.defs import executing
from recap_assets.defs.assets import asset_key, assets_of
from recap_assets.defs.build_state import Finished
from recap_assets.defs.building import Build
from recap_assets.defs.ranges import range_tags
from recap_assets.defs.records import DagsterRecords
from recap_assets.defs.session import Session
from recap_assets.graph.planner import plan
from recap_assets_tests.defs.shards import write_shard

# Nothing here loads a model: scoring would be the first to, and what it reads fails.
TRIMMED = {
    "corpora": {},
    "models": {},
    "sources": {},
    "scorers": {"b32": {"kind": "open_clip", "model": "ViT-B-32", "pretrained": "openai"}},
    "mixes": {"raw": [{"use": "raw"}]},
    "report": {},
}


def broken(opened: Callable[..., Session], tmp_path: Path) -> Session:
    """An experiment whose pool's metadata file is no parquet, so that indexing fails."""
    write_shard(tmp_path / "pool", 0, ["a boat", "a tree"])
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "0.parquet").write_text("this is no parquet file")
    pool = {
        "kind": "webdataset",
        "shards": str(tmp_path / "pool"),
        "metadata": str(tmp_path / "metadata"),
    }
    return opened(pool=pool, **TRIMMED)


@pytest.mark.long(reason="builds in processes of their own")
def test_what_fails_is_told_and_the_rest_is_built(
    opened: Callable[..., Session], tmp_path: Path
) -> None:
    session = broken(opened, tmp_path)
    build = Build(session, jobs=1)
    finished = [event for event in build.events() if isinstance(event, Finished)]
    assert list(build.state.failed) == ["raw_pool[00000]"]
    words = build.state.failed["raw_pool[00000]"]
    assert words.startswith("pool.metadata: ")
    assert "0.parquet is no readable parquet file" in words
    assert sum(bool(event.failures) for event in finished) == 1
    left = plan(session.graph, DagsterRecords(session.open_instance())).entries
    assert {entry.asset for entry in left if entry.state == "ready"} == {"raw_pool"}
    assert not any(entry.asset.startswith("embedded_world") for entry in left)
    assert build.state.n_done == len(build.session.graph.nodes) - len({e.asset for e in left})


@pytest.mark.long(reason="builds in processes of their own")
def test_each_of_several_failures_of_one_run_is_told_by_its_own_error_alone(
    opened: Callable[..., Session], tmp_path: Path
) -> None:
    write_shard(tmp_path / "pool", 0, ["a boat", "a tree"])
    (tmp_path / "lines.jsonl").write_text("no json at all\n")
    (tmp_path / "cells.csv").write_text("uid,colour\n1,red\n")
    files = {"lines": "lines.jsonl", "cells": "cells.csv"}
    sources = {
        name: {"kind": "import", "files": str(tmp_path / file), "caption": "text"}
        for name, file in files.items()
    }
    pool = {"kind": "webdataset", "shards": str(tmp_path / "pool")}
    session = opened(pool=pool, **{**TRIMMED, "sources": sources})
    build = Build(session, 1, [f"imported_captions/{name}" for name in files])
    finished = [event for event in build.events() if isinstance(event, Finished)]
    assert any(len(one.failures.steps) == 2 for one in finished)
    failed = build.state.failed
    assert failed.keys() == {"imported_captions/lines", "imported_captions/cells"}
    assert "lines.jsonl" in failed["imported_captions/lines"]
    assert "cells.csv" not in failed["imported_captions/lines"]
    assert "cells.csv" in failed["imported_captions/cells"]
    assert "lines.jsonl" not in failed["imported_captions/cells"]


@pytest.mark.long(reason="builds in processes of their own")
def test_a_build_that_failed_leaves_the_plan_of_the_good_file_as_it_was(
    opened: Callable[..., Session], tmp_path: Path
) -> None:
    write_shard(tmp_path / "pool", 0, ["a boat", "a tree"])
    pool = {"kind": "webdataset", "shards": str(tmp_path / "pool")}
    good = opened(pool=pool, **TRIMMED)
    for _ in Build(good, 1, ["raw_pool"]).events():
        pass
    metadata = tmp_path / "metadata"
    metadata.mkdir()
    (metadata / "0.parquet").write_text("this is no parquet file")
    edited = {**pool, "metadata": str(metadata), "limits": {"min_side": 2}}
    bad = Build(opened(pool=edited, **TRIMMED), 1, ["raw_pool"])
    for _ in bad.events():
        pass
    assert "no readable parquet file" in bad.state.failed["raw_pool[00000]"]
    good = opened(pool=pool, **TRIMMED)
    entries = plan(good.graph, DagsterRecords(good.open_instance())).only(["raw_pool"]).entries
    assert entries == ()


def test_one_reason_of_many_partitions_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(width=200, force_terminal=False)
    failed = {f"captions/a[{i:05d}]": "there is no model" for i in (3, 1, 2, 0)}
    print_failures(console, {**failed, "raw_pool[00000]": "it is cut"})
    assert capsys.readouterr().out.splitlines() == [
        "failed 4 partitions, captions/a[00000] ... captions/a[00003]: there is no model",
        "failed raw_pool[00000]: it is cut",
        "5 failed; the rest is kept. Fix the cause and run again.",
    ]


def test_a_failure_that_cannot_pass_is_tried_once_and_shown_as_its_sentence(
    opened: Callable[..., Session], tmp_path: Path
) -> None:
    session = broken(opened, tmp_path)
    session.create_tables()
    with session.open_instance() as instance:
        assets = assets_of(session.graph, session.project)
        job = dg.Definitions(assets=assets).resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(
            instance=instance, asset_selection=[asset_key("raw_pool")], raise_on_error=False,
            tags=range_tags(("00000",)),
        )  # fmt: skip
    kinds = [event.event_type_value for event in result.all_events]
    assert "STEP_UP_FOR_RETRY" not in kinds
    (failure,) = result.get_step_failure_events()
    told = failure.step_failure_data.user_failure_data
    assert told is not None
    assert "0.parquet is no readable parquet file" in str(told.description)


def test_a_worker_that_cannot_open_the_records_tells_it_and_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries: list[OSError] = []

    def full() -> Session:
        tries.append(OSError(errno.ENOSPC, "No space left on device", "/data/claims/one"))
        raise tries[-1]

    monkeypatch.setattr(executing, "_opened", {})
    monkeypatch.setattr(Session, "from_environment", full)
    for n in (1, 2):
        told = executing.run_batch(["raw_pool"], ()).failures.whole
        assert told is not None
        assert "/data/claims/one" in told
        assert len(tries) == n


def test_a_worker_that_is_terminated_dies_at_any_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(interrupts, "setup_interrupt_handlers", interrupts.setup_interrupt_handlers)
    executing._die_when_terminated()
    seen: list[object] = []
    with interrupts.capture_interrupts():  # as Dagster does around each run and in each step
        seen.append(signal.getsignal(signal.SIGTERM))
        with interrupts.raise_interrupts_as(RuntimeError):
            seen.append(signal.getsignal(signal.SIGTERM))
    assert seen == [before, before]
    assert signal.getsignal(signal.SIGTERM) is before
