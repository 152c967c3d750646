"""How alike a text is to captions of the same image: what a user writes."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from recap_assets.engines.opening import Opens
from recap_assets.engines.protocols import Places, TextEmbedder
from recap_assets.scores.kind import OwnScores
from recap_assets.specs.base import Name
from recap_assets.specs.references import EMBEDDINGS, Reference
from recap_assets.specs.running import HubModel

SAYING_NOTHING = (
    "a photo of",
    "a picture of",
    "an image of",
    "a photograph of",
    "a close up of",
    "photo of",
    "picture of",
    "image of",
    "photograph of",
    "close up of",
    "stock photo",
    "stock image",
    "royalty free",
    "vector illustration",
)
"""What captions begin or end with whatever the image shows, longer phrases first."""


class SentenceEncoder(HubModel, Opens):
    """A sentence encoder of transformers: the mean of the last states, of unit length."""

    def open(self, places: Places) -> TextEmbedder:  # noqa: ARG002 - of all kinds
        """The encoder."""
        from recap_assets.scores.kinds.text_similarity.encoder import load_sentence_encoder

        return load_sentence_encoder(
            self.model,
            self.revision,
            precision=self.precision,
            batch_size=self.batch_size,
            device=self.device,
        )


class TextSimilaritySpec(OwnScores):
    """How alike a text is to the captions that another source has for its image."""

    example = """\
sieve:
  kind: text_similarity
  captions: blip2                              # of these the most alike counts
  encoder: {model: sentence-transformers/all-MiniLM-L6-v2}   # or scorer: l14, its text tower
"""

    on_gpu = True
    framework = "pytorch"
    score_is = "cosine of caption and caption"

    kind: Literal["text_similarity"]
    captions: str = Field(description="The source whose captions of the image are compared.")
    scorer: Name | None = Field(default=None, description="A scorer whose text tower embeds.")
    encoder: SentenceEncoder | None = Field(
        default=None, description="A sentence encoder that embeds, instead."
    )
    without: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(
        default=SAYING_NOTHING,
        max_length=1_000,
        description="Phrases that are taken out of both before, in any case; longer ones first.",
    )

    @model_validator(mode="after")
    def _is_embedded_by_one(self) -> Self:
        if (self.scorer is None) == (self.encoder is None):
            msg = "name a `scorer` or an `encoder`, and not both"
            raise ValueError(msg)
        return self

    def refers(self) -> Iterator[Reference]:
        """The captions, and the scorer."""
        yield Reference("captions", self.captions, "source_names")
        if self.scorer is not None:
            yield Reference("scorer", self.scorer, "scorers", gives=EMBEDDINGS)
