"""`recap` as `benchmarks/overhead.py` runs it: each partition's processor time goes into a file.

Worker processes import this module, too, before they build anything. The time of a partition is
that of all threads of its process while it is computed and written.
"""

import os
import time

from recap_assets.graph import building
from recap_assets.graph.node import Node, Outcome, Step
from recap_assets.graph.workers import HERE, Workers

FILE = "RECAP_OVERHEAD_FILE"
"""Environment variable: where a line `stage seconds` is added for each partition."""

_computed = building.compute_and_write


def compute_and_write(node: Node, step: Step, workers: Workers = HERE) -> Outcome:
    """As `building.compute_and_write`."""
    start = time.process_time()
    outcome = _computed(node, step, workers)
    with open(os.environ[FILE], "a", encoding="utf-8") as file:  # noqa: PTH123 - appends whole lines
        file.write(f"{node.stage} {time.process_time() - start}\n")
    return outcome


building.compute_and_write = compute_and_write

if __name__ == "__main__":
    from recap_assets.cli.main import main

    main()
