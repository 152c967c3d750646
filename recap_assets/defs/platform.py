"""All of Dagster's definitions for one experiment."""

import dagster as dg

from recap_assets.defs.assets import assets_of
from recap_assets.defs.automation import schedule_of, sensors_of, stage_jobs
from recap_assets.defs.session import Session


def definitions_of(session: Session) -> dg.Definitions:
    """Assets from the graph, a job and a schedule for each stage, the sensor for new shards."""
    jobs = stage_jobs(session.graph)
    return dg.Definitions(
        assets=assets_of(session.graph, session.setting),
        jobs=[job.definition for job in jobs],
        schedules=[schedule_of(session, job) for job in jobs],
        sensors=sensors_of(session),
    )
