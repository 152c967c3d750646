"""The way back from an asset to the pool, over receipts made up for the purpose."""

import json
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recap_assets.graph.versions import folded_version
from recap_assets.lineage.origin import Origin, combined_version, rows_of
from recap_assets.lineage.rows import LineageError, Receipts
from recap_assets.lineage.walk import lineage_of
from recap_assets_tests.lineage.receipts import START, Log, build_mix, small_log


def events(origin: Origin) -> dict[str, list[int]]:
    return {name: a.rows["event_id"].to_list() for name, a in origin.ancestors.items()}


def test_the_tree_reaches_the_pool_and_readers_come_first() -> None:
    origin = lineage_of(small_log().receipts(), "curated_mixes/m")
    order = list(origin.ancestors)
    assert order[0] == "curated_mixes/m"
    for name, ancestor in origin.ancestors.items():
        assert all(order.index(name) < order.index(read) for read in ancestor.reads)
    assert set(order) == {
        "curated_mixes/m", "thresholds/m", "clip_scores/clip/a", "synthetic_captions/a",
        "raw_pool", "models/captioner",
    }  # fmt: skip


def test_partitions_that_agree_are_one_state() -> None:
    log = small_log([f"{i:05d}" for i in range(30)])
    build_mix(log, "00007", provenance={"recap.commit": "def"})
    states = lineage_of(log.receipts(), "curated_mixes/m").root.states
    assert [state.rows.height for state in states] == [29, 1]
    assert states[1].partitions == ("00007",)
    assert states[1].newest.provenance == {"recap.commit": "def"}
    assert states[0].facts == {"pairs/a": "290"}
    assert len(states[0].runs) == 29


def test_one_partition_reads_its_own_upstream_and_whole_thresholds() -> None:
    origin = lineage_of(small_log().receipts(), "curated_mixes/m", "00001")
    assert origin.root.rows["partition"].to_list() == ["00001"]
    # The threshold read the scores of all partitions, so the pool is there whole.
    assert origin.ancestors["raw_pool"].rows["partition"].to_list() == ["00000", "00001"]
    only = lineage_of(small_log().receipts(), "synthetic_captions/a", "00001")
    assert only.ancestors["raw_pool"].rows["partition"].to_list() == ["00001"]


def test_a_later_rebuild_upstream_changes_nothing_of_an_older_version() -> None:
    log = small_log()
    before = lineage_of(log.receipts(), "curated_mixes/m").as_json()
    log.build("raw_pool", "00000")
    log.build("synthetic_captions/a", "00000", {"raw_pool": "same"})
    log.build("thresholds/m", "", {"clip_scores/clip/a": "all"})
    assert lineage_of(log.receipts(), "curated_mixes/m").as_json() == before
    assert events(lineage_of(log.receipts(), "synthetic_captions/a"))["raw_pool"] == [11, 5]


def test_as_of_an_event_or_a_time_shows_the_older_version() -> None:
    log = small_log()
    before = lineage_of(log.receipts(), "curated_mixes/m").as_json()
    then = len(log.rows)
    log.build("synthetic_captions/a", "00000", {"raw_pool": "same"})
    build_mix(log, "00000")
    receipts = log.receipts()
    assert lineage_of(receipts, "curated_mixes/m").as_json() != before
    assert lineage_of(receipts, "curated_mixes/m", at=then).as_json() == before
    time = START + timedelta(seconds=then)
    assert lineage_of(receipts, "curated_mixes/m", at=time).as_json() == before


def test_a_reused_result_is_told_by_the_event_that_computed_it() -> None:
    log = small_log()
    made = next(r for r in log.rows if r["asset"] == "raw_pool" and r["partition"] == "00000")
    log.build(
        "raw_pool", "00000", version=made["data_version"], reused=True, run_id="idle", seconds=0.0,
        table_versions={}, provenance={"recap.commit": "newer"}, facts={"reused": "yes"},
    )  # fmt: skip
    log.build("synthetic_captions/a", "00000", {"raw_pool": "same"})
    origin = lineage_of(log.receipts(), "synthetic_captions/a", "00000")
    (state,) = origin.ancestors["raw_pool"].states
    assert state.newest.event_id == len(log.rows) - 1
    assert state.newest.run_id == made["run_id"]
    assert state.newest.provenance == made["provenance"]
    assert state.newest.table_versions == made["table_versions"]
    assert state.newest.reused


