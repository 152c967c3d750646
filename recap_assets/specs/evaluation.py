"""Evaluation sets, how their results are averaged, and how captions are judged."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from recap_assets.specs import datacomp
from recap_assets.specs.base import Name, Spec
from recap_assets.specs.fields import Address, Speed
from recap_assets.specs.kinds import OneOf


class TaskSpec(Spec):
    """A set that CLIPs are measured on; a kind is below `evalsets.kind.Task`."""

    @property
    def rests_on(self) -> str | None:
        """The task whose set it measures in another way; None where it has a set of its own."""
        return None


Task = Annotated[TaskSpec, OneOf("tasks")]


class DataCompTasks(Spec):
    """DataComp's tasks, read where its download script put them."""

    root: Annotated[str, Address] = Field(
        description="The folder with `wds_imagenet1k_test` and the rest: a local path or an fsspec "
        "URL."
    )
    tasks: Literal["all", "available"] | tuple[Name, ...] = Field(
        default="all",
        description="all: the 40 tasks, of which none may be missing. available: those that are "
        "there. Or names (imagenet1k, cifar100). The average is over all 38, so without some of "
        "them there is none.",
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The tasks meant, in DataComp's order, whether they are there or not."""
        if isinstance(self.tasks, str):
            return tuple(datacomp.TASKS)
        return tuple(name for name in datacomp.TASKS if name in self.tasks)

    @field_validator("tasks")
    @classmethod
    def _known(cls, tasks: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(tasks, str):
            return tasks
        if unknown := [name for name in tasks if name not in datacomp.TASKS]:
            msg = (
                f"DataComp has no task {unknown[0]!r}; it has {', '.join(datacomp.TASKS)}; or say "
                "all, or available"
            )
            raise ValueError(msg)
        if not tasks:
            msg = "name a task at least, or say all, or available"
            raise ValueError(msg)
        return tasks


class CaptionMetrics(Spec):
    """How well each captioner describes images that people have described."""

    sets: tuple[Name, ...] = Field(
        min_length=1, description="Retrieval tasks whose captions are the references."
    )
    bags: int | None = Field(
        default=None,
        ge=2,
        le=10_000,
        description="Images of a bag: each caption also looks for its image among those most "
        "similar to it by the scorer. By default only among the whole set.",
    )
    scorer: Name | None = Field(
        default=None,
        description="Scorer of CLIP-S, RefCLIP-S and self-retrieval; by default the first. "
        "Published values are those of OpenAI's ViT-B-32.",
    )


class Evaluation(Spec):
    """What trained CLIPs and captioners are measured on; without tasks no CLIP is trained."""

    tasks: dict[Name, Task] = Field(default={}, description="Sets by a name of yours.")
    datacomp: DataCompTasks | None = Field(
        default=None, description="DataComp's tasks, beside those above."
    )
    average: tuple[Name, ...] = Field(
        default=(),
        description="Tasks whose main metric is averaged; by default all of them, or, where "
        "`datacomp` is given, DataComp's 38.",
    )
    batch_size: Annotated[int, Speed] = Field(
        default=128, gt=0, le=65_536, description="Rows of one forward pass; changes no result."
    )
    image_cache_gib: Annotated[float, Speed] = Field(
        default=16.0,
        ge=0,
        le=1_000_000,
        allow_inf_nan=False,
        description="GiB in the data folder for images of the sets at the size that models take "
        "(150 kB each at 224 pixels), so that each is decoded once for all models; 0 for none. "
        "Changes no result.",
    )
    captions: CaptionMetrics | None = Field(
        default=None, description="Reference metrics of the captioners; by default none."
    )
    prefix: Name | None = Field(
        default=None,
        exclude_if=lambda prefix: prefix is None,
        description="With `training.prefix`: the source whose name every prompt and text of a task "
        "begins with; for a mix without texts of it, the mix's first source.",
    )

    @property
    def task_names(self) -> tuple[str, ...]:
        """Every task, DataComp's included."""
        return (*self.tasks, *(self.datacomp.names if self.datacomp else ()))

    @property
    def averaged(self) -> tuple[str, ...]:
        """Tasks of the average; empty for all that have results."""
        if self.average or self.datacomp is None:
            return self.average
        return datacomp.AVERAGED

    @property
    def deciding_results(self) -> Mapping[str, object]:
        """What decides the results of a trained CLIP."""
        # Not said where it is not used: then what was built before it existed stays as it is.
        return self.decides("average", "captions", *([] if self.datacomp else ["datacomp"]))

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if problems := list(self._problems()):
            raise ValueError("; ".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        for name in self.tasks:
            if self.datacomp and name in self.datacomp.names:
                yield f"tasks.{name}: a task of `datacomp` has this name too; rename yours"
        yield from self._problems_of_others_sets()

    def _problems_of_others_sets(self) -> Iterator[str]:
        own = [name for name in self.task_names if self._has_a_set(name)]
        for name, task in self.tasks.items():
            if task.rests_on in self.tasks and task.rests_on not in own:
                known = ", ".join(own) or "none"
                why = "has no set of its own"
                yield f"tasks.{name}.of: the task {task.rests_on!r} {why}; those that have: {known}"

    def _has_a_set(self, name: str) -> bool:
        return name not in self.tasks or self.tasks[name].rests_on is None
