"""Membership in a set of images."""

from collections.abc import Iterator, Sequence

import polars as pl
from pydantic import Field

from recap_assets.mixes.conditions.kind import (
    Condition,
    Known,
    Name,
    OneImage,
    Place,
    Reference,
    answer,
)


class InSet(Condition):
    """Membership in a named set of uids (DataComp's image-based filter is one)."""

    in_set: Name = Field(description="A name under `sets`.")

    def refers(self) -> Iterator[Reference]:
        """The set."""
        yield Reference("in_set", self.in_set, "sets")

    def holds(self, at: Place, known: Known, parts: Sequence[pl.Expr]) -> pl.Expr:  # noqa: ARG002
        """Whether the uid is in it."""
        return pl.col("uid").is_in(known.sets[self.in_set].implode())

    def phrase(self) -> str:
        """The set."""
        return f"it is in the set {self.in_set}"

    def words(self, at: Place, holds: bool | None, image: OneImage) -> str:  # noqa: ARG002, FBT001
        """Whether it is, and where that is known why it is not."""
        why = "; ".join(image.why_not.get(self.in_set, ()))
        reason = f", {why}" if why and not holds else ""
        return f'in_set "{self.in_set}": {answer(holds)}{reason}'
