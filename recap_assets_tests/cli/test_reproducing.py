"""`recap reproduce`: the same content from the receipt, or the cause why not."""

from pathlib import Path

import pytest

from recap_assets_tests.cli.running import Recap
from recap_assets_tests.cli.shards_built import POOL, SUMMARY, TwoShards, build
from recap_assets_tests.defs.shards import write_shard


@pytest.fixture
def tmp_path(two_shards: TwoShards) -> Path:
    return two_shards.anew()


@pytest.fixture
def path(recap: Recap, tmp_path: Path) -> Path:
    path = tmp_path / "experiment.yaml"
    assert recap("-e", path, "pin", SUMMARY, "v1").exit_code == 0
    return path


@pytest.mark.long(reason="a whole build again, by the command line")
def test_a_version_is_rebuilt_equal_although_the_pool_grew(
    path: Path, recap: Recap, tmp_path: Path
) -> None:
    write_shard(tmp_path / "pool", 2, ["a shard that landed since"])
    build(path)
    done = recap("-e", path, "reproduce", f"{SUMMARY}@v1", "--into", tmp_path / "again", "-j", "1")
    assert done.exit_code == 0, done.output
    assert f"{SUMMARY} came out equal" in done.output
    # Run again on what is there: nothing to build, the same verdict.
    receipt = tmp_path / "data" / "tiny" / "receipts" / "v1.json"
    again = recap("-e", path, "reproduce", receipt, "--into", tmp_path / "again", "-j", "1")
    assert again.exit_code == 0, again.output


@pytest.mark.long(reason="a whole build again, by the command line")
def test_shards_that_changed_since_are_named_as_the_cause(
    path: Path, recap: Recap, tmp_path: Path
) -> None:
    write_shard(tmp_path / "pool", 1, ["another text entirely", "two dogs run"])
    done = recap("-e", path, "reproduce", f"{POOL}@v1", "-j", "1")
    assert done.exit_code == 1
    assert "what it reads from outside changed since" in done.output
    assert f"{POOL}: 1 of 2 partitions equal" in done.output
    assert (tmp_path / "data" / "tiny" / "reproduced" / "v1" / "receipt.json").exists()


def test_what_cannot_be_reproduced_is_told(path: Path, recap: Recap) -> None:
    for asked, told in {
        POOL: "write ASSET@NAME",
        "evaluation_images@v1": "is not in its tree",
        f"{POOL}@other": "receipts there: v1",
        "no.json": "there is no receipt",
    }.items():
        done = recap("-e", path, "reproduce", asked)
        assert done.exit_code == 1, asked
        assert told in done.output, asked


def test_a_folder_with_other_things_in_it_is_left_alone(
    path: Path, recap: Recap, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    done = recap("-e", path, "reproduce", f"{POOL}@v1", "--into", tmp_path / "mine")
    assert done.exit_code == 1
    assert "is not empty; name a new folder" in done.output
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["notes.txt"]
