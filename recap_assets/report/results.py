"""The results of the mixes that the experiment has now."""

import polars as pl

from recap_assets.artefacts import EVALUATION_RESULTS
from recap_assets.graph.stage import Project


def current_results(project: Project) -> pl.DataFrame:
    """EVALUATION_RESULTS of the mixes and seeds that the experiment has now."""
    if not project.experiment.trains:
        return EVALUATION_RESULTS.empty()
    of_mixes = pl.col("mix").is_in(list(project.experiment.mixes))
    of_seeds = pl.col("seed").is_in(project.experiment.training.seeds)
    return project.workspace.tables.scan(EVALUATION_RESULTS).filter(of_mixes & of_seeds).collect()
