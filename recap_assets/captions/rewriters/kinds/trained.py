"""A rewriter that this experiment trains."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from recap_assets.captions.rewriters.kind import RewriteTask, Rewriting
from recap_assets.engines.protocols import Places, Rewriter
from recap_assets.specs.base import Name
from recap_assets.specs.decoding import Decoding
from recap_assets.specs.fields import Speed
from recap_assets.specs.references import Reference
from recap_assets.specs.sources import Device


class EmbeddedRewriter(Rewriting):
    """A rewriter that the asset `models/<model>` trains; it takes no prompt."""

    asks = False

    kind: Literal["embedded"]
    model: Name = Field(
        description="A model of kind rewriter in this experiment; the source reads its inputs."
    )
    decoding: Decoding = Decoding()
    batch_size: Annotated[int, Speed] = Field(
        default=64, gt=0, le=65_536, description="Rows of one forward pass; changes no text."
    )
    device: Device = Field(default="auto", description="auto: a GPU where there is one.")

    def open(self, places: Places, task: RewriteTask) -> Rewriter:
        """The rewriter that was trained.

        Raises:
            ModelFileError: It is missing or damaged, or did not learn to read what the task has.
        """
        from recap_assets.engines.small.loading import load_small_rewriter

        folder = places.models / self.model
        rewriter = load_small_rewriter(
            folder, self.decoding, task.candidates, self.batch_size, self.device
        )
        rewriter.check_inputs(task.reads)
        return rewriter

    @property
    def called(self) -> str:
        """The model's name."""
        return self.model

    @property
    def at_once(self) -> int:
        """Images whose texts are passed at once."""
        return self.batch_size

    @property
    def trained_model(self) -> str:
        """The model."""
        return self.model

    def refers(self) -> Iterator[Reference]:
        """The model."""
        yield Reference("model", self.model, "models", "rewriter")
