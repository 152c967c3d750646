"""How often a process of ours looks for garbage: seldom, and not when it ends."""

import gc
import sys

COUNTS_LEAKS = "triton"
"""Prints dozens of lines of what was not collected at the end of the process that imported it."""

SELDOM = (10_000, 10, 10)
"""New objects before those are looked through, and how many such looks before one at older ones:
the first is 700 by default. With a larger last one what a run leaves would stay for many runs."""


def collect_seldom() -> None:
    """Look for garbage less often than Python does by itself.

    Hardly any of the objects of modules and of Dagster is garbage, and looking through them while
    they are made takes a fifth of an import of torch and a third of that of Dagster.
    """
    gc.set_threshold(*SELDOM)


def leave_garbage() -> None:
    """Spare the last look for garbage, which takes a second; called when the process ends."""
    if COUNTS_LEAKS not in sys.modules:
        gc.freeze()
