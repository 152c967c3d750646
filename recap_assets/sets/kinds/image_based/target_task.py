"""A target of the images of an evaluation task."""

from collections.abc import Iterator
from functools import partial

from pydantic import Field

from recap_assets.evalsets.kind import Task, tasks_of
from recap_assets.evalsets.sets import AssociationSet
from recap_assets.graph.stage import Dependency, ForAll, Outside, Project
from recap_assets.sets.targets import Batch, ImagesTarget, TargetError
from recap_assets.shards.images import decode
from recap_assets.specs.base import Name
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

    def reads(self, project: Project, scorer: str) -> tuple[Dependency, ...]:
        """What trains the scorer, and what makes a set that is made here."""
        made = (Dependency(key, "all") for key in self._task(project).made_by(self.task))
        return (*super().reads(project, scorer), *made)

    def images_outside(self, project: Project) -> Outside | None:
        """Version of the task's files, where no asset makes them."""
        task = self._task(project)
        return None if list(task.made_by(self.task)) else ForAll(task.images_version)

    def batches(self, project: Project) -> Iterator[tuple[Batch, int]]:
        """The task's images."""
        made = project.task_folder(self.task)
        evaluation_set = self._task(project).open(made, partial(decode, limits=LIMITS))
        if isinstance(evaluation_set, AssociationSet):
            msg = f"evaluation.tasks.{self.task}: a set of cues and candidates is no set of images"
            raise TargetError(msg)
        for images in evaluation_set.images(IMAGES_AT_ONCE):
            yield images, 0

    def _task(self, project: Project) -> Task:
        return tasks_of(project.experiment.tasks)[self.task]
