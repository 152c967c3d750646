"""Image-to-image retrieval."""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from recap_assets.evalsets.embedding import Embedder
from recap_assets.evalsets.sets import EvaluationSet
from recap_assets.evaluation.kind import OnAnother


class NeighboursTask(OnAnother):
    """Image-to-image neighbours: are the images nearest to one of its class?

    Each image of a classification set, the query, ranks all others by cosine; right are those of
    its class. `recall@k` is the share of the queries with a right one among the k nearest, `map`
    the mean over queries of the average precision over the whole ranking; both are exact, and ties
    rank wrong images first. Images that are alone in their class are no queries, but are ranked.
    `chance` is what guessing gives for `recall@1`. Main metric: `map`. No text is used.

    The set is that of another task, DataComp's included (`of`), whose embeddings are computed once
    for both. Time and memory: n squared cosines in blocks of 16 MiB; 50,000 images take some
    minutes. Source: the retrieval metrics of Radenovic et al. 2018; recall@k as in metric learning.
    """

    kind: Literal["neighbours"]
    k: tuple[Annotated[int, Field(gt=0, le=10_000)], ...] = Field(
        default=(1, 10), min_length=1, description="The k of recall@k, beside 1."
    )

    @property
    def passes_images_on(self) -> bool:
        """It does."""
        return True

    def over(
        self,
        whole: EvaluationSet,
        scorer: Callable[[], Embedder],  # noqa: ARG002 - of some kinds
    ) -> EvaluationSet:
        """The images of the other set with their classes."""
        from recap_assets.evaluation.kinds.neighbours.sets import neighbours_of

        return neighbours_of(whole, tuple(sorted({1, *self.k})))
