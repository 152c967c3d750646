"""A backfill that ended says in the UI's list what its runs came to."""

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.storage.tags import BACKFILL_ID_TAG

from recap_assets.defs.run_results import RESULTS_TAG, tag_backfills
from recap_assets_tests.defs.automation.conftest import RAW


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def add_backfill(instance: dg.DagsterInstance, name: str, status: BulkActionStatus) -> None:
    instance.add_backfill(
        PartitionBackfill(
            backfill_id=name,
            status=status,
            from_failure=False,
            tags={"who": "me"},
            backfill_timestamp=1.0,
            asset_selection=[dg.AssetKey(RAW)],
            serialized_asset_backfill_data="{}",
        )
    )


def add_run(instance: dg.DagsterInstance, backfill: str, results: str | None) -> None:
    tags = {BACKFILL_ID_TAG: backfill}
    tags |= {} if results is None else {RESULTS_TAG: results}
    instance.create_run_for_job(dg.job(name="nothing")(lambda: None), tags=tags)


def tags_of(instance: dg.DagsterInstance, name: str) -> dict[str, str]:
    backfill = instance.get_backfill(name)
    assert backfill is not None
    return dict(backfill.tags)


def test_the_runs_of_a_backfill_are_added_up_once(instance: dg.DagsterInstance) -> None:
    add_backfill(instance, "done", BulkActionStatus.COMPLETED_SUCCESS)
    for results in ("64 reused", "3 computed, 5 reused", "1 computed, 2 taken over", None):
        add_run(instance, "done", results)
    add_run(instance, "another", "7 computed")
    assert tag_backfills(instance) == 1
    assert tags_of(instance, "done") == {
        "who": "me", RESULTS_TAG: "4 computed, 69 reused, 2 taken over",
    }  # fmt: skip
    assert tag_backfills(instance) == 0


def test_an_open_backfill_is_left_to_the_daemon(instance: dg.DagsterInstance) -> None:
    add_backfill(instance, "open", BulkActionStatus.REQUESTED)
    add_run(instance, "open", "3 computed")
    assert tag_backfills(instance) == 0
    assert tags_of(instance, "open") == {"who": "me"}


def test_a_backfill_that_built_nothing_says_so(instance: dg.DagsterInstance) -> None:
    add_backfill(instance, "failed", BulkActionStatus.COMPLETED_FAILED)
    add_run(instance, "failed", None)
    assert tag_backfills(instance) == 1
    assert tags_of(instance, "failed")[RESULTS_TAG] == "nothing was built"
