"""Retrieval among the most similar images."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from recap_assets.evalsets.embedding import Embedder
from recap_assets.evalsets.sets import EvaluationSet
from recap_assets.evaluation.kind import OnAnother
from recap_assets.specs.base import Name
from recap_assets.specs.references import EMBEDDINGS, Reference

if TYPE_CHECKING:
    from recap_assets.specs.experiment import Experiment


class BagsTask(OnAnother):
    """Retrieval within bags of similar images: does a caption find its image among lookalikes?

    The bag of an image is the image and the `size` - 1 others most similar to it by a scorer of
    this experiment (`by`), so it is the same for every mix. `image_retrieval_recall@1` is the share
    of the captions that score their image above all others of its bag, `text_retrieval_recall@1`
    that of the images with a caption above all captions of the others; ties miss. `mean_recall@1`,
    the main metric, is half their sum, and `chance` what guessing gives for it. With few images
    alike it is as easy as retrieval among `size` random ones.

    The set is that of another retrieval task (`of`), whose embeddings are computed once for both.
    Source: Gaur et al. 2024 (No Detail Left Behind), its bags of similar images.
    """

    kind: Literal["bags"]
    size: int = Field(default=8, ge=2, le=10_000, description="Images of a bag.")
    by: Name | None = Field(
        default=None,
        description="Scorer that says which images are similar; by default the first that embeds.",
    )

    def refers(self) -> Iterator[Reference]:
        """The task, and the scorer."""
        yield from super().refers()
        if self.by is not None:
            yield Reference("by", self.by, "scorers", gives=EMBEDDINGS)

    def scorer(self, experiment: "Experiment") -> str | None:
        """The scorer that makes the bags."""
        embedding = (n for n, spec in experiment.scorers.items() if EMBEDDINGS in spec.gives)
        return self.by or next(embedding, None)

    def over(self, whole: EvaluationSet, scorer: Callable[[], Embedder]) -> EvaluationSet:
        """The images of the other set in bags."""
        from recap_assets.evaluation.kinds.bags.sets import bags_of

        return bags_of(whole, self.size, scorer)
