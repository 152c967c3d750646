"""What a kind of set is: members that are written down, or what is asked of each sample.

A set that asks something of facts that the platform knows needs no more than this::

    class ShortTexts(TextSet):
        kind: Literal["short_texts"]
        words: int = Field(default=20, description="Words of the text at most.")

        def requirements(self):
            few = pl.col("n_words") <= self.words
            why = lambda row: f"{row['n_words']} words"
            return (*self.of_text(), Requirement("too_many_words", few, why))
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import polars as pl

from recap_assets.artefacts.facets import SIZES
from recap_assets.artefacts.table import Table
from recap_assets.engines.protocols import Places
from recap_assets.graph.node import Dependency, Node
from recap_assets.graph.outside import Outside, outside_of
from recap_assets.graph.project import Project
from recap_assets.sets.facts import Samples, with_scores
from recap_assets.sets.rules import Requirement, Row, more_than, reasons
from recap_assets.sets.text_rule import TextRule
from recap_assets.specs.findings import Finding
from recap_assets.specs.sets import SetSpec

__all__ = [
    "ComputedSet",
    "GivenSet",
    "Requirement",
    "Row",
    "Samples",
    "SetKind",
    "TextRule",
    "TextSet",
    "more_than",
    "reasons",
    "with_scores",
]


class SetKind(SetSpec):
    """Which samples a mix may choose from. A kind is below `GivenSet` or `ComputedSet`."""

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:  # noqa: ARG002 - of some kinds
        """What stands between the set and a build; `where` is its name in the file."""
        yield from ()


class GivenSet(SetKind):
    """A set whose members are written down: nothing is built for it."""

    @abstractmethod
    def members(self) -> pl.Series:
        """The uids, 16 bytes each; it is asked for at every partition.

        Raises:
            SubsetFileError: They cannot be read.
        """


class ComputedSet(SetKind):
    """A set of the pool's samples that are what it asks for, computed for each partition."""

    decided_elsewhere: ClassVar[tuple[str, ...]] = ()
    """Fields that decide assets of `nodes` alone, which the set reads."""

    pool_read: ClassVar[tuple[str, ...]] = (SIZES,)
    """Facets of the pool that `facts` and what the platform knows are made of, beside the text; a
    kind of another package counts as one that reads all of it."""

    tables: ClassVar[tuple[Table, ...]] = ()
    """Tables that `nodes` of another package's kind fill."""

    @abstractmethod
    def requirements(self) -> tuple[Requirement, ...]:
        """What is asked of a sample, in the order in which reasons are given.

        On the facts of `sets.facts`, and those that `facts` adds.
        """

    @property
    def texts(self) -> TextRule | None:
        """Which text of a sample the facts are about; None where no text matters."""
        return None

    def reads(self, name: str) -> Iterator[Dependency]:  # noqa: ARG002 - of some kinds
        """What `facts` reads; `name` is the set's."""
        yield from ()

    def facts(self, known: pl.DataFrame, samples: Samples) -> pl.DataFrame:  # noqa: ARG002 - of some
        """The facts that are known, a row a sample, with columns of the kind's own.

        Rows stay as many and in their order. A sample's facts depend on no other sample.
        """
        return known

    def is_ready(self, name: str, project: Project) -> bool:  # noqa: ARG002 - of some kinds
        """Whether what `facts` reads of `nodes` is built, so that an image can be explained."""
        return True

    def nodes(self, name: str, project: Project) -> list[Node]:  # noqa: ARG002 - of some kinds
        """Assets that the set reads and nobody else makes."""
        return []

    def outside(self, project: Project) -> Outside | None:
        """Version of what the set's own partitions read from outside the graph."""
        return outside_of(project, self)


class TextSet(TextRule, ComputedSet):
    """A set that checks a text of each sample."""

    extra = "filters"

    @property
    def texts(self) -> TextRule:
        """Its own fields say which."""
        return self
