"""A rewriter that this experiment trains."""

from typing import Literal

from pydantic import Field

from recap_assets.captions.rewriters.kind import RewriteTask, Rewriting
from recap_assets.engines.protocols import Places, Rewriter
from recap_assets.specs.base import Name
from recap_assets.specs.decoding import Decoding
from recap_assets.specs.running import TrainedHere


class EmbeddedRewriter(TrainedHere, Rewriting):
    """A rewriter that the asset `models/<model>` trains; it takes no prompt."""

    asks = False
    trained_as = "rewriter"

    kind: Literal["embedded"]
    model: Name = Field(
        description="A model of kind rewriter in this experiment; the source reads its inputs."
    )
    decoding: Decoding = Decoding()

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
