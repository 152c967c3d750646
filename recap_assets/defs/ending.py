"""What a process of ours leaves undone when it ends."""

import gc
import sys

COUNTS_LEAKS = "triton"
"""Prints dozens of lines of what was not collected at the end of the process that imported it."""


def leave_garbage() -> None:
    """Spare the last look for garbage, which takes a second; called when the process ends."""
    if COUNTS_LEAKS not in sys.modules:
        gc.freeze()
