"""Dagster's entry point: the assets, jobs, schedules and sensors of the chosen experiment.

RECAP_EXPERIMENT names the experiment file; without it the embedded demo is shown.
"""

import gc

import dagster as dg

from recap_assets.defs.garbage import collect_seldom


def _definitions() -> dg.Definitions:
    """Those of the experiment that the environment names."""
    from recap_assets.defs.platform import definitions_of  # noqa: PLC0415 - see below
    from recap_assets.defs.session import Session  # noqa: PLC0415

    return definitions_of(Session.from_environment())


# Of what is loaded hardly anything is garbage, and looking for it takes a fifth of the time.
_collects = gc.isenabled()
gc.disable()
try:
    defs = _definitions()
finally:
    if _collects:
        gc.enable()
# The same holds for what a run imports: torch takes a fifth less.
collect_seldom()
