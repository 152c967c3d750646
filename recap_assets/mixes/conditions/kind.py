"""What a kind of condition is: an expression that is true, false or unknown, and its sentence.

Kinds import what they are written with from here.
"""

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from recap_assets.mixes.one_image import OneImage
from recap_assets.mixes.words import answer, distinguished, joined, percent
from recap_assets.specs.base import Name
from recap_assets.specs.columns import ColumnName
from recap_assets.specs.conditions import AnyCondition, ConditionSpec, Cutoff, Place
from recap_assets.specs.kinds import OneOf, fitting
from recap_assets.specs.references import Reference

__all__ = [
    "AnyCondition",
    "ColumnName",
    "Condition",
    "ConditionSpec",
    "Cutoff",
    "Known",
    "Name",
    "OneImage",
    "OneOf",
    "Place",
    "Reference",
    "answer",
    "distinguished",
    "joined",
    "percent",
    "phrase_of",
]  # fmt: skip


@dataclass(frozen=True)
class Known:
    """What is known when images are decided.

    Attributes:
        values: Cut-offs by their paths.
        sets: Members of the named sets.
    """

    values: Mapping[str, float]
    sets: Mapping[str, pl.Series]


class Condition(ConditionSpec):
    """A condition of a rule; see `specs.conditions` for what else it may say."""

    @abstractmethod
    def holds(self, at: Place, known: Known, parts: Sequence[pl.Expr]) -> pl.Expr:
        """Whether it holds: an expression over `Images.frame`.

        Args:
            at: Where it is.
            known: The cut-offs that it needs, and the members of the sets that it names.
            parts: The same of the conditions that it is made of, in the order of `inside`.

        Returns:
            True, false, or null where a missing score or text leaves it open; null is not
            accepted, by its contrary neither. It looks at one image alone.

        Raises:
            KeyError: A cut-off or a set is not known.
            ValueError: It does not say which of several used sources it means.
        """

    @abstractmethod
    def words(self, at: Place, holds: bool | None, image: OneImage) -> str:  # noqa: FBT001
        """What was compared with what on one image, and how that came out."""

    def phrase(self) -> str:
        """What it asks of an image, to follow "where"; by default as it is written."""
        return f"{json.dumps(self.model_dump(mode='json', exclude_defaults=True))} holds"


def phrase_of(condition: ConditionSpec) -> str:
    """What a condition of any kind asks of an image, as the end of a sentence after "where"."""
    return fitting("condition", condition, Condition).phrase()
