"""The evaluation sets of an experiment: where each lies, how it is read, what version it has."""

import time
from dataclasses import dataclass
from functools import lru_cache

from fsspec.implementations.local import LocalFileSystem

from recap_assets.artefacts.world import task_key
from recap_assets.evalsets.rows import row_files
from recap_assets.evalsets.sets import Decode, EvaluationSet, load_set
from recap_assets.evalsets.webdatasets import SetFolder
from recap_assets.evaluation.datacomp.root import (
    SPLIT,
    Located,
    MissingSetsError,
    how_to_get,
    locate,
)
from recap_assets.graph.node import Dependency
from recap_assets.graph.project import Setting
from recap_assets.shards.files import version_of
from recap_assets.shards.manifest import survey_tars
from recap_assets.specs.base import fingerprint_of
from recap_assets.specs.datacomp import TASKS, Protocol
from recap_assets.specs.evaluation import DataCompTasks, EmbeddedTask
from recap_assets.storage import places

SET_TEXTS = ("dataset_type.txt", "classnames.txt", "zeroshot_classification_templates.txt")
"""Files of a set beside its shards that decide a result."""

LOOK_SECONDS = 10
"""How long a look at DataComp's forty folders holds: a plan asks for each mix and seed."""


@dataclass(frozen=True)
class TaskSet:
    """One task's set.

    Attributes:
        name: The task.
        path: Its folder, a local path or an fsspec URL.
        split: The subfolder with the shards.
        protocol: How it is evaluated.
        metric: The main metric; None for the protocol's own.
    """

    name: str
    path: str
    split: str = SPLIT
    protocol: Protocol = "standard"
    metric: str | None = None


def sets_of(setting: Setting) -> list[TaskSet]:
    """The set of every task, the declared ones first, then DataComp's.

    Raises:
        MissingSetsError: Sets of DataComp are missing, and the experiment does not say that those
            which are there will do; or none is there.
    """
    datacomp = setting.experiment.evaluation.datacomp
    return _declared_sets(setting) + (_datacomp_sets(datacomp) if datacomp else [])


def set_of(setting: Setting, name: str) -> TaskSet:
    """The set of one task.

    Raises:
        MissingSetsError: It is one of DataComp's that is not there.
    """
    evaluation = setting.experiment.evaluation
    if evaluation.datacomp is None or name in evaluation.tasks:
        return next(one for one in _declared_sets(setting) if one.name == name)
    return _datacomp_sets(evaluation.datacomp.model_copy(update={"tasks": (name,)}))[0]


def located(datacomp: DataCompTasks) -> Located:
    """Which sets of DataComp are there."""
    return locate(datacomp.root, datacomp.names)


def open_set(one: TaskSet, decode: Decode) -> EvaluationSet:
    """Open a task's set; see `load_set`."""
    return load_set(one.path, one.split, decode, one.protocol)


def dependencies(setting: Setting) -> tuple[Dependency, ...]:
    """Edges to the sets that the embedded world draws."""
    tasks = setting.experiment.evaluation.tasks
    drawn = [name for name, task in tasks.items() if isinstance(task, EmbeddedTask)]
    return tuple(Dependency(task_key(name), "all") for name in drawn)


def sets_version(setting: Setting) -> str:
    """What changes when a set that lies outside changes, or one of DataComp's comes or goes."""
    evaluation = setting.experiment.evaluation
    versions: list[str] = []
    for name, task in evaluation.tasks.items():
        if not isinstance(task, EmbeddedTask):
            versions += _shard_versions(TaskSet(name, task.path, task.split))
    if evaluation.datacomp:
        look = int(time.monotonic() / LOOK_SECONDS)
        versions += _datacomp_versions(evaluation.datacomp, look)  # pyright: ignore[reportArgumentType] - frozen, so hashable
    return fingerprint_of(*versions)


def set_version(setting: Setting, name: str) -> str:
    """What changes when one task's set changes; nothing where the embedded world draws it."""
    if isinstance(setting.experiment.evaluation.tasks.get(name), EmbeddedTask):
        return name
    try:
        one = set_of(setting, name)
    except MissingSetsError:
        return f"{name} missing"
    return fingerprint_of(*_shard_versions(one))


def _declared_sets(setting: Setting) -> list[TaskSet]:
    found: list[TaskSet] = []
    for name, task in setting.experiment.evaluation.tasks.items():
        if isinstance(task, EmbeddedTask):
            found.append(TaskSet(name, str(setting.workspace.world / "evaluation" / name)))
        else:
            found.append(TaskSet(name, task.path, task.split, metric=task.metric))
    return found


def _datacomp_sets(datacomp: DataCompTasks) -> list[TaskSet]:
    there = located(datacomp)
    if there.missing and (datacomp.tasks != "available" or not there.folders):
        raise MissingSetsError(how_to_get(datacomp.root, there.missing))
    return [
        TaskSet(name, path, SPLIT, TASKS[name].protocol, TASKS[name].main_metric)
        for name, path in there.folders.items()
    ]


@lru_cache(maxsize=8)
def _datacomp_versions(datacomp: DataCompTasks, _look: int) -> tuple[str, ...]:
    there = located(datacomp)
    found = [f"{name} missing" for name in there.missing]
    for name, path in there.folders.items():
        found += _shard_versions(TaskSet(name, path, protocol=TASKS[name].protocol))
    return tuple(found)


def _shard_versions(one: TaskSet) -> list[str]:
    folder = SetFolder.of(one.path)
    if one.protocol in ("retrieval", "winogavil") and (files := row_files(folder, one.split)):
        fs, _ = places.located(one.path)
        is_local = isinstance(fs, LocalFileSystem)
        return [
            f"{one.name} {path} {version_of(fs.info(path), path, is_local=is_local)}"
            for path in files
        ]
    texts = [name for name in SET_TEXTS if folder.has(name)]
    told = [f"{one.name} {name} {_file_version(folder, name)}" for name in texts]
    shards = f"{one.path.rstrip('/')}/{one.split}"
    listed = survey_tars(shards).shards
    return told + [f"{one.name} {shard.name} {shard.version}" for shard in listed]


def _file_version(folder: SetFolder, name: str) -> str:
    fs, root = places.located(folder.path)
    path = f"{root.rstrip('/')}/{name}"
    return version_of(fs.info(path), path, is_local=isinstance(fs, LocalFileSystem))
