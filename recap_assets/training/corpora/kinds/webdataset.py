"""Tar shards of images with captions."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from recap_assets.pool.listing import findings_of
from recap_assets.shards.manifest import survey_tars
from recap_assets.specs.base import fingerprint_of
from recap_assets.specs.fields import Address
from recap_assets.specs.findings import Finding
from recap_assets.specs.pool import ImageLimits
from recap_assets.training.corpora.kind import ImageCorpus

if TYPE_CHECKING:
    from recap_assets.graph.project import Project
    from recap_assets.shards.reading import CorpusSample


class WebDatasetCorpus(ImageCorpus):
    """Tar shards with an image and a `.txt` of one caption a line."""

    kind: Literal["webdataset"]
    shards: Annotated[str, Address] = Field(
        description="Folder or glob of the tars: a local path or an fsspec URL."
    )
    limits: ImageLimits = ImageLimits()

    def read(self, name: str, project: "Project") -> "Iterator[CorpusSample]":  # noqa: ARG002 - of all kinds
        """The samples of each tar, in the order of their names."""
        from recap_assets.shards.reading import iterate_corpus

        shards = survey_tars(self.shards, f"corpora.{name}.shards").shards
        return iterate_corpus([shard.url for shard in shards], self.limits)

    def version(self) -> str:
        """Of all tars."""
        shards = survey_tars(self.shards, "shards").shards
        return fingerprint_of(*(f"{shard.name} {shard.version}" for shard in shards))

    def decides_models(self) -> Mapping[str, object]:
        """The limits, where they are not the usual ones."""
        return {**self.decides_beyond_default("limits"), **self.implemented_by}

    def doctor(self, where: str) -> Iterator[Finding]:
        """Whether there are shards."""
        return findings_of(where, lambda: survey_tars(self.shards, f"{where}.shards"))
