"""What a run's partitions came to, as a tag of the run: in a list of runs all look alike else.

The runs of a backfill are listed on its page, so it is seen there when a backfill computed nothing.
"""

from collections import Counter
from functools import lru_cache

import dagster as dg

RESULTS_TAG = "recap/results"


def tag_results(instance: dg.DagsterInstance, run: dg.DagsterRun, results: Counter[str]) -> None:
    """Add those of one step to the run's tag: `3 computed, 5 reused`."""
    if not results:
        return
    so_far = _of_run(run.run_id)
    so_far.update(results)
    words = ", ".join(f"{n} {result}" for result, n in sorted(so_far.items()))
    instance.add_run_tags(run.run_id, {RESULTS_TAG: words})


@lru_cache(maxsize=1)
def _of_run(_run_id: str) -> Counter[str]:
    # All steps of a run are in one process, one after the other.
    return Counter()
