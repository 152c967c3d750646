"""Small rewriters that are trained here."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recap_assets.engines.protocols import Places
from recap_assets.training.models.kind import OnProgress, TrainedModel
from recap_assets.training.models.kinds.rewriter.spec import TrainedRewriterSpec

if TYPE_CHECKING:
    from recap_assets.training.corpora.kind import TextRow


class TrainedRewriter(TrainedRewriterSpec):
    """A small text-to-text model trained on rows of texts, for sources of the kind rewrite."""

    def train(
        self,
        inputs: Sequence[str],
        rows: "Sequence[TextRow]",
        places: Places,  # noqa: ARG002 - of all kinds
        on_progress: OnProgress,
    ) -> TrainedModel:
        """Train it from its seed, on a GPU where there is one."""
        from recap_assets.engines.devices import resolve_device
        from recap_assets.training.models.kinds.rewriter.engine import train_rewriter

        return train_rewriter(
            inputs, rows, self, on_progress=on_progress, device=resolve_device("auto")
        )
