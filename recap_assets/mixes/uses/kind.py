"""What a kind of use is: which captions of an accepted image a rule takes, and why.

Kinds import what they are written with from here.
"""

from abc import abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import polars as pl

from recap_assets.mixes.candidates import Depth, n_used, within
from recap_assets.mixes.images import Images
from recap_assets.mixes.one_image import OneImage
from recap_assets.mixes.words import distinguished, joined
from recap_assets.specs.base import Name
from recap_assets.specs.kinds import fitting
from recap_assets.specs.mixes import Rule
from recap_assets.specs.references import Reference
from recap_assets.specs.uses import UseSpec

__all__ = [
    "Depth",
    "Images",
    "Name",
    "OneImage",
    "Reference",
    "Taken",
    "Use",
    "UseSpec",
    "distinguished",
    "joined",
    "use_of",
]  # fmt: skip


@dataclass(frozen=True)
class Taken:
    """Captions that a use takes, as expressions over `Images.frame`.

    Attributes:
        source: What the pairs name as their source.
        candidate: Number of the caption.
        text: The caption.
        score: Its score by the mix's scorer.
        where: Of which accepted images; None for all.
        share: What the rule's weight is multiplied by.
        n_pairs: Pairs of an image that share that weight evenly.
    """

    source: str
    candidate: pl.Expr
    text: pl.Expr
    score: pl.Expr
    where: pl.Expr | None = None
    share: float = 1.0
    n_pairs: pl.Expr = field(default_factory=lambda: pl.lit(1))


class Use(UseSpec):
    """A use of a rule; see `specs.uses` for what else it may say.

    By default a use takes the best captions as they are: of the alternative that `choice` names,
    or of each source that has one.
    """

    @property
    def alternatives(self) -> tuple[str, ...]:
        """The sources, in the order in which `choice` numbers them."""
        return self.sources

    def usable(self) -> pl.Expr:
        """Whether an image has the texts that it needs: an expression over `Images.frame`."""
        return pl.any_horizontal(f"has.{self.ranked(source)}" for source in self.sources)

    def choice(self, uids: pl.Series) -> pl.Expr | None:  # noqa: ARG002 - of some kinds
        """The number of the alternative that an image takes, where it takes one of several.

        Args:
            uids: Of the images, in the order of `Images.frame`; chance is a function of them.
        """
        return None

    def depends(self, unknown: Collection[str], uids: pl.Series) -> pl.Expr:  # noqa: ARG002 - of some kinds
        """Whether what it takes of an image may depend on captions that are not known yet.

        Where it does not, no caption is made for its sake. By default it may for every image.

        Args:
            unknown: Those of its sources that are not, at least one. Of the others `has.X` is in
                `Images.frame`, over which the expression is.
            uids: Of the images, in the order of `Images.frame`.
        """
        return pl.lit(value=True)

    def taken(self, images: Images, depth: Depth, choice: pl.Expr | None) -> Iterator[Taken]:
        """The captions that it takes of the images that its rule accepts.

        Args:
            images: What is side by side there.
            depth: How many candidates of a source the rule uses.
            choice: What `choice` returned, by now a column.
        """
        for number, source in enumerate(self.alternatives):
            where = None if choice is None else choice == number
            if where is None and len(self.alternatives) > 1:
                where = pl.col(f"has.{self.ranked(source)}")
            for rank in range(within(depth, images.depths[self.ranked(source)])):
                yield self._caption(images, depth, source, rank, where)

    def _caption(
        self, images: Images, depth: Depth, source: str, rank: int, where: pl.Expr | None
    ) -> Taken:
        best = self.ranked(source)
        name = f"{best}.{rank}" if rank else best
        asked = [] if where is None else [where]
        # A use takes only images that have the best caption, and some have no further one.
        asked += [pl.col(f"has.{name}")] if rank else []
        return Taken(
            source=source,
            candidate=pl.col(f"candidate.{name}"),
            text=images.text(name),
            score=images.score(name),
            where=pl.all_horizontal(asked) if asked else None,
            share=self.share(source),
            n_pairs=n_used(depth, best),
        )

    @abstractmethod
    def words(self, image: OneImage, chosen: int | None, weight: float) -> str:
        """Which captions it takes of one image that has the texts, and why.

        Args:
            image: The image.
            chosen: What `choice` came to.
            weight: The rule's.
        """

    def phrase(self) -> str:
        """Which captions it takes of an image; by default as the experiment file names it."""
        return f"{self.word} of {joined(self.sources)}"

    def why_unusable(self, image: OneImage) -> str:  # noqa: ARG002 - of some kinds
        """Why it takes nothing of an image that has not the texts."""
        if len(self.sources) == 1:
            return f"{self.sources[0]} has no text"
        return f"none of {joined(self.sources)} has text"


def use_of(rule: Rule) -> Use:
    """The rule's use, as what can take captions."""
    return fitting("use", rule.use, Use)
