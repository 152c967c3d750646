"""Sets as another package might have them; see `test_sets.py`."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import polars as pl
from pydantic import Field

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import SET, Column, Table, is_usable
from recap_assets.engines.protocols import LanguageIdentifier
from recap_assets.graph.content import StoredRows
from recap_assets.graph.node import Dependency, Node, Rows, Step
from recap_assets.graph.project import Project
from recap_assets.sets.kind import ComputedSet, GivenSet, Requirement, Samples, TextSet
from recap_assets.sets.languages.kind import IdentifierKind
from recap_assets.sets.targets import Embedded, Target
from recap_assets.specs.base import deciding
from recap_assets.specs.fields import Content


class FewWords(TextSet):
    """Texts of few words: asks of facts that the platform has."""

    kind: Literal["few_words"]
    words: int = Field(default=2, description="Words at most.")

    def requirements(self) -> tuple[Requirement, ...]:
        few = pl.col("n_words") <= self.words
        told = Requirement("too_many_words", few, lambda row: f"it has {row['n_words']} words")
        return (*self.of_text(), told)


class Mentions(TextSet):
    """Texts with a word of a file: has a fact of its own."""

    kind: Literal["mentions"]
    words: Annotated[str, Content()] = Field(description="A file of words.")

    def requirements(self) -> tuple[Requirement, ...]:
        told = Requirement("not_mentioned", pl.col("mentions"), lambda _: "it mentions none")
        return (*self.of_text(), told)

    def facts(self, known: pl.DataFrame, samples: Samples) -> pl.DataFrame:  # noqa: ARG002
        words = Path(self.words).read_text().split()
        return known.with_columns(
            mentions=pl.col("text").str.contains_any(words).fill_null(value=False)
        )


WIDTHS = Table(
    "common_widths",
    "Widths that several images have.",
    {"set": SET, "width": Column(pl.Int32, "Pixels.")},
    slices=("set",),
    order=("width",),
)


class RareWidths(ComputedSet):
    """Images of a width that no other has: with an asset and a table of its own."""

    kind: Literal["rare_widths"]
    times: int = Field(default=2, description="Images that make a width common.")

    decided_elsewhere = ("times",)
    tables = (WIDTHS,)

    def requirements(self) -> tuple[Requirement, ...]:
        return (Requirement("common_width", ~pl.col("common"), lambda _: "others are as wide"),)

    def reads(self, name: str) -> Iterator[Dependency]:
        yield Dependency(WIDTHS.key(name), "all")

    def facts(self, known: pl.DataFrame, samples: Samples) -> pl.DataFrame:
        common = samples.project.workspace.tables.read(WIDTHS, set=samples.name)["width"]
        return known.with_columns(common=pl.col("width").is_in(common.implode()))

    def nodes(self, name: str, project: Project) -> list[Node]:
        return [
            Node(
                key=WIDTHS.key(name),
                stage="sets",
                dimension="none",
                dependencies=(Dependency(RAW_POOL.key(), "all"),),
                implementation=self.implementation,
                decides=deciding(widths=self),
                compute=partial(self._count, project),
                description="Common widths.",
                content=StoredRows(project.workspace.tables, WIDTHS, {"set": name}),
            )
        ]

    def _count(self, project: Project, step: Step) -> Rows:  # noqa: ARG002
        rows = project.workspace.tables.scan(RAW_POOL).filter(is_usable())
        counts = rows.group_by(width=pl.coalesce("original_width", "width")).len()
        common = counts.filter(pl.col("len") >= self.times).select("width").sort("width")
        return Rows(common.collect())


class Listed(GivenSet):
    """Uids that stand in the experiment itself."""

    kind: Literal["listed"]
    uids: tuple[str, ...] = Field(description="Hex digits.")

    def members(self) -> pl.Series:
        return pl.Series("uid", [bytes.fromhex(uid) for uid in self.uids], dtype=pl.Binary)


class TargetAxis(Target):
    """A target along one axis of the embeddings' space."""

    axis: int = Field(description="Its number.")
    dimensions: int = Field(default=6, description="Of the embeddings.")

    def embedded(self, project: Project, scorer: str) -> Iterator[Embedded]:  # noqa: ARG002
        yield np.eye(self.dimensions, dtype=np.float32)[self.axis : self.axis + 1], 0


class Vowels(IdentifierKind):
    """Takes a text without vowels for no language."""

    kind: Literal["vowels"]

    def open(self) -> LanguageIdentifier:
        return _Vowels()

    def version(self) -> str:
        return "vowels 1"


class _Vowels:
    def identify(self, texts: list[str]) -> list[tuple[str, float]]:
        return [("en" if set(text) & set("aeiou") else "und", 1.0) for text in texts]
