"""Runs that this machine's builds create are those of the code location that the UI loads."""

from pathlib import Path

import dagster as dg
import yaml

from recap_assets.defs.code_location import name_location, target
from recap_assets.defs.platform import definitions_of
from recap_assets.defs.session import Session

REPOSITORY = Path(__file__).parents[2]


@dg.asset
def an_asset() -> None:
    """Nothing."""


def test_a_run_names_the_code_location_that_the_web_server_loads(
    session: Session, instance: dg.DagsterInstance
) -> None:
    job = dg.Definitions(assets=[an_asset]).resolve_implicit_global_asset_job_def()
    name_location(instance)
    done = job.execute_in_process(instance=instance)
    assert done.success
    origin = done.dagster_run.remote_job_origin
    assert origin is not None
    # The UI finds a run's row in the timeline by these three names.
    served = definitions_of(session).get_repository_def()
    assert origin.repository_origin.repository_name == served.name
    assert served.has_job(origin.job_name)
    assert origin.job_name == done.dagster_run.job_name
    (location,) = target().create_origins()
    assert origin.location_name == location.location_name
    (loaded,) = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text())["load_from"]
    assert origin.location_name == loaded["python_module"]
