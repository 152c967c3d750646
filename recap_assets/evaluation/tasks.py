"""The evaluation sets of an experiment, declared and DataComp's, and what version each has."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial

from recap_assets.evalsets.embedding import Embedder
from recap_assets.evalsets.kind import Task, tasks_of
from recap_assets.evalsets.sets import Decode, EvaluationSet, EvaluationSetError, load_set
from recap_assets.evaluation.datacomp.root import (
    SPLIT,
    Located,
    MissingSetsError,
    how_to_get,
    locate,
)
from recap_assets.evaluation.kind import MadeHere, OnAnother
from recap_assets.evaluation.versions import Looks, looking, set_versions
from recap_assets.graph.node import Dependency, Node
from recap_assets.graph.project import Project
from recap_assets.scores.opened import embedder_of
from recap_assets.specs.base import fingerprint_of
from recap_assets.specs.datacomp import TASKS
from recap_assets.specs.evaluation import DataCompTasks

LOOK_SECONDS = 10
"""How long a look at DataComp's forty folders holds: a plan asks for each mix and seed."""


@dataclass(frozen=True)
class TaskSet:
    """One task's set.

    Attributes:
        name: The task.
        open: Opens the set; see `evalsets.kind.Task.open`.
        metric: The main metric; None for the set's own.
        rests_on: The task whose set it is; None for its own.
        passes_images_on: See `evalsets.kind.Task.passes_images_on`.
    """

    name: str
    open: Callable[[Decode], EvaluationSet]
    metric: str | None = None
    rests_on: str | None = None
    passes_images_on: bool = field(default=False, kw_only=True)

    @property
    def of_set(self) -> str:
        """The task that the set is of."""
        return self.rests_on or self.name


def nodes(project: Project) -> list[Node]:
    """The assets that make sets."""
    tasks = tasks_of(project.experiment.tasks).items()
    made = [(name, task) for name, task in tasks if isinstance(task, MadeHere)]
    return [node for name, task in made for node in task.nodes(name, project)]


def sets_of(project: Project) -> list[TaskSet]:
    """The set of every task, the declared ones first, then DataComp's.

    Raises:
        MissingSetsError: Sets of DataComp are missing, and the experiment does not say that those
            which are there will do; or none is there.
    """
    datacomp = project.experiment.evaluation.datacomp
    declared = [_declared(project, name) for name in project.experiment.tasks]
    return declared + (_datacomp_sets(datacomp) if datacomp else [])


def set_of(project: Project, name: str) -> TaskSet:
    """The set of one task.

    Raises:
        MissingSetsError: It is one of DataComp's that is not there.
    """
    evaluation = project.experiment.evaluation
    if evaluation.datacomp is None or name in evaluation.tasks:
        return _declared(project, name)
    return _datacomp_sets(evaluation.datacomp.model_copy(update={"tasks": (name,)}))[0]


def located(datacomp: DataCompTasks) -> Located:
    """Which sets of DataComp are there."""
    return locate(datacomp.root, datacomp.names)


def dependencies(project: Project, names: Iterable[str] | None = None) -> tuple[Dependency, ...]:
    """Edges to the assets that make sets: those of some tasks, or of all."""
    tasks = tasks_of(project.experiment.tasks)
    chosen = [name for name in (tasks if names is None else names) if name in tasks]
    sets = dict.fromkeys(tasks[name].rests_on or name for name in chosen)
    made = (k for name in sets if name in tasks for k in tasks[name].made_by(name))
    return tuple(Dependency(k, "all") for k in made)


def sets_version(project: Project) -> str:
    """What changes when a set that is outside changes, or one of DataComp's comes or goes."""
    with looking(_looks(project)):
        return _sets_version(project, int(time.monotonic() / LOOK_SECONDS))


def refuse_missing_sets(project: Project) -> None:
    """Refuse where a set is not where the experiment says: it is read last, after all the rest.

    Raises:
        PoolError: A folder is not there, or has no shards.
        EvaluationSetError: A file is not there.
        MissingSetsError: Sets of DataComp are not there.
    """
    sets_version(project)
    sets_of(project)


def learn_sets(project: Project) -> None:
    """Hash the sets, so that what is touched from now on keeps its version.

    They are read while they are evaluated, and so they are near.
    """
    if not project.is_read_only:
        with looking(_looks(project, learns=True)):
            _sets_version(project, -1)


