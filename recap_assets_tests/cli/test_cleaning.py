"""`recap gc` tells what goes and what is pinned by what, asks first, and refuses when unsure."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.storage.tables import StorageError
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.assembly.test_cleaning import put
from recap_assets_tests.cli.running import Recap
from recap_assets_tests.storage.test_retention import age, data_files
from recap_assets_tests.storage.test_tables import AT, scores

Written = Callable[..., Path]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two versions of a table, the first replaced long ago, and something that a crash left."""
    workspace = Workspace(tmp_path / "data", "tiny")
    for value in (0.1, 0.2):
        workspace.tables.replace(CLIP_SCORES, AT, scores(value))
    age(workspace.tables)
    put(workspace.manifest.with_name(".pool_manifest.json.abcdefgh"), size=2 * 2**20)
    return workspace


def pin(workspace: Workspace, name: str, version: int) -> Path:
    workspace.receipts.mkdir(exist_ok=True)
    path = workspace.receipts / f"{name}.json"
    path.write_text(json.dumps({"table_versions": {"clip_scores": [version]}}))
    return path


def n_left(workspace: Workspace) -> int:
    return len(data_files(workspace.tables)) + len(list(workspace.root.glob(".pool_manifest*")))


def test_a_dry_run_tells_and_touches_nothing(
    recap: Recap, written: Written, workspace: Workspace
) -> None:
    done = recap("--experiment", written(), "gc", "--dry-run")
    assert done.exit_code == 0, done.output
    assert "No receipt pins any version" in done.output
    assert "old versions and orphans" in done.output
    assert "2.0 MiB" in done.output
    assert n_left(workspace) == 3


def test_what_is_agreed_to_goes(recap: Recap, written: Written, workspace: Workspace) -> None:
    assert "Nothing was removed" in recap("--experiment", written(), "gc", answer="n\n").output
    assert n_left(workspace) == 3
    done = recap("--experiment", written(), "gc", answer="y\n")
    assert (done.exit_code, n_left(workspace)) == (0, 1)
    assert "Gone" in done.output
    again = recap("--experiment", written(), "gc", "--yes")
    assert "Would go: nothing." in again.output


def test_without_anybody_to_ask_nothing_goes(
    recap: Recap, written: Written, workspace: Workspace
) -> None:
    done = recap("--experiment", written(), "gc")
    assert done.exit_code == 1
    assert "`recap gc --yes` does not ask" in done.output
    assert n_left(workspace) == 3


def test_pinned_versions_stay_and_their_receipts_are_named(
    recap: Recap, written: Written, workspace: Workspace
) -> None:
    pin(workspace, "paper", 2)
    pin(workspace, "rebuttal", 2)
    done = recap("--experiment", written(), "gc", "--yes")
    assert "pinned: clip_scores version 2 by paper, rebuttal" in done.output
    assert n_left(workspace) == 2
    assert workspace.tables.read(CLIP_SCORES, 2)["score"].to_list() == [pytest.approx(0.1)]


def test_files_may_be_kept_longer_but_not_shorter_than_a_week(
    recap: Recap, written: Written, workspace: Workspace
) -> None:
    done = recap("--experiment", written(), "gc", "--yes", "--keep-days", "60")
    assert len(data_files(workspace.tables)) == 2
    assert "replaced or written less than 60 days ago" in done.output
    assert recap("--experiment", written(), "gc", "--keep-days", "6").exit_code == 2


def test_an_unreadable_receipt_stops_everything(
    recap: Recap, written: Written, workspace: Workspace
) -> None:
    pin(workspace, "paper", 2).write_text("{")
    done = recap("--experiment", written(), "gc", "--yes")
    assert isinstance(done.exception, StorageError)
    assert "paper.json cannot be read" in str(done.exception)
    assert n_left(workspace) == 3


def test_a_pinned_version_that_is_lost_fails_the_command(
    recap: Recap, written: Written, workspace: Workspace
) -> None:
    pin(workspace, "paper", 99)
    done = recap("--experiment", written(), "gc", "--yes")
    assert done.exit_code == 1
    assert "version 99 is pinned but cannot be opened" in done.output
    assert len(data_files(workspace.tables)) == 2
