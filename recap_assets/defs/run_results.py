"""What a run's partitions came to, as a tag of the run: in a list of runs all look alike else.

The runs of a backfill are listed on its page, so it is seen there when a backfill computed nothing.
"""

import re
from collections import Counter

import dagster as dg

from recap_assets.defs.events import COMPUTED, REUSED, TAKEN

RESULTS_TAG = "recap/results"
_ONE = re.compile(rf"(\d{{1,9}}) ({COMPUTED}|{REUSED}|{TAKEN})")


def tag_results(instance: dg.DagsterInstance, run: dg.DagsterRun, results: Counter[str]) -> None:
    """Add those of one step to the run's tag: `3 computed, 5 reused`."""
    current = instance.get_run_by_id(run.run_id)
    if not results or current is None:
        return
    # Where each step has a process of its own, only the tag knows of those before.
    so_far = Counter({what: int(n) for n, what in _ONE.findall(current.tags.get(RESULTS_TAG, ""))})
    words = ", ".join(f"{n} {what}" for what, n in sorted((so_far + results).items()))
    instance.add_run_tags(run.run_id, {RESULTS_TAG: words})
