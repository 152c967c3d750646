"""The results of swept settings, as curves."""

from collections.abc import Sequence
from itertools import product

import polars as pl

from recap_assets.evaluation.averages import AVERAGE
from recap_assets.plots.sweeps import SWEPT
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.setting_keys import Value, value_at
from recap_assets.specs.sweeps import Sweep, read_sweeps

POOL_FRACTION = ("within", "fraction")
"""The setting of a mix that is on a part of the pool; a mix without it is on all of it."""


def sweeps_of(experiment: Experiment) -> list[Sweep]:
    """The sweeps of an experiment."""
    return read_sweeps(experiment.model_dump(mode="json", include={"sweep"})["sweep"])


def written_sources(experiment: Experiment) -> tuple[str, ...]:
    """The sources without those that sweeps add, `raw` first."""
    added = {
        sweep.variant(name, value)
        for sweep in sweeps_of(experiment)
        for name, value in product(experiment.sources, sweep.values)
    }
    return tuple(name for name in experiment.source_names if name not in added)


def swept_rows(experiment: Experiment, board: pl.DataFrame, tasks: tuple[str, ...]) -> pl.DataFrame:
    """SWEPT, by setting, task and mix, in the order of the values as they are written.

    The mix without the sweep is a point of its curve, the first, at the value that the file has.
    Sweeps that give one setting the same values, each of another mix, are one set of curves. The
    average over parts of the pool is not here: it has a chart of its own.

    Args:
        experiment: As it was read, with the variants of its sweeps.
        board: LEADERBOARD.
        tasks: Those that are shown.
    """
    cells = {(row["mix"], row["task"]): row for row in board.iter_rows(named=True)}
    rows: list[tuple[object, ...]] = []
    for sweeps in _together(sweeps_of(experiment)):
        first = sweeps[0]
        shown = [task for task in tasks if task != AVERAGE or first.settings[0] != POOL_FRACTION]
        for task, mix in product(shown, _varied(experiment, first)):
            written = [(value, mix) for value in _written(experiment, sweeps, mix)]
            variants = [(value, first.variant(mix, value)) for value in first.values]
            for value, name in [*written, *variants]:
                if cell := cells.get((name, task)):
                    found = (cell["mean"], cell["deviation"])
                    rows.append((_title(sweeps), mix, str(value), task, *found))
    return pl.DataFrame(rows, schema=SWEPT, orient="row")


def _together(sweeps: Sequence[Sweep]) -> list[list[Sweep]]:
    """Sweeps whose variants have the same names: the setting and the values are the same."""
    found: dict[tuple[str, tuple[Value, ...]], list[Sweep]] = {}
    for sweep in sweeps:
        found.setdefault((sweep.setting, sweep.values), []).append(sweep)
    return list(found.values())


def _title(sweeps: Sequence[Sweep]) -> str:
    """The key of the only sweep, or the setting that several have in common."""
    if len(sweeps) == 1:
        return sweeps[0].path
    settings = {".".join(sweep.settings[0]) for sweep in sweeps}
    return settings.pop() if len(settings) == 1 else sweeps[0].setting


def _varied(experiment: Experiment, sweep: Sweep) -> list[str]:
    """The mixes that a sweep varies, and others by sweeps of the same setting and values."""
    return [
        mix
        for mix in experiment.mixes
        if any(sweep.variant(mix, value) in experiment.mixes for value in sweep.values)
    ]


def _written(experiment: Experiment, sweeps: Sequence[Sweep], mix: str) -> list[Value]:
    """The value that a mix has in the file; none where several settings of it differ.

    Nor where it is one of the values that are swept, since the variant has it.
    """
    own = [sweep for sweep in sweeps if (sweep.section, sweep.name) == ("mixes", mix)]
    found: set[Value] = set()
    for sweep in own or sweeps:
        content = getattr(experiment, sweep.section)[sweep.name].model_dump(mode="json")
        whole = 1.0 if sweep.settings[0] == POOL_FRACTION else None
        values = (value_at(content, keys) for keys in sweep.settings)
        found |= {value for one in values if (value := whole if one is None else one) is not None}
    return list(found) if len(found) == 1 and not found & set(sweeps[0].values) else []
