"""One training of a search: pairs selected, a CLIP trained and evaluated, and nothing written.

The stages do what they do for the experiment's own mixes, in a workspace whose cut-offs and pairs
of the one mix are in memory, and whose trained models are in a folder that is emptied.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from recap_assets.artefacts import CURATED_MIXES, EVALUATION_RESULTS, THRESHOLDS, Table
from recap_assets.evaluation.assets import evaluate_mix
from recap_assets.evaluation.averages import AVERAGE, averages_by_seed
from recap_assets.graph.stage import Project, Step
from recap_assets.mixes.assets import realise_cutoffs, select_pairs
from recap_assets.mixes.thresholds import EmptyPopulationError
from recap_assets.search.halving import Candidate, Result
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.loading import ExperimentError, with_settings
from recap_assets.specs.searches import Search
from recap_assets.storage.tables import TableStore
from recap_assets.storage.workspace import Workspace
from recap_assets.training.assets import launcher_of
from recap_assets.untrusted.showing import one_line

NO_PAIRS = "no pair"
MAX_REASON = 1_000
"""Characters of why a trial was set aside."""


class TablesWithMix(TableStore):
    """The tables, in which the slices of one mix are in memory."""

    def __init__(self, tables: TableStore, mix: str) -> None:
        super().__init__(tables.root, tables.storage_options)
        self._mix = mix
        self._held: dict[str, pl.DataFrame] = {}

    def hold(self, table: Table, rows: pl.DataFrame) -> None:
        """Give these rows where the mix's slice of a table is read."""
        named = rows.with_columns(mix=pl.lit(self._mix))
        self._held[table.name] = named.select(list(table.columns)).cast(pl.Schema(table.schema))

    def scan(self, table: Table, version: int | None = None, **at: str | int) -> pl.LazyFrame:
        """As the stored tables', but for the mix."""
        if table.name not in self._held or at.get("mix") != self._mix:
            return super().scan(table, version, **at)
        return self._held[table.name].lazy().filter(**at)


@dataclass(frozen=True)
class TrialWorkspace(Workspace):
    """The experiment's workspace, in which one mix and the models trained on it are another.

    Attributes:
        mix: The mix.
        folder: Where its models are while they are evaluated.
    """

    mix: str = ""
    folder: Path = Path()

    @cached_property
    def tables(self) -> TablesWithMix:
        """The experiment's tables, and in memory those of the mix."""
        return TablesWithMix(super().tables, self.mix)

    def checkpoint(self, mix: str, seed: int) -> Path:
        """Folder of a training run."""
        return self.folder / f"{mix}.{seed}"


@dataclass(frozen=True)
class Proxies:
    """The trainings of a search.

    Attributes:
        project: The experiment and its workspace.
        search: With `among` and `seeds` spelled out.
        folder: Where checkpoints are, of this search alone.
        progress: Called with the done fraction of a training.
    """

    project: Project
    search: Search
    folder: Path
    progress: Callable[[float], None]

    def __call__(self, candidate: Candidate, samples_seen: int, seed: int) -> Result:
        """Train on a candidate and evaluate; see `halving.Measure`."""
        if (known := self._known(candidate, samples_seen, seed)) is not None:
            return known
        try:
            trial, mix = self._trial(candidate, samples_seen)
        except (ExperimentError, EmptyPopulationError) as error:
            return Result(None, 0, f"no mix: {one_line(str(error), MAX_REASON)}")
        n_pairs = _n_pairs(trial, mix)
        if not n_pairs:
            return Result(None, 0, NO_PAIRS)
        results = self._results(trial, mix, seed)
        value = value_of(self.project.experiment, self.search.on, results)
        if value is None:
            return Result(None, n_pairs, f"no result: of {self.search.on}")
        return Result(value, n_pairs)

    def _known(self, candidate: Candidate, samples_seen: int, seed: int) -> Result | None:
        """What the experiment's own training on a hand-made mix gave, where it is that one."""
        training, tables = self.project.experiment.training, self.project.workspace.tables
        is_own = samples_seen == training.samples_seen and seed in training.seeds
        if candidate.settings is not None or not is_own:
            return None
        results = tables.read(EVALUATION_RESULTS, mix=candidate.name, seed=seed)
        value = value_of(self.project.experiment, self.search.on, results)
        n_pairs = _n_pairs(self.project, candidate.name)
        return None if value is None else Result(value, n_pairs)

    def _trial(self, candidate: Candidate, samples_seen: int) -> tuple[Project, str]:
        """The experiment as it is for one training, and the mix to train on.

        Raises:
            ExperimentError: The settings make no mix, or one that does not fit.
            EmptyPopulationError: It ranks scores of which there are none.
        """
        experiment = self.project.experiment
        mix = candidate.name
        if candidate.settings is not None:
            experiment = with_settings(experiment, self.search, candidate.settings)
            mix = self.search.mix
        training = experiment.training.model_copy(update={"samples_seen": samples_seen})
        own = self.project.workspace
        workspace = TrialWorkspace(own.data, own.name, own.tables_root, mix=mix, folder=self.folder)
        experiment = experiment.model_copy(update={"training": training})
        trial = Project(experiment, workspace)
        if candidate.settings is not None:
            _select(trial, mix, workspace.tables)
        return trial, mix

    def _results(self, trial: Project, mix: str, seed: int) -> pl.DataFrame:
        """EVALUATION_RESULTS of a CLIP trained on the mix."""
        step = Step(str(seed), progress=self.progress)
        trained = launcher_of(trial).train(trial, mix, step)
        folder = trial.workspace.checkpoint(mix, seed)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        trained.save(folder)
        rows = evaluate_mix(trial, mix, Step(str(seed))).frame
        shutil.rmtree(folder)
        trained.clear()
        return rows.with_columns(mix=pl.lit(mix), seed=pl.lit(seed, pl.Int64))


def _select(trial: Project, mix: str, tables: TablesWithMix) -> None:
    """Find the mix's cut-offs and pairs, and hold them."""
    tables.hold(THRESHOLDS, realise_cutoffs(trial, mix).frame)
    parts = [
        select_pairs(trial, mix, Step(partition)).frame.with_columns(partition=pl.lit(partition))
        for partition in trial.partitions
    ]
    tables.hold(CURATED_MIXES, pl.concat(parts))


def _n_pairs(project: Project, mix: str) -> int:
    rows = project.workspace.tables.scan(CURATED_MIXES, mix=mix)
    now = rows.filter(pl.col("partition").is_in(list(project.partitions)))
    return now.select(pl.len()).collect().item()


def value_of(experiment: Experiment, on: str, results: pl.DataFrame) -> float | None:
    """What a search maximises, of one training; None where a task has no result."""
    if on != AVERAGE:
        found = results.filter("is_main", task=on)
    else:
        found = averages_by_seed(results, experiment.evaluation.averaged)
    values = found["value"].drop_nans().drop_nulls().to_list()
    return values[0] if values else None