def _looks(project: Project, *, learns: bool = False) -> Looks:
    return Looks(project.workspace.contents, learns, not project.is_read_only)


def _sets_version(project: Project, look: int) -> str:
    evaluation = project.experiment.evaluation
    versions: list[str] = []
    for name, task in tasks_of(evaluation.tasks).items():
        versions += _versions_of(name, task)
    if evaluation.datacomp:
        found = _datacomp_versions if look >= 0 else _datacomp_versions.__wrapped__
        versions += found(evaluation.datacomp, look)  # pyright: ignore[reportArgumentType] - frozen, so hashable
    return fingerprint_of(*versions)


def _versions_of(name: str, task: Task) -> list[str]:
    try:
        return list(task.versions(name))
    except FileNotFoundError as error:
        msg = f"evaluation.tasks.{name}: there is no {error.filename or error}. Correct the path"
        raise EvaluationSetError(msg) from error


def scorers_asked(project: Project) -> list[str]:
    """The scorers of the experiment that tasks need, each once."""
    tasks = tasks_of(project.experiment.tasks).values()
    asked = (task.scorer(project.experiment) for task in tasks if isinstance(task, OnAnother))
    return [*dict.fromkeys(name for name in asked if name is not None)]


def ranges(project: Project) -> Mapping[tuple[str, str], tuple[float, float]]:
    """Least and greatest value of metrics that are not between 0 and 1, by task and metric."""
    tasks = tasks_of(project.experiment.tasks).items()
    return {(name, metric): at for name, task in tasks for metric, at in task.ranges.items()}


def set_version(project: Project, name: str) -> str:
    """What changes when one task's set changes; nothing where an asset makes it."""
    task = tasks_of(project.experiment.tasks).get(name)
    if task is None:
        return _datacomp_version(project, name)
    if task.rests_on is not None:
        return set_version(project, task.rests_on)
    with looking(_looks(project)):
        return name if list(task.made_by(name)) else fingerprint_of(*_versions_of(name, task))


def _datacomp_version(project: Project, name: str) -> str:
    datacomp = project.experiment.evaluation.datacomp
    folder = locate(datacomp.root, [name]).folders.get(name) if datacomp else None
    return fingerprint_of(*_versions(name, folder)) if folder else f"{name} missing"


def _declared(project: Project, name: str) -> TaskSet:
    task: Task = tasks_of(project.experiment.tasks)[name]
    metric, passes_on = task.main_metric, task.passes_images_on
    if isinstance(task, OnAnother):
        whole = set_of(project, task.of)
        opened = partial(_over, task, whole, project)
        passes_on = passes_on and whole.passes_images_on
        return TaskSet(name, opened, metric, task.of, passes_images_on=passes_on)
    opened = partial(task.open, project.task_folder(name))
    return TaskSet(name, opened, metric, passes_images_on=passes_on)


def _over(task: OnAnother, whole: TaskSet, project: Project, decode: Decode) -> EvaluationSet:
    def scorer() -> Embedder:
        name = task.scorer(project.experiment)
        if name is None:
            msg = f"{task.word}: no scorer of this experiment embeds images; declare one"
            raise EvaluationSetError(msg)
        return embedder_of(project, name)

    return task.over(whole.open(decode), scorer)


def _datacomp_sets(datacomp: DataCompTasks) -> list[TaskSet]:
    there = located(datacomp)
    if there.missing and (datacomp.tasks != "available" or not there.folders):
        raise MissingSetsError(how_to_get(datacomp.root, there.missing))
    return [_of_datacomp(name, path) for name, path in there.folders.items()]


def _of_datacomp(name: str, path: str) -> TaskSet:
    task = TASKS[name]

    def opened(decode: Decode) -> EvaluationSet:
        return load_set(path, SPLIT, decode, task.protocol)

    return TaskSet(name, opened, task.main_metric, passes_images_on=True)


@lru_cache(maxsize=8)
def _datacomp_versions(datacomp: DataCompTasks, _look: int) -> tuple[str, ...]:
    there = located(datacomp)
    found = [f"{name} missing" for name in there.missing]
    for name, path in there.folders.items():
        found += _versions(name, path)
    return tuple(found)


def _versions(name: str, path: str) -> Iterator[str]:
    return set_versions(name, path, SPLIT, TASKS[name].protocol)
