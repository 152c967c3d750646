"""A target of the images of an evaluation task."""

from collections.abc import Iterator
from functools import partial

from pydantic import Field

from recap_assets.artefacts.world import task_key
from recap_assets.evalsets.sets import AssociationSet, load_set
from recap_assets.graph.node import Dependency, ForAll
from recap_assets.graph.outside import Outside
from recap_assets.graph.project import Setting
from recap_assets.sets.kinds.image_based.targets import Batch, ImagesTarget, TargetError
from recap_assets.shards.images import decode
from recap_assets.shards.manifest import survey_tars
from recap_assets.specs.base import Name, fingerprint_of
from recap_assets.specs.evaluation import EmbeddedTask
from recap_assets.specs.pool import ImageLimits
from recap_assets.specs.references import Reference

IMAGES_AT_ONCE = 256
LIMITS = ImageLimits()


class TargetTask(ImagesTarget):
    """The images of an evaluation task, which the scorer embeds."""

    decided_elsewhere = ("task",)

    task: Name = Field(description="A task of this experiment.")

    def refers(self) -> Iterator[Reference]:
        """The task."""
        yield Reference("task", self.task, "tasks")

    def reads(self, setting: Setting, scorer: str) -> tuple[Dependency, ...]:
        """What trains the scorer, and a task that is drawn."""
        task = setting.experiment.tasks[self.task]
        drawn = (Dependency(task_key(self.task), "all"),) if isinstance(task, EmbeddedTask) else ()
        return (*super().reads(setting, scorer), *drawn)

    def images_outside(self, setting: Setting) -> Outside | None:
        """Version of the task's files, where it is not drawn."""
        task = setting.experiment.tasks[self.task]
        if isinstance(task, EmbeddedTask):
            return None

        def version() -> str:
            folder = f"{task.path.rstrip('/')}/{task.split}"
            shards = survey_tars(folder).shards
            return fingerprint_of(*(f"{shard.name} {shard.version}" for shard in shards))

        return ForAll(version)

    def batches(self, setting: Setting) -> Iterator[tuple[Batch, int]]:
        """The task's images."""
        task = setting.experiment.tasks[self.task]
        drawn = isinstance(task, EmbeddedTask)
        folder = str(setting.workspace.world / "evaluation" / self.task) if drawn else task.path
        evaluation_set = load_set(
            folder, "test" if drawn else task.split, partial(decode, limits=LIMITS)
        )
        if isinstance(evaluation_set, AssociationSet):
            msg = f"evaluation.tasks.{self.task}: a set of cues and candidates is no set of images"
            raise TargetError(msg)
        for images, _ in evaluation_set.batches(IMAGES_AT_ONCE):
            yield images, 0
