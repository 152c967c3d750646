"""What decides the results of one task: another task beside it evaluates none of the others again.

Rows of a task are taken over, as images' captions are (`graph.by_row`), where the same model was
evaluated on the same set in the same way, under whatever mix, seed or experiment.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from recap_assets.artefacts.evaluation import EVALUATION_RESULTS
from recap_assets.artefacts.table import HASH
from recap_assets.artefacts.training import TRAINED_CLIP
from recap_assets.evalsets.kind import tasks_of
from recap_assets.evaluation.kind import OnAnother
from recap_assets.evaluation.scorers import ScorerRead, scorer_read
from recap_assets.evaluation.tasks import TaskSet, set_version
from recap_assets.graph.kept_rows import HASH_BYTES, ByRow
from recap_assets.graph.node import Step
from recap_assets.graph.project import Project
from recap_assets.specs.base import deciding
from recap_assets.training.prefixes import prefix_of

BY_TASK = ByRow(EVALUATION_RESULTS, names=("evaluation", "scorers"), is_outside_hashed=True)
"""A task's hash has what of the evaluation, of the scorers and of the sets decides its results."""


def wanted_tasks(project: Project, mix: str, step: Step, sets: Sequence[TaskSet]) -> pl.DataFrame:
    """The tasks with the hash of all that decides the results of each, but the code.

    Args:
        project: The experiment.
        mix: Whose model is evaluated.
        step: The partition. Where it does not say which model it reads, no hash is known.
        sets: The tasks.
    """
    model = step.reads.get(TRAINED_CLIP.key(mix))
    found = None if model is None else [_hash(project, mix, model, one) for one in sets]
    schema = {"task": pl.String, HASH: pl.Binary}
    return pl.DataFrame({"task": [one.name for one in sets], HASH: found}, schema=schema)


def without_hash(rows: pl.DataFrame, tasks: Iterable[str]) -> pl.DataFrame:
    """The rows, of which those of some tasks are not taken over by anyone.

    Of a task that set samples aside the reasons are in the receipt, and not in its rows.
    """
    kept = pl.when(~pl.col("task").is_in(list(tasks))).then(pl.col(HASH))
    return rows.with_columns(kept.alias(HASH))


def _hash(project: Project, mix: str, model: str, one: TaskSet) -> bytes:
    evaluation = project.experiment.evaluation
    beside = {
        n: v for n, v in evaluation.deciding_results.items() if n not in ("tasks", "datacomp")
    }
    prefix = evaluation.prefix and prefix_of(project.experiment.mixes[mix], evaluation.prefix)
    told = deciding(
        model=model, evaluation=beside, prefix=prefix, task=one.name,
        settings=_settings(project, one), set=set_version(project, one.name),
        scorer=_scorer(project, one.name),
    )  # fmt: skip
    return hashlib.blake2b(told.encode(), digest_size=HASH_BYTES).digest()


def _settings(project: Project, one: TaskSet) -> Sequence[Mapping[str, object]]:
    """Those of a task and of the one whose set it measures; DataComp's have none."""
    tasks = project.experiment.tasks
    return [
        tasks[name].decides() for name in dict.fromkeys((one.name, one.of_set)) if name in tasks
    ]


def _scorer(project: Project, name: str) -> Sequence[object]:
    """What decides a scorer that a task asks; which models it is of is an input of all tasks."""
    task = tasks_of(project.experiment.tasks).get(name)
    asked = task.scorer(project.experiment) if isinstance(task, OnAnother) else None
    return [] if asked is None else _told(scorer_read(project, asked))


def _told(scorer: ScorerRead) -> Sequence[object]:
    return [scorer.decides, "" if scorer.outside is None else scorer.outside("")]
