"""Vocabulary models that are trained here."""

from typing import TYPE_CHECKING

from recap_assets.engines.protocols import Places
from recap_assets.training.models.kind import OnProgress, TrainedModel
from recap_assets.training.models.kinds.vocabulary.spec import TrainedVocabularySpec

if TYPE_CHECKING:
    from recap_assets.training.engine.pairs import TrainingPairs


class TrainedVocabulary(TrainedVocabularySpec):
    """Images and texts as a few weighted words each, for scorers of the kind vocabulary.

    VDR (arXiv 2212.07699): a word's weight is elu(x) + 1, the largest over the cells of the image
    or the words of the text, and the `top` weights are kept. The loss is the mean of three
    contrastive ones: sparse images and all weights of texts, all weights of images and sparse
    texts, all weights of images and the texts' own words. The paper's words are a language model's
    tokens and its scores dot products. Here they are the words of the corpus that come twice or
    more, and cosines at a learned scale: scores are compared among images, and by dot product long
    texts would win.
    """

    def train(
        self,
        pairs: "TrainingPairs",
        places: Places,  # noqa: ARG002 - of all kinds
        on_progress: OnProgress,
    ) -> TrainedModel:
        """Train it from its seed, on a GPU where there is one."""
        from recap_assets.engines.devices import resolve_device
        from recap_assets.training.models.kinds.vocabulary.engine import train_vocabulary

        return train_vocabulary(pairs, self, on_progress=on_progress, device=resolve_device("auto"))
