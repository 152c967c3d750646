"""Conditions: what all kinds of them have, as far as the experiment and the graph ask for it.

How one is decided and explained is said by a kind below `mixes.conditions.kind.Condition`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from recap_assets.specs.base import Spec
from recap_assets.specs.columns import USED, column_references, scorer_and_name
from recap_assets.specs.kinds import OneOf
from recap_assets.specs.references import Reference, sources_named


@dataclass(frozen=True)
class Place:
    """Where a condition stands in a mix.

    Attributes:
        path: From the mix on, such as `rules.0.where.all.1`.
        used: The source that a condition means where it names none: the one that the rule uses,
            where that is but one.
    """

    path: str
    used: str | None

    def below(self, field: str) -> "Place":
        """The place of a part of the condition."""
        return Place(f"{self.path}.{field}", self.used)

    def source(self, named: str | None) -> str:
        """The source that is meant: the named one, or the used one.

        Raises:
            ValueError: None is named, and the rule uses several.
        """
        source = named or self.used
        if source is None:
            msg = f"{self.path}.of: say which source's score is meant, since the rule uses several"
            raise ValueError(msg)
        return source

    def column(self, named: str | None) -> str:
        """The score column that is meant: the named one, or that of the used source.

        `used` is that of the used source too, where the rule uses but one.

        Raises:
            ValueError: None is named, and the rule uses several sources.
        """
        if named is not None and named != USED:
            return named
        if self.used is None and named is None:
            msg = (
                f"{self.path}.of: say which score is meant, since the rule uses several sources: "
                f"`{USED}` is that of the text that is taken"
            )
            raise ValueError(msg)
        return self.used or USED

    def score(self, named: str | None) -> str:
        """The column of `Images.frame` that has that score.

        Raises:
            ValueError: As for `column`.
        """
        column = self.column(named)
        if scorer_and_name(column)[1] != USED:
            return f"score.{column}"
        return used_score(int(self.path.split(".")[1]), column)


def used_score(rule: int, column: str) -> str:
    """The column of `Images.frame` for `used` or `SCORER.used` of a rule, from 0."""
    return f"score.rules.{rule}.{column}"


@dataclass(frozen=True)
class Cutoff:
    """A score that is found over the whole pool before any image is decided.

    Attributes:
        path: Where it is in the mix, unlike that of any other; it names the cut-off.
        kind: `absolute`: a score. `quantile`: of the best share. `size`: of a number of the best.
        requested: That score, share or number.
        source: The score column that is ranked or tested.
    """

    path: str
    kind: Literal["absolute", "quantile", "size"]
    requested: float
    source: str


class ConditionSpec(Spec):
    """What a user writes of a condition.

    When it is decided, the captions and scores are there of the sources that it looks at and of
    those that the rule uses, the score columns that it compares, and the members of the sets that
    it refers to.
    """

    reads_texts: ClassVar[bool] = False
    """Whether it looks at the captions, and not only at their scores."""

    @property
    def looks_at(self) -> tuple[str | None, ...]:
        """The sources that it looks at, as its field `of` names them; None means the used one."""
        return ()

    @property
    def compares(self) -> tuple[str | None, ...]:
        """The score columns that it looks at, as `of` names them; None means the used source's."""
        return ()

    def refers(self) -> Iterator[Reference]:
        """The named sources and columns, and what its parts name."""
        for name in self.looks_at:
            if name is not None:
                yield Reference("of", name, "source_names")
        for column in self.compares:
            if column is not None:
                yield from column_references("of", column)
        yield from super().refers()

    def reads(self, at: Place) -> Iterator[str]:
        """The score columns that decide it, those of its parts and cut-offs included.

        A source, as the column of its scores, stands for its captions as well.

        Raises:
            ValueError: It does not say which of several used sources it means.
        """
        yield from sources_named(self)
        yield from (at.source(name) for name in self.looks_at)
        yield from (at.column(name) for name in self.compares)
        yield from (one.source for one in self.needs(at))
        for field, part in self.inside().items():
            yield from part.reads(at.below(field))

    def inside(self) -> Mapping[str, "ConditionSpec"]:
        """The conditions that it is made of, by their paths below its own, as `all.0`."""
        return {}

    def check(self, at: Place) -> None:
        """See that a source or a score is meant wherever it looks at one.

        Raises:
            ValueError: None is named, and the rule uses several.
        """
        for name in self.looks_at:
            at.source(name)
        for column in self.compares:
            at.column(column)
        for field, part in self.inside().items():
            part.check(at.below(field))

    @property
    def needs_texts(self) -> bool:
        """Whether it, or a condition that it is made of, looks at the captions."""
        return self.reads_texts or any(part.needs_texts for part in self.inside().values())

    def needs(self, at: Place) -> Iterator[Cutoff]:
        """The cut-offs that must be known before it can be decided, those of its parts included.

        Raises:
            ValueError: It does not say which of several used sources it means.
        """
        for field, part in self.inside().items():
            yield from part.needs(at.below(field))


AnyCondition = Annotated[ConditionSpec, OneOf("conditions")]
