"""DataComp's basic_filter."""

from typing import Literal

import polars as pl
from pydantic import Field

from recap_assets.sets.kind import Requirement, Row, TextSet, more_than


class BasicFilter(TextSet):
    """DataComp's basic_filter: English, not too short, neither small nor elongated."""

    kind: Literal["basic"]
    more_than_words: int = Field(
        default=2, ge=0, description="Words (split at white space) that are too few."
    )
    more_than_characters: int = Field(
        default=5, ge=0, description="Characters of the text that are too few."
    )
    min_side: int = Field(default=200, ge=0, description="Of the original image, in pixels.")
    max_aspect: float = Field(default=3.0, ge=1, description="Longer side / shorter side.")

    def requirements(self) -> tuple[Requirement, ...]:
        """The language, the lengths, the shape."""
        return (
            *self.of_text(),
            more_than("word", "n_words", self.more_than_words),
            more_than("character", "n_characters", self.more_than_characters),
            *self._shape(),
        )

    def _shape(self) -> tuple[Requirement, ...]:
        shorter, longer = pl.min_horizontal("width", "height"), pl.max_horizontal("width", "height")
        return (
            Requirement(
                "small_image",
                shorter >= self.min_side,
                lambda row: (
                    f"{row['width']} x {row['height']} pixels; {self.min_side} are asked for"
                ),
            ),
            Requirement(
                "elongated_image",
                longer / shorter <= self.max_aspect,
                lambda row: (
                    f"{row['width']} x {row['height']} pixels, "
                    f"{_aspect(row):.4g} : 1; at most {self.max_aspect:g} : 1 is asked for"
                ),
            ),
        )


def _aspect(row: Row) -> float:
    sides = sorted((row["width"], row["height"]))
    return sides[1] / sides[0]
