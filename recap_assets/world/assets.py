"""The embedded world: evaluation sets that the program draws itself."""

from recap_assets.artefacts.world import task_key
from recap_assets.graph.content import StoredFiles, files_below
from recap_assets.graph.node import Node, Outcome, Step
from recap_assets.graph.project import Setting
from recap_assets.specs.base import deciding
from recap_assets.specs.evaluation import EmbeddedTask
from recap_assets.storage.content import files_version
from recap_assets.world.writing import write_task

VERSION = 1
STAGE = "world"
SECONDS_PER_IMAGE = 0.002


def nodes(setting: Setting) -> list[Node]:
    """A node for each evaluation set that is drawn."""
    made = []
    for name, task in setting.experiment.evaluation.tasks.items():
        if isinstance(task, EmbeddedTask):
            made.append(_task_node(setting, name, task))
    return made


def _task_node(setting: Setting, name: str, task: EmbeddedTask) -> Node:
    folder = setting.workspace.world / "evaluation" / name

    def compute(_step: Step) -> Outcome:
        write_task(folder, setting.experiment.seed, task.task, task.samples)
        return Outcome(files_version(files_below(folder), folder), task.samples)

    return Node(
        key=task_key(name),
        stage=STAGE,
        dimension="none",
        dependencies=(),
        implementation=VERSION,
        decides=deciding(seed=setting.experiment.seed, task=task),
        compute=compute,
        description="A held-out evaluation set in CLIP_benchmark's layout.",
        content=StoredFiles(lambda _: folder, lambda _: files_below(folder)),
        seconds=task.samples * SECONDS_PER_IMAGE,
        kinds=("python", "webdataset"),
    )
