"""What guessing gives for the main metric of each task."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

import polars as pl

from recap_assets.evalsets.measuring import CHANCE
from recap_assets.evalsets.sets import ClassificationSet, EvaluationSet, RetrievalSet
from recap_assets.evaluation.tasks import TaskSet, sets_of
from recap_assets.graph.stage import Project
from recap_assets.shards.images import decode
from recap_assets.specs.pool import ImageLimits
from recap_assets.untrusted.errors import RecapError

HITS_AMONG_CLASSES = {"acc1": 1, "mean_per_class_recall": 1, "acc5": 5}
RETRIEVED_FIRST = "mean_recall@1"

_decode = partial(decode, limits=ImageLimits())


def chances(project: Project, results: pl.DataFrame) -> dict[str, float]:
    """What guessing gives, fractions of one, by task; a task where it cannot be said is left out.

    Args:
        project: The experiment.
        results: EVALUATION_RESULTS.
    """
    said = results.filter(pl.col("metric") == CHANCE).group_by("task").agg(pl.col("value").mean())
    return {**dict(_of_sets(project, results)), **dict(said.iter_rows())}


def average_chance(chance: Mapping[str, float], tasks: Sequence[str]) -> float | None:
    """The mean over the tasks; None where one of them is not known, or there is none."""
    known = [chance[task] for task in tasks if task in chance]
    return sum(known) / len(known) if known and len(known) == len(tasks) else None


def _of_sets(project: Project, results: pl.DataFrame) -> Iterator[tuple[str, float]]:
    main = results.filter("is_main").unique("task", keep="any", maintain_order=True)
    measured = {
        task: (metric, n) for task, metric, n in main.select("task", "metric", "n_samples").rows()
    }
    for one in _sets_there(project):
        if one.name in measured and one.rests_on is None:
            with suppress(RecapError, OSError, ValueError):  # what it was measured on may have gone
                found = _of_set(one.open(_decode), *measured[one.name])
                if found is not None:
                    yield one.name, found


def _sets_there(project: Project) -> list[TaskSet]:
    try:
        return sets_of(project)
    except RecapError:
        return []  # DataComp's, of which some have gone


def _of_set(opened: EvaluationSet, metric: str, n_samples: int) -> float | None:
    if isinstance(opened, ClassificationSet) and metric in HITS_AMONG_CLASSES:
        return min(1.0, HITS_AMONG_CLASSES[metric] / len(opened.class_names))
    if isinstance(opened, RetrievalSet) and metric == RETRIEVED_FIRST:
        return 1 / n_samples
    return None
