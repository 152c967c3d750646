"""Dagster's entry point: the assets, jobs, schedules and sensors of the chosen experiment.

RECAP_EXPERIMENT names the experiment file; without it the embedded demo is shown.
"""

from recap_assets.defs.platform import definitions_of
from recap_assets.defs.session import Session

defs = definitions_of(Session.from_environment())
