"""Sets by frequency: what a user writes."""

from typing import Literal

from pydantic import Field

from recap_assets.sets.kind import TextSet
from recap_assets.sets.text_rule import LanguageCode


class FrequencySpec(TextSet):
    """ALIGN's rules of frequency: images per text, texts per image, rare n-grams, length.

    Counts are of the whole pool and exact, but for texts and n-grams that share a 64-bit hash. An
    image is its bytes (sha256), a text its exact letters; n-grams are words and pairs of words in
    lower case. Source: Scaling Up Visual and Vision-Language Representation Learning With Noisy
    Text Supervision (arXiv 2102.05918), section 3; its rules of size and shape are `basic`'s.
    """

    extra = ""

    kind: Literal["frequency"]
    language: LanguageCode | None = Field(
        default=None, description="The text's language by the identifier; null for any."
    )
    images_per_text: int | None = Field(
        default=10,
        gt=0,
        description="Different images that a text may have; null for any number.",
    )
    texts_per_image: int | None = Field(
        default=1_000,
        gt=0,
        description="Different texts that an image may have; null for any number.",
    )
    frequent_ngrams: int | None = Field(
        default=100_000_000,
        gt=0,
        description="How many of the most frequent words and pairs of words are known, with all "
        "that are as frequent as the last; a text with any other is left out. Null knows all.",
    )
    min_words: int = Field(default=3, ge=0, description="Words of the text at least.")
    max_words: int | None = Field(
        default=20, gt=0, description="Words of the text at most; null for any number."
    )
