"""A corpus that the program draws."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from recap_assets.artefacts.world import corpus_key
from recap_assets.training.corpora.kind import ImageCorpus

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project
    from recap_assets.shards.reading import CorpusSample

NARROW_NOTE = (
    "A captioner of the narrow style is trained to name common classes coarsely. That its captions "
    "are the worse ones to train on is built into the world."
)


class EmbeddedCorpus(ImageCorpus):
    """Clean captions of drawn images. Styles: see docs/embedded_world.md."""

    kind: Literal["embedded"]
    style: Literal["broad", "narrow", "scorer", "broad_rot13"] = Field(
        description="broad: fine names for many classes; narrow: coarse names for the common ones; "
        "scorer: a mixture of rich alt-text and clean captions; broad_rot13: as broad, in the "
        "world's second language."
    )
    samples: int = Field(default=8_000, gt=0, le=1_000_000, description="Images to draw.")
    captions_per_image: int = Field(default=3, gt=0, le=100, description="Captions of each image.")

    @property
    def notes(self) -> Sequence[str]:
        """What the narrow style is for."""
        return (NARROW_NOTE,) if self.style == "narrow" else ()

    def nodes(self, name: str, project: "Project") -> "list[Node]":
        """The asset that draws it."""
        from recap_assets.training.corpora.drawing import node_of

        return [node_of(project, name, self)]

    def made_by(self, name: str) -> str:
        """The asset that draws it."""
        return corpus_key(name)

    def decides_models(self) -> Mapping[str, object]:
        """Nothing but what is drawn."""
        return self.implemented_by

    def read(self, name: str, project: "Project") -> "Iterator[CorpusSample]":
        """The samples that were drawn."""
        from recap_assets.shards.manifest import survey_tars
        from recap_assets.shards.reading import iterate_corpus

        folder = project.workspace.world / "corpora" / name
        shards = survey_tars(str(folder), f"corpora.{name}").shards
        return iterate_corpus([shard.url for shard in shards])
