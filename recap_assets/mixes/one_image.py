"""One image as a mix sees it, for the sentences that say what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from recap_assets.mixes.words import distinguished
from recap_assets.specs.columns import USED


@dataclass(frozen=True)
class OneImage:
    """One image's values.

    Attributes:
        values: A row of `Images.frame` by its columns.
        uids: Its uid, alone in a column.
        cutoffs: Rows of the table `thresholds` by path.
        why_not: By set, what keeps the image out of it, as sentences, where that is known.
    """

    values: Mapping[str, Any]
    uids: pl.Series
    cutoffs: Mapping[str, Mapping[str, Any]]
    why_not: Mapping[str, Sequence[str]]

    def has_text(self, source: str) -> bool:
        """Whether the source has a caption of it."""
        return bool(self.values[f"has.{source}"])

    def text(self, source: str) -> str | None:
        """The source's best caption; None where it has none."""
        return self.values[f"text.{source}"]

    def score(self, source: str) -> float | None:
        """The best caption's score; None where it has none."""
        return self.values[f"score.{source}"]

    def lacks(self, column: str) -> str:
        """Why there is no score in a column."""
        if column == USED or column.endswith(f".{USED}"):
            return f"{column}: no text is taken, or it has no score"
        is_text = f"text.{column}" in self.values
        return f"{column} has no {'text' if is_text and not self.has_text(column) else 'score'}"

    def named(self, source: str, score: str) -> str:
        """A source with the score of its best caption, and which candidate that is."""
        candidate = self.values[f"candidate.{source}"]
        return f"{source} {score}" + (f" (candidate {candidate})" if candidate else "")

    def scored(self, source: str) -> str:
        """The same with its score, if there is one."""
        score = self.score(source)
        return self.named(source, "without a score" if score is None else distinguished(score)[0])
