"""`recap verify` against tables that were changed behind the platform's back."""

import json
from pathlib import Path

import pytest
from deltalake import DeltaTable

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.defs.session import Session
from recap_assets_tests.cli.running import Recap
from recap_assets_tests.cli.shards_built import POOL, SUMMARY, TwoShards


@pytest.fixture
def tmp_path(two_shards: TwoShards) -> Path:
    return two_shards.anew()


@pytest.fixture
def path(recap: Recap, tmp_path: Path) -> Path:  # noqa: ARG001 - its environment
    return tmp_path / "experiment.yaml"


def test_what_was_built_is_verified_whole(path: Path, recap: Recap) -> None:
    done = recap("-e", path, "verify", SUMMARY)
    assert done.exit_code == 0, done.output
    assert "5 partitions hashed, all equal" in done.output


def test_an_old_version_is_verified_at_its_delta_versions(
    path: Path, recap: Recap, two_shards: TwoShards
) -> None:
    assert recap("-e", path, "pin", SUMMARY, "v1").exit_code == 0
    two_shards.edit()
    for words in (f"{SUMMARY}@v1", SUMMARY):
        found = json.loads(recap("-e", path, "verify", words, "--json").output)
        assert found["equal"], found
        assert found["checked"] == 5


def test_a_version_whose_files_are_gone_is_a_difference_and_no_traceback(
    path: Path, recap: Recap
) -> None:
    table = Session(path).project.workspace.tables.uri(RAW_POOL)
    for file in Path(table).glob("partition=00001/*.parquet"):
        file.unlink()
    done = recap("-e", path, "verify", SUMMARY, "--json")
    assert done.exit_code == 1
    (lost,) = json.loads(done.output)["differences"]
    assert (lost["asset"], lost["partition"], lost["found"]) == (POOL, "00001", None)
    assert "cannot be read" in lost["meaning"]
    shown = recap("-e", path, "verify", SUMMARY)
    assert shown.exit_code == 1
    assert "1 differences" in shown.output
    assert "Traceback" not in shown.output


def test_a_table_that_was_changed_by_another_hand_is_found(path: Path, recap: Recap) -> None:
    assert recap("-e", path, "pin", SUMMARY, "v1").exit_code == 0
    table = DeltaTable(Session(path).project.workspace.tables.uri(RAW_POOL))
    table.update({"text": "'edited'"}, predicate="partition = '00000'")
    done = recap("-e", path, "verify", SUMMARY, "--json")
    assert done.exit_code == 1
    (difference,) = json.loads(done.output)["differences"]
    assert (difference["asset"], difference["partition"]) == (POOL, "00000")
    assert difference["found"] not in (None, difference["recorded"])
    assert "changed since by something other than a build" in difference["meaning"]
    # The version that the receipt keeps is whole all the same.
    assert recap("-e", path, "verify", f"{SUMMARY}@v1").exit_code == 0
