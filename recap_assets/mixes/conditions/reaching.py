"""Conditions on a score: it must reach a cut-off."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from recap_assets.mixes.conditions.kind import (
    Condition,
    Cutoff,
    Known,
    OneImage,
    Place,
    distinguished,
    percent,
)


class Reaches(Condition):
    """A score at or above a cut-off."""

    @property
    @abstractmethod
    def named(self) -> str | None:
        """The score column that the user names; None means the used source's."""

    @abstractmethod
    def cutoff(self, at: Place) -> Cutoff:
        """The cut-off.

        Raises:
            ValueError: It does not say which of several used sources it means.
        """

    @property
    def compares(self) -> tuple[str | None, ...]:
        """That column."""
        return (self.named,)

    def needs(self, at: Place) -> Iterator[Cutoff]:
        """The cut-off."""
        yield self.cutoff(at)

    def holds(self, at: Place, known: Known, parts: Sequence[pl.Expr]) -> pl.Expr:  # noqa: ARG002
        """Whether the score reaches it; null where there is none."""
        value = pl.lit(known.values[self.cutoff(at).path], dtype=pl.Float32)
        return pl.col(at.score(self.named)) >= value

    def by(self) -> str:
        """The score that is meant: `its score`, or `the score l14.raw`."""
        return "its score" if self.named is None else f"the score {self.named}"

    def words(self, at: Place, holds: bool | None, image: OneImage) -> str:  # noqa: FBT001
        """The score, the cut-off, and where that came from."""
        column, cutoff = at.column(self.named), image.cutoffs[self.cutoff(at).path]
        value, score = cutoff["value"], image.values[at.score(self.named)]
        if score is None:
            shown = f"cut-off {distinguished(value)[0]} ({_origin(cutoff)})"
            return f"{image.lacks(column)}; unknown is not accepted; {shown}"
        scored, shown = distinguished(score, value)
        tied = ""
        if score == value:
            n = f"; {cutoff['n_tied']:,} tied" if column == cutoff["source"] else ""
            tied = f", a tie{n}: ties are kept"
        sign = ">=" if holds else "<"
        return f"{column} score {scored} {sign} cut-off {shown} ({_origin(cutoff)}){tied}"


class Ranks(Reaches):
    """One whose cut-off comes from ranking a column; `at_least` may test another one by it."""

    @property
    @abstractmethod
    def best_ones(self) -> str:
        """Those that reach the cut-off: `the best 30 % by its score`."""

    def phrase(self) -> str:
        """That it is one of those."""
        return f"it is among {self.best_ones}"


def _origin(cutoff: Mapping[str, Any]) -> str:
    if cutoff["kind"] == "absolute":
        return "a fixed number"
    asked = (
        f"top {percent(cutoff['requested'])}"
        if cutoff["kind"] == "quantile"
        else f"best {cutoff['requested']:,.0f}"
    )
    return f"{asked} of {cutoff['population']:,} by {cutoff['source']} score"
