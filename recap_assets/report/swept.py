"""The results of swept settings, as curves."""

from itertools import product

import polars as pl

from recap_assets.plots.sweeps import SWEPT
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.setting_keys import Value, value_at
from recap_assets.specs.sweeps import Sweep, read_sweeps


def sweeps_of(experiment: Experiment) -> list[Sweep]:
    """The sweeps of an experiment."""
    return read_sweeps(experiment.model_dump(mode="json", include={"sweep"})["sweep"])


def swept_rows(experiment: Experiment, board: pl.DataFrame, tasks: tuple[str, ...]) -> pl.DataFrame:
    """SWEPT, by sweep, task and mix, in the order of the values as they are written.

    The mix without the sweep is a point of its curve, the first, at the value that the file has.

    Args:
        experiment: As it was read, with the variants of its sweeps.
        board: LEADERBOARD.
        tasks: Those that are shown.
    """
    cells = {(row["mix"], row["task"]): row for row in board.iter_rows(named=True)}
    rows: list[tuple[object, ...]] = []
    for sweep in sweeps_of(experiment):
        written = [value for value in _written(experiment, sweep) if value not in sweep.values]
        for task, mix in product(tasks, _varied(experiment, sweep)):
            variants = [(value, sweep.variant(mix, value)) for value in sweep.values]
            for value, name in [*((value, mix) for value in written), *variants]:
                if cell := cells.get((name, task)):
                    found = (cell["mean"], cell["deviation"])
                    rows.append((sweep.path, mix, str(value), task, *found))
    return pl.DataFrame(rows, schema=SWEPT, orient="row")


def _varied(experiment: Experiment, sweep: Sweep) -> list[str]:
    """The mixes that a sweep varies."""
    return [
        mix
        for mix in experiment.mixes
        if any(sweep.variant(mix, value) in experiment.mixes for value in sweep.values)
    ]


def _written(experiment: Experiment, sweep: Sweep) -> list[Value]:
    """The value in the file; none where it has none there, or the settings have several."""
    part = getattr(experiment, sweep.section)[sweep.name]
    content = part.model_dump(mode="json")
    found = {found for keys in sweep.settings if (found := value_at(content, keys)) is not None}
    return list(found) if len(found) == 1 else []
