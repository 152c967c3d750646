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
    """The score of a source at or above a cut-off."""

    @property
    @abstractmethod
    def named(self) -> str | None:
        """The source that the user names; None means the used one."""

    @abstractmethod
    def cutoff(self, at: Place) -> Cutoff:
        """The cut-off.

        Raises:
            ValueError: It does not say which of several used sources it means.
        """

    @property
    def looks_at(self) -> tuple[str | None, ...]:
        """That source."""
        return (self.named,)

    def needs(self, at: Place) -> Iterator[Cutoff]:
        """The cut-off."""
        yield self.cutoff(at)

    def holds(self, at: Place, known: Known, parts: Sequence[pl.Expr]) -> pl.Expr:  # noqa: ARG002
        """Whether the score reaches it; null where there is none."""
        value = pl.lit(known.values[self.cutoff(at).path], dtype=pl.Float32)
        return pl.col(f"score.{at.source(self.named)}") >= value

    def words(self, at: Place, holds: bool | None, image: OneImage) -> str:  # noqa: FBT001
        """The score, the cut-off, and where that came from."""
        source, cutoff = at.source(self.named), image.cutoffs[self.cutoff(at).path]
        value, score = cutoff["value"], image.score(source)
        if score is None:
            missing = "score" if image.has_text(source) else "text"
            shown = f"cut-off {distinguished(value)[0]} ({_origin(cutoff)})"
            return f"{source} has no {missing}; unknown is not accepted; {shown}"
        scored, shown = distinguished(score, value)
        tied = ""
        if score == value:
            n = f"; {cutoff['n_tied']:,} tied" if source == cutoff["source"] else ""
            tied = f", a tie{n}: ties are kept"
        sign = ">=" if holds else "<"
        return f"{source} score {scored} {sign} cut-off {shown} ({_origin(cutoff)}){tied}"


class Ranks(Reaches):
    """One whose cut-off comes from ranking a source; `at_least` may test another one by it."""


def _origin(cutoff: Mapping[str, Any]) -> str:
    if cutoff["kind"] == "absolute":
        return "a fixed number"
    asked = (
        f"top {percent(cutoff['requested'])}"
        if cutoff["kind"] == "quantile"
        else f"best {cutoff['requested']:,.0f}"
    )
    return f"{asked} of {cutoff['population']:,} by {cutoff['source']} score"
