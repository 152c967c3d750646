"""`recap lineage` and `recap pin` on a pool of real tars."""

import json
from pathlib import Path

import pytest

from recap_assets_tests.cli.running import Recap
from recap_assets_tests.cli.shards_built import POOL, STATISTICS, SUMMARY, TwoShards
from recap_assets_tests.defs.shards import write_shard


@pytest.fixture
def tmp_path(two_shards: TwoShards) -> Path:
    return two_shards.anew()


@pytest.fixture
def path(recap: Recap, tmp_path: Path) -> Path:  # noqa: ARG001 - its environment
    return tmp_path / "experiment.yaml"


def test_the_tree_goes_down_to_the_shards_within_100_columns(
    path: Path, recap: Recap, tmp_path: Path
) -> None:
    done = recap("-e", path, "lineage", SUMMARY)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert max(map(len, lines)) <= 100
    text = " ".join(line.strip("│├└─ ") for line in lines)
    for words in (SUMMARY, STATISTICS, POOL, "2 shards", "00000000", "raw_pool at", "commit ",
                  "dagster 1.13", "runs ", "built 2 partitions (00000 to 00001)"):  # fmt: skip
        assert words in text
    assert str(tmp_path / "pool") in done.output.replace("\n", "").replace(" ", "").replace("│", "")
    assert text.count("commit ") == 1  # told once, since nothing below differs


def test_the_json_has_every_partition_and_what_was_read_of_the_pool(
    path: Path, recap: Recap
) -> None:
    content = json.loads(recap("-e", path, "lineage", SUMMARY, "--json").output)
    (pool,) = [a for a in content["ancestors"] if a["asset"] == POOL]
    assert [p["partition"] for state in pool["states"] for p in state["partitions"]] == [
        "00000", "00001",
    ]  # fmt: skip
    assert [(p["partition"], p["changed"]) for p in content["pool"]] == [
        ("00000", False), ("00001", False),
    ]  # fmt: skip
    assert content["pool"][0]["shards"][0]["name"] == "00000000"
    assert content["pool"][0]["recorded"] == content["pool"][0]["now"]


def test_one_partition_is_traced_alone(path: Path, recap: Recap) -> None:
    words = ("lineage", STATISTICS, "--partition", "00001", "--json")
    content = json.loads(recap("-e", path, *words).output)
    pool = content["ancestors"][1]
    assert [p["partition"] for p in pool["states"][0]["partitions"]] == ["00001"]


def test_a_shard_that_changed_since_is_told(path: Path, recap: Recap, tmp_path: Path) -> None:
    write_shard(tmp_path / "pool", 1, ["another text", "two dogs run", "a third"])
    done = recap("-e", path, "lineage", POOL)
    assert "shards of 00001 changed since" in done.output
    assert "shards of 00000" not in done.output


def test_an_older_state_is_shown_as_of_its_event(
    path: Path, recap: Recap, two_shards: TwoShards
) -> None:
    before = json.loads(recap("-e", path, "lineage", STATISTICS, "--json").output)
    event = max(p["event_id"] for a in before["ancestors"] for s in a["states"]
                for p in s["partitions"])  # fmt: skip
    two_shards.edit()
    now = json.loads(recap("-e", path, "lineage", STATISTICS, "--json").output)
    assert now["version"] != before["version"]
    words = ("lineage", STATISTICS, "--json", "--at", str(event))
    then = json.loads(recap("-e", path, *words).output)
    assert (then["ancestors"], then["version"]) == (before["ancestors"], before["version"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("lineage", "curated_mixes/none"), "was never built"),
        (("lineage", POOL, "--at", "yesterday"), "write the number of an event, or a time"),
        (("lineage", POOL, "--partition", "9"), "has the partitions 00000, 00001"),
        (("lineage", f"{POOL}@none"), "there is no receipt"),
        (("pin", POOL, "../x"), "a receipt cannot be called '../x'"),
        (("pin", "raw_pol", "x"), "there is raw_pool"),
        (("pin", "curated_mixes/raw", "x"), "never built"),
    ],
)
def test_what_cannot_be_done_is_told_in_words(
    path: Path, recap: Recap, words: tuple[str, ...], told: str
) -> None:
    done = recap("-e", path, *words)
    assert done.exit_code == 1
    assert told in done.output
    assert "Traceback" not in done.output


def test_a_receipt_keeps_the_version_while_the_asset_goes_on(
    path: Path, recap: Recap, tmp_path: Path, two_shards: TwoShards
) -> None:
    before = json.loads(recap("-e", path, "lineage", SUMMARY, "--json").output)
    done = recap("-e", path, "pin", SUMMARY, "paper")
    assert done.exit_code == 0, done.output
    assert before["version"] in done.output
    again = recap("-e", path, "pin", SUMMARY, "paper")
    assert again.exit_code == 1
    assert "exists already and is never replaced" in again.output
    write_shard(tmp_path / "pool", 1, ["another text entirely", "two dogs run"])
    refused = recap("-e", path, "pin", SUMMARY, "later")
    assert refused.exit_code == 1
    assert f"`recap build --select {SUMMARY}` first" in refused.output.replace("\n", " ")
    two_shards.edit()
    pinned = json.loads(recap("-e", path, "lineage", f"{SUMMARY}@paper", "--json").output)
    assert pinned["ancestors"] == before["ancestors"]
    now = json.loads(recap("-e", path, "lineage", SUMMARY, "--json").output)
    assert now["version"] != before["version"]
    content = json.loads((tmp_path / "data" / "tiny" / "receipts" / "paper.json").read_text())
    assert content["table_versions"][POOL] == [1, 2]
    assert set(content["data_versions"][POOL]) == {"00000", "00001"}
