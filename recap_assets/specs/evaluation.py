"""Evaluation sets and how their results are averaged."""

from typing import Annotated, Literal

from pydantic import Field

from recap_assets.specs.base import Name, Spec


class EmbeddedTask(Spec):
    """A held-out set that the embedded world writes for itself."""

    kind: Literal["embedded"]
    task: Literal[
        "fine", "tail", "coarse", "colour", "texture", "scene", "count", "fine_among_many",
        "fine_shifted", "retrieval",
    ]  # fmt: skip
    samples: int = Field(default=600, gt=0, description="Images of the set.")


class WebDatasetTask(Spec):
    """A set in CLIP_benchmark's webdataset layout: `test/N.tar`, `classnames.txt`, templates."""

    kind: Literal["webdataset"]
    path: str = Field(description="The folder of the set: a local path or an fsspec URL.")
    split: str = "test"
    metric: Literal["acc1", "acc5", "mean_per_class_recall", "mean_recall@1"] | None = Field(
        default=None, description="Main metric; by default acc1, or mean_recall@1 for retrieval."
    )


Task = Annotated[EmbeddedTask | WebDatasetTask, Field(discriminator="kind")]


class Evaluation(Spec):
    """What every trained CLIP is measured on."""

    tasks: dict[Name, Task] = Field(min_length=1)
    average: tuple[Name, ...] = Field(
        default=(), description="Tasks whose main metric is averaged; by default all of them."
    )
    batch_size: int = Field(
        default=128, gt=0, description="Rows of one forward pass; changes no result."
    )
