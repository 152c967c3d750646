"""What a kind of export is: its form and files, what it refuses, and how it is read.

A kind's module is imported before the experiment is, so it imports no more than `specs`,
`artefacts` and plain rooms of this family; what reads tables is imported by its methods.
"""

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import polars as pl
from pydantic import Field

from recap_assets.exports.facts import Curation, Holdings
from recap_assets.exports.forms import Form
from recap_assets.exports.runs import Run
from recap_assets.exports.written import Progress, Written
from recap_assets.specs.base import Name
from recap_assets.specs.exports import EXTENSIONS, READ_BY_OPEN_CLIP, ExportSpec, ImageFormat
from recap_assets.specs.findings import Finding
from recap_assets.specs.mixes import Mix
from recap_assets.specs.references import Reference
from recap_assets.storage.folders import Folder, WrittenFile

if TYPE_CHECKING:
    from recap_assets.graph.node import Dependency
    from recap_assets.graph.project import Project


class Refusal(NamedTuple):
    """Pairs of the mix that an export does not take.

    Attributes:
        reason: One word, which is counted.
        meaning: The reason in a sentence's part, for people.
        holds: Whether a row is refused: a Boolean expression, see `ShardedExport.refuses`.
    """

    reason: str
    meaning: str
    holds: pl.Expr


class ExportKind(ExportSpec):
    """In which form a mix is written. A kind is below `ShardedExport` or `WholeExport`."""

    tags: ClassVar[tuple[str, ...]] = ()
    """What the UI says that it is."""

    file_patterns: ClassVar[tuple[str, ...]] = ()
    """Regular expressions of its files, as paths below the folder of the export, or of the shards.

    What a changed mix leaves over is removed by them, and no other file is. Card, lists and
    checksums, which every export has, and `beside` are known without.
    """

    beside: ClassVar[tuple[str, ...]] = ()
    """Names of the files that `documents` and `beside_all` may give."""

    beside_version: ClassVar[int] = 1
    """Raised by hand when `documents` or `card_head` give something else of the same export."""

    describes_texts: ClassVar[bool] = False
    """Whether what is beside says the languages of the texts, and what the mix was made of."""

    flags: ClassVar[Mapping[str, str]] = {}
    """Of a field that is yes or no, the option of `recap export` for no: `one-folder`."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        """Refuse a kind with a pattern that is none, before it stands in the way of others."""
        super().__pydantic_init_subclass__(**kwargs)
        for pattern in cls.file_patterns:
            re.compile(pattern)

    @abstractmethod
    def how_to_read(self, folder: str) -> str:
        """One example, as markdown."""

    def how_to_publish(self, folder: str) -> str | None:  # noqa: ARG002 - of some kinds
        """A command that publishes a local folder; None where there is none."""
        return None

    def names_beside(self) -> Sequence[str]:
        """Those of `beside` that an export with these settings has."""
        return self.beside

    def documents(self, held: Holdings, curation: Curation) -> Mapping[str, bytes]:  # noqa: ARG002 - of some kinds
        """Files beside the card, by name; those of `names_beside`."""
        return {}

    def card_head(self, held: Holdings, curation: Curation) -> str:  # noqa: ARG002 - of some kinds
        """What comes before the card's title."""
        return ""

    def reasons(self) -> Mapping[str, str]:
        """What each reason means for which a pair of the mix is left out."""
        return {}

    def doctor(self, where: str) -> Iterator[Finding]:  # noqa: ARG002 - of some kinds
        """What stands between it and a build beside its folder; `where` is its name in the file."""
        yield from ()


class WholeExport(ExportKind):
    """An export that is written at once, from the pairs of all pool partitions."""

    @property
    @abstractmethod
    def described(self) -> str:
        """What it is, for the UI."""

    def reads(self) -> "Iterator[Dependency]":
        """What it reads beside the mix."""
        yield from ()

    @abstractmethod
    def write(self, project: "Project", folder: Folder, progress: Progress) -> Written:
        """Write its files. Progress is reported in pool partitions.

        Raises:
            OSError: The folder cannot be written to.
        """


class ShardedExport(ExportKind):
    """An export of shards, some for each pool partition, with the captions that go along."""

    only_beside: ClassVar[tuple[str, ...]] = ()
    """Fields that are said beside the shards and decide nothing in them."""

    has_few_files: ClassVar[bool] = True
    """Whether a shard is so few files that each plan may look whether they are there."""

    repeats: ClassVar[bool] = True
    """Whether a pair of k copies is k samples; otherwise it is one, with its number of copies."""

    captions: Literal["all"] | tuple[Name, ...] = Field(
        default="all", description="Sources whose captions go along with the chosen text."
    )
    formats: tuple[ImageFormat, ...] = Field(
        default=READ_BY_OPEN_CLIP,
        min_length=1,
        description="Image formats that are written; pairs with others are left out and counted. "
        "By default what open_clip's loader reads.",
    )
    samples_per_shard: int = Field(
        default=10_000, gt=0, le=10_000_000, description="Most samples of one shard."
    )

    def sources_along(self, all_sources: Sequence[str]) -> Sequence[str]:
        """Those of the experiment's sources whose captions go along with the chosen text."""
        return all_sources if self.captions == "all" else self.captions

    def mixes_along(self, all_mixes: Sequence[str]) -> Sequence[str]:  # noqa: ARG002 - of some kinds
        """Those of the experiment's mixes of which a sample says whether they take its image.

        Rows then have a column `mixes`, the names of those that do.
        """
        return ()

    @abstractmethod
    def form(self) -> Form:
        """How a shard is written."""

    def form_of(self, mix: Mix) -> Form:  # noqa: ARG002 - of some kinds
        """How a shard of this mix is written."""
        return self.form()

    def refers(self) -> Iterator[Reference]:
        """The mix, and the sources whose captions go along."""
        yield from super().refers()
        if self.captions != "all":
            yield from (Reference("captions", name, "source_names") for name in self.captions)

    def refuses(self) -> Iterator[Refusal]:
        """What is not taken, the first reason that holds counts.

        The expressions see a row for each pair: `text`, `source`, `score`, `weight` and the image's
        `image_format`, `width`, `height`, `size`, `url`.
        """
        readable = [name for name, ending in EXTENSIONS.items() if ending in self.formats]
        meaning = "the image's format is none of `formats`"
        yield Refusal("unread_format", meaning, ~pl.col("image_format").is_in(readable))

    def reasons(self) -> Mapping[str, str]:
        """Those of `refuses`, and of images that changed."""
        return {
            **{one.reason: one.meaning for one in self.refuses()},
            "image_changed": "the pool has other bytes there than when it was indexed",
        }

    def gathered(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The samples that stand for these pairs, as `exports.rows` has them; one for each."""
        return rows

    def ordered(self, samples: pl.DataFrame) -> pl.DataFrame:
        """The samples in the order in which they are written: the pool's own, read fastest."""
        return samples.sort("shard", "offset", "key", "uid", "k")

    def in_groups(self, mix: Mix) -> bool:  # noqa: ARG002 - of some kinds
        """Whether samples of different weights go to folders of their own."""
        return False

    def beside_shards(self, folder: Folder, run: Run) -> Sequence[WrittenFile]:  # noqa: ARG002 - of some kinds
        """Write what is beside the shards of one folder, `run.below`, when all are there."""
        return ()

    def beside_all(self, folder: Folder, written: Written) -> Sequence[WrittenFile]:  # noqa: ARG002 - of some kinds
        """Write what is beside all folders of shards, when all are there; of `names_beside`."""
        return ()
