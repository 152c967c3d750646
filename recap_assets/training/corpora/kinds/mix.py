"""The pairs of a curated mix of this experiment, as a corpus."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.training import TRAINING_PAIRS
from recap_assets.specs.base import Name
from recap_assets.specs.references import IMAGES, SOURCES, Reference
from recap_assets.training.corpora.kind import ImageCorpus

if TYPE_CHECKING:
    from recap_assets.graph.project import Project
    from recap_assets.shards.reading import CorpusSample
    from recap_assets.training.engine.pairs import TrainingPairs


class MixCorpus(ImageCorpus):
    """The pairs of a curated mix of this experiment, drawn by their weights.

    A model that learns from it is trained again when an image, a text or a weight of the mix is
    another one, as the CLIPs of the mix are.
    """

    gives = frozenset({IMAGES, SOURCES})

    kind: Literal["mix"]
    mix: Name = Field(description="The mix.")

    def refers(self) -> Iterator[Reference]:
        """The mix."""
        yield Reference("mix", self.mix, "mixes")

    def made_by(self, name: str) -> str:  # noqa: ARG002 - of all kinds
        """The asset that says what training sees of the mix."""
        return TRAINING_PAIRS.key(self.mix)

    def sources_made_by(self) -> str:
        """The mix, of which the asset above leaves out the sources."""
        return CURATED_MIXES.key(self.mix)

    def decides_models(self) -> Mapping[str, object]:
        """Nothing but the pairs."""
        return self.implemented_by

    def read(self, name: str, project: "Project") -> "Iterator[CorpusSample]":  # noqa: ARG002 - of all kinds
        """Each image that can be read, in the order of uids, with its texts."""
        from recap_assets.training.loading import mix_samples

        return mix_samples(project, self.mix)

    def pairs(self, name: str, project: "Project", side: int) -> "TrainingPairs":  # noqa: ARG002 - of all kinds
        """The pairs with their weights, and the source of each."""
        from recap_assets.training.loading import mix_pairs

        return mix_pairs(project, self.mix, side, with_sources=True)