def test_a_reused_event_without_the_one_that_computed_it_speaks_for_itself() -> None:
    log = Log()
    log.build("raw_pool", "00000", reused=True)
    origin = lineage_of(log.receipts(), "raw_pool")
    assert origin.root.states[0].newest.run_id == "run1"


def test_a_missing_receipt_of_what_was_read_is_told() -> None:
    log = small_log()
    lost = log.build("raw_pool", "00000")
    log.build("synthetic_captions/a", "00000", {"raw_pool": "same"})
    whole = lineage_of(log.receipts(), "synthetic_captions/a", "00000")
    assert not whole.root.uncertain
    log.rows = [row for row in log.rows if row["event_id"] != lost]
    origin = lineage_of(log.receipts(), "synthetic_captions/a", "00000")
    assert origin.root.uncertain == {"raw_pool"}
    assert events(origin)["raw_pool"] == [2]


def test_events_of_a_new_storage_follow_those_of_a_lost_one() -> None:
    log = small_log()
    before = lineage_of(log.receipts(), "synthetic_captions/a").as_json()
    n = len(log.rows)
    anew = [("raw_pool", {}, "p"), ("synthetic_captions/a", {"raw_pool": "same"}, "c")]
    for event, (asset, reads, version) in enumerate(anew, start=1):
        log.build(asset, "00000", reads, version, instance="i2", event_id=event)
    for row in log.rows[n + 1 :]:
        row["input_events"], row["inputs"] = {"raw_pool": 1}, {"raw_pool": "p"}
    origin = lineage_of(log.receipts(), "synthetic_captions/a", "00000")
    assert origin.data_versions == {
        "synthetic_captions/a": {"00000": "c"}, "raw_pool": {"00000": "p"},
    }  # fmt: skip
    then = START + timedelta(seconds=n)
    assert lineage_of(log.receipts(), "synthetic_captions/a", at=then).as_json() == before


def test_two_versions_that_were_read_are_two_states() -> None:
    log = Log()
    log.build("raw_pool", "0", provenance={"recap.commit": "old"})
    log.build("synthetic_captions/a", "0", {"raw_pool": "same"})
    log.build("raw_pool", "0", version="v1", provenance={"recap.commit": "new"})
    log.build("mix", "0", {"raw_pool": "same", "synthetic_captions/a": "same"})
    origin = lineage_of(log.receipts(), "mix")
    assert events(origin)["raw_pool"] == [1, 3]
    assert len(origin.ancestors["raw_pool"].states) == 2


def test_what_left_the_experiment_keeps_its_lineage() -> None:
    log = small_log()
    then = len(log.rows)
    for key in ("00000", "00001"):
        log.build("curated_mixes/m", key, {"raw_pool": "same"})  # the captioner is gone
    assert set(lineage_of(log.receipts(), "curated_mixes/m").ancestors) == {
        "curated_mixes/m", "raw_pool",
    }  # fmt: skip
    older = lineage_of(log.receipts(), "curated_mixes/m", at=then)
    assert older.ancestors["synthetic_captions/a"].rows.height == 2
    assert lineage_of(log.receipts(), "synthetic_captions/a").root.rows.height == 2


def test_a_partition_that_had_left_is_not_among_those_read() -> None:
    log = Log()
    for key in ("0", "1", "2"):
        log.build("scores", key)
    left = folded_version(["0", "2"], ["v1", "v3"])
    log.build("thresholds", "", {"scores": "all"}, inputs={"scores": left})
    for key in ("0", "2"):
        log.build("mix", key, {"thresholds": "all"})
    origin = lineage_of(log.receipts(), "mix")
    assert origin.ancestors["scores"].rows["partition"].to_list() == ["0", "2"]
    assert not origin.ancestors["thresholds"].uncertain
    # The threshold alone does not tell which partitions the pool had.
    alone = lineage_of(log.receipts(), "thresholds")
    assert alone.ancestors["thresholds"].uncertain == {"scores"}
    assert alone.ancestors["scores"].rows.height == 3


