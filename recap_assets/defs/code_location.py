"""The code location that `recap ui` loads, which the runs of `recap build` name as theirs.

Dagster's timeline and the home page show no run without one.
"""

from functools import partial

import dagster as dg
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from dagster._core.remote_origin import RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.workspace.load_target import ModuleTarget

DEFINITIONS = "recap_assets.definitions"
REPOSITORY = "__repository__"
"""The name that Dagster gives to all that a module's `Definitions` hold."""


def target() -> ModuleTarget:
    """What the web server loads."""
    return ModuleTarget(
        module_name=DEFINITIONS, attribute=None, working_directory=None, location_name=None
    )


def name_location(instance: dg.DagsterInstance) -> None:
    """Let the runs that this process creates itself name the code location.

    `JobDefinition.execute_in_process` has no argument for it, and the method that it calls has.
    """
    (location,) = target().create_origins()
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, REPOSITORY), IMPLICIT_ASSET_JOB_NAME)
    create = partial(instance.create_run_for_job, remote_job_origin=origin)
    instance.create_run_for_job = create  # type: ignore[method-assign]
