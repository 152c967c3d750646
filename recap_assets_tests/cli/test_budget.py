"""`recap build --budget` as a user calls it, with the captioner that the program trains itself."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.costs import COSTS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import is_usable
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.cli.running import Recap
from recap_assets_tests.tiny import EXPERIMENT

pytestmark = pytest.mark.long(reason="four builds of captions by the command line")

CAPTIONS = "synthetic_captions/a"
POOL = {"kind": "embedded", "samples": 60, "samples_per_shard": 20, "shards_per_partition": 2}
BARE: dict[str, Any] = {
    "pool": POOL, "prices": {"cpu_hour": 3_600, "gpu_hour": 3_600}, "report": {},
    "mixes": {"raw": [{"use": "raw"}]},
}  # fmt: skip


def usable_by_shard(tables: Workspace) -> dict[int, int]:
    rows = tables.tables.read(RAW_POOL).filter(is_usable())
    return dict(rows.group_by("shard").len().iter_rows())


def n_captions(workspace: Workspace) -> int:
    return workspace.tables.read(SYNTHETIC_CAPTIONS, source="a").height


def test_a_budget_stops_before_it_is_exceeded_and_the_next_build_continues(
    recap: Recap, written: Callable[..., Path], tmp_path: Path
) -> None:
    file, workspace = written(**BARE), Workspace(tmp_path / "data", "tiny")

    def build(*words: str) -> str:
        done = recap("-e", file, "build", "--yes", "--jobs", 1, *words)
        assert done.exit_code == 0, done.output
        return done.output

    build("--select", "raw_pool")
    usable = usable_by_shard(workspace)
    bound = usable[0] + 1
    printed = build("--select", CAPTIONS, "--budget", f"{bound}captions")
    # One shard is captioned, and the next one of its partition would have been too much.
    assert f"Spent of the budget: {usable[0]} of {bound} captions." in printed
    left = re.search(r"Stopped for the budget: 2 partitions left, .+", printed)
    assert left, printed
    assert re.search(r"of work.*, \d[\d,]*\.\d\d at the prices of the file", left[0])
    assert "`recap build` continues" in left[0]
    assert n_captions(workspace) == 0

    later = usable[2]
    printed = build("--select", CAPTIONS, "--budget", f"{usable[1]}captions")
    assert f"Spent of the budget: {usable[1]} of {usable[1]} captions." in printed
    assert "Stopped for the budget: 1 partition left" in printed
    assert n_captions(workspace) == usable[0] + usable[1]

    printed = build("--select", CAPTIONS, "--budget", "100000captions")
    assert f"Spent of the budget: {later} of 100,000 captions." in printed
    assert "Stopped" not in printed
    assert n_captions(workspace) == sum(usable.values())
    paid = workspace.tables.read(COSTS, asset=CAPTIONS)
    assert (paid["rows"].sum(), paid["rows_reused"].sum()) == (sum(usable.values()), 0)

    renamed = {**EXPERIMENT["sources"]["a"]}
    file = written(**BARE, sources={"c": renamed})
    planned = recap("-e", file, "plan", "--select", "synthetic_captions/c").output
    asked = recap("-e", file, "build", "--select", "synthetic_captions/c")
    assert asked.exit_code == 1
    assert f"never built; 0 of {sum(usable.values())} rows, the rest is" in planned
    assert table_of(asked.output) == table_of(planned)


def table_of(printed: str) -> list[str]:
    """The lines of the plan's table."""
    return [line for line in printed.splitlines() if line.startswith(("│", "┃", "┏", "└"))]


def test_a_budget_that_cannot_be_counted_is_refused(
    recap: Recap, written: Callable[..., Path]
) -> None:
    file = written(**{**BARE, "prices": {}})
    for words, why in (("50usd", "nothing has a price"), ("many", "many")):
        done = recap("-e", file, "build", "--yes", "--budget", words)
        assert done.exit_code != 0
        assert why in f"{done.output} {done.exception}"
