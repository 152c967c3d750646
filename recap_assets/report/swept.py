"""The results of swept settings, as curves."""

import polars as pl

from recap_assets.plots.sweeps import SWEPT
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.sweeps import Sweep, read_sweeps


def sweeps_of(experiment: Experiment) -> list[Sweep]:
    """The sweeps of an experiment."""
    return read_sweeps(experiment.model_dump(mode="json", include={"sweep"})["sweep"])


def swept_rows(experiment: Experiment, board: pl.DataFrame, tasks: tuple[str, ...]) -> pl.DataFrame:
    """SWEPT, by sweep, task and mix, in the order of the values as they are written.

    Args:
        experiment: As it was read, with the variants of its sweeps.
        board: LEADERBOARD.
        tasks: Those that are shown.
    """
    cells = {(row["mix"], row["task"]): row for row in board.iter_rows(named=True)}
    rows: list[tuple[object, ...]] = []
    for sweep in sweeps_of(experiment):
        for task in tasks:
            for mix in experiment.mixes:
                for value in sweep.values:
                    if cell := cells.get((sweep.variant(mix, value), task)):
                        found = (cell["mean"], cell["deviation"])
                        rows.append((sweep.path, mix, str(value), task, *found))
    return pl.DataFrame(rows, schema=SWEPT, orient="row")
