"""Evaluation sets that the program draws itself."""

from recap_assets.artefacts.world import task_key
from recap_assets.graph.content import StoredFiles, files_below
from recap_assets.graph.node import Node, Outcome, Step
from recap_assets.graph.project import Project
from recap_assets.specs.base import Spec, deciding
from recap_assets.storage.content import files_version
from recap_assets.world.writing import write_task

VERSION = 1
STAGE = "world"
SECONDS_PER_IMAGE = 0.002


def node_of(project: Project, name: str, spec: Spec, task: str, samples: int) -> Node:
    """The asset that draws a set.

    Args:
        project: The experiment.
        name: The task's name in it.
        spec: What decides the set.
        task: Which set of `world.evaluation.TASKS`.
        samples: Images of it.
    """
    folder = project.task_folder(name)

    def compute(_step: Step) -> Outcome:
        write_task(folder, project.experiment.seed, task, samples)
        return Outcome(files_version(files_below(folder), folder), samples)

    return Node(
        key=task_key(name),
        stage=STAGE,
        dimension="none",
        dependencies=(),
        implementation=VERSION,
        decides=deciding(seed=project.experiment.seed, task=spec),
        compute=compute,
        description="A held-out evaluation set in CLIP_benchmark's layout.",
        content=StoredFiles(lambda _: folder, lambda _: files_below(folder)),
        seconds=samples * SECONDS_PER_IMAGE,
        kinds=("python", "webdataset"),
    )
