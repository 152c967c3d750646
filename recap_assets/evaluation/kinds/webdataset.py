"""Sets in CLIP_benchmark's layout."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from recap_assets.evalsets.sets import EvaluationSet, load_set
from recap_assets.evalsets.webdatasets import Decode
from recap_assets.evaluation.kind import Existing
from recap_assets.specs.fields import Address


class WebDatasetTask(Existing):
    """A set in CLIP_benchmark's webdataset layout: `test/N.tar`, `classnames.txt`, templates."""

    kind: Literal["webdataset"]
    path: Annotated[str, Address] = Field(
        description="The folder of the set: a local path or an fsspec URL."
    )
    split: str = "test"
    metric: Literal["acc1", "acc5", "mean_per_class_recall", "mean_recall@1"] | None = Field(
        default=None, description="Main metric; by default acc1, or mean_recall@1 for retrieval."
    )

    def open(self, made: Path, decode: Decode) -> EvaluationSet:  # noqa: ARG002 - of all kinds
        """The set in the folder."""
        return load_set(self.path, self.split, decode)

    @property
    def place(self) -> str:
        """The folder."""
        return self.path

    @property
    def passes_images_on(self) -> bool:
        """It does."""
        return True

    @property
    def main_metric(self) -> str | None:
        """The metric."""
        return self.metric

    def versions(self, name: str) -> Iterator[str]:
        """The shards, and what names the classes and their prompts."""
        from recap_assets.evaluation.versions import set_versions

        yield from set_versions(name, self.path, self.split)

    def images_version(self) -> str:
        """The shards alone."""
        from recap_assets.evaluation.versions import shards_version

        return shards_version(self.path, self.split)
