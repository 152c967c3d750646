"""What a run's partitions came to, as a tag of the run: in a list of runs all look alike else.

The UI's list shows a backfill in the place of its runs, so it has the tag, too, when it ended.
"""

import re
from collections import Counter

import dagster as dg
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES, BulkActionsFilter
from dagster._core.storage.tags import BACKFILL_ID_TAG

from recap_assets.defs.events import COMPUTED, REUSED, TAKEN

RESULTS_TAG = "recap/results"
BACKFILLS = 20
"""Those that are looked at, the newest."""

_ONE = re.compile(rf"(\d{{1,9}}) ({COMPUTED}|{REUSED}|{TAKEN})")


def tag_results(instance: dg.DagsterInstance, run: dg.DagsterRun, results: Counter[str]) -> None:
    """Add those of one step to the run's tag: `3 computed, 5 reused`."""
    current = instance.get_run_by_id(run.run_id)
    if not results or current is None:
        return
    # Where each step has a process of its own, only the tag knows of those before.
    instance.add_run_tags(run.run_id, {RESULTS_TAG: _words(_results(current) + results)})


def tag_backfills(instance: dg.DagsterInstance) -> int:
    """Add up the runs of backfills that ended, in a tag of each; how many got theirs.

    One that is open is the daemon's, which would write over it.
    """
    ended = BulkActionsFilter(statuses=list(BULK_ACTION_TERMINAL_STATUSES))
    found = instance.get_backfills(filters=ended, limit=BACKFILLS)
    fresh = [backfill for backfill in found if RESULTS_TAG not in backfill.tags]
    for backfill in fresh:
        runs = instance.get_runs(dg.RunsFilter(tags={BACKFILL_ID_TAG: backfill.backfill_id}))
        results = sum(map(_results, runs), Counter[str]())
        tags = {**backfill.tags, RESULTS_TAG: _words(results) or "nothing was built"}
        instance.update_backfill(backfill._replace(tags=tags))
    return len(fresh)


def _results(run: dg.DagsterRun) -> Counter[str]:
    found = _ONE.findall(run.tags.get(RESULTS_TAG, ""))
    return Counter({what: int(n) for n, what in found})


def _words(results: Counter[str]) -> str:
    return ", ".join(f"{n} {what}" for what, n in sorted(results.items()))