def test_partitions_that_left_the_asset_itself_are_not_shown() -> None:
    origin = lineage_of(small_log().receipts(), "curated_mixes/m", members={"00001"})
    assert origin.root.rows["partition"].to_list() == ["00001"]


def test_the_json_reads_back_as_the_same_tree() -> None:
    log = small_log()
    origin = lineage_of(log.receipts(), "curated_mixes/m")
    content = json.loads(json.dumps(origin.as_json()))
    again = lineage_of(Receipts.from_frame(rows_of(content)), "curated_mixes/m")
    assert again.as_json() == content
    assert again.data_versions == origin.data_versions
    assert origin.table_versions["curated_mixes"] == (9, 10)


def test_json_of_another_form_is_refused_in_words() -> None:
    with pytest.raises(LineageError, match="no lineage as `recap lineage --json`"):
        rows_of({"ancestors": [{"asset": "x", "states": [{}]}]})


@pytest.mark.parametrize(
    ("asset", "partition", "at", "words"),
    [
        ("curated_mixes/other", None, None, "curated_mixes/other was never built"),
        ("curated_mixes/m", "9", None, "has the partitions 00000, 00001"),
        ("curated_mixes/m", None, 2, "was not built as of 2; its first receipt is of 2026-01-01"),
    ],
)
def test_what_has_no_receipt_is_told(asset: str, partition: str, at: int, words: str) -> None:
    with pytest.raises(LineageError, match=words):
        lineage_of(small_log().receipts(), asset, partition, at)


def test_the_combined_version_is_pinned_and_ignores_the_order() -> None:
    rows = pl.DataFrame({"partition": ["0", "1"], "data_version": ["a", "b"]})
    assert combined_version(rows) == combined_version(rows[::-1]) == "023e723212a96384"
    swapped = pl.DataFrame({"partition": ["0", "1"], "data_version": ["b", "a"]})
    assert combined_version(swapped) != combined_version(rows)


def test_only_ancestors_are_loaded() -> None:
    log = small_log()
    log.build("evaluation_results/m", "0", {"curated_mixes/m": "all"})
    loaded: list[pl.DataFrame] = []

    def scan() -> pl.LazyFrame:
        return log.frame().lazy()

    receipts = Receipts.from_table(scan, "synthetic_captions/a")
    loaded = [receipts.of(name) for name in ("raw_pool", "evaluation_results/m", "thresholds/m")]
    assert [rows.height for rows in loaded] == [2, 0, 0]


BUILDS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("01"), st.booleans()), max_size=40
)


@settings(max_examples=60)
@given(BUILDS)
def test_the_walk_takes_the_newest_event_up_to_the_pointer(
    builds: list[tuple[str, str, bool]],
) -> None:
    """Against a plain recursive walk, on a chain c -> b -> a with edges of both kinds."""
    log = Log()
    for asset, partition, whole in builds:
        upstream = {"a": {}, "b": {"a": "all" if whole else "same"}, "c": {"b": "same", "a": "all"}}
        log.build(asset, partition, upstream[asset])
    if not any(row["asset"] == "c" for row in log.rows):
        return

    def newest(asset: str, upto: int, partition: str | None) -> list[dict]:
        found = {
            r["partition"]: r for r in log.rows if r["asset"] == asset and r["event_id"] <= upto
        }
        return [r for p, r in found.items() if partition in (None, p)]

    expected: dict[str, set[int]] = {}

    def walk(row: dict) -> None:
        expected.setdefault(row["asset"], set()).add(row["event_id"])
        for dependency, how in row["reads"].items():
            if dependency in row["input_events"]:
                only = row["partition"] if how == "same" else None
                for read in newest(dependency, row["input_events"][dependency], only):
                    walk(read)

    for row in newest("c", len(log.rows), None):
        walk(row)
    origin = lineage_of(log.receipts(), "c")
    assert {name: set(ids) for name, ids in events(origin).items()} == expected
    assert not any(ancestor.uncertain for ancestor in origin.ancestors.values())
