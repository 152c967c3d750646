"""Two captions of an image, to be compared by somebody who does not know their sources."""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import polars as pl

from recap_assets.artefacts.draws import uid_hashes
from recap_assets.look.cards import Card, cards, drawn_images
from recap_assets.look.gallery import Gallery
from recap_assets.report.contents import ExampleCaption

MOST_IMAGES = 2_000
"""Of the pool's draw that are offered to everybody, in one order: what two people have compared
is what their agreement is measured on."""

_AT_ONCE = 24


class Judged(NamedTuple):
    """What somebody has compared already."""

    uid: bytes
    first_source: str
    second_source: str


@dataclass(frozen=True)
class Comparison:
    """Two captions of one image.

    Attributes:
        partition: Pool partition of the image.
        uid: Its uid.
        first: That of the source that is earlier in the experiment.
        second: The other.
        is_swapped: Whether the second is shown on the left.
    """

    partition: str
    uid: bytes
    first: ExampleCaption
    second: ExampleCaption
    is_swapped: bool

    @property
    def left(self) -> str:
        """The text on the left."""
        return (self.second if self.is_swapped else self.first).text

    @property
    def right(self) -> str:
        """The text on the right."""
        return (self.first if self.is_swapped else self.second).text

    @property
    def key(self) -> str:
        """Names both texts and their sides: an answer to other ones is refused."""
        text = "\0".join((self.left, self.right, self.uid.hex()))
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def next_comparison(
    gallery: Gallery, judge: str, sources: Collection[str], done: Collection[Judged]
) -> Comparison | None:
    """The next one that somebody has not made; None where all are made.

    Args:
        gallery: The gallery.
        judge: Who compares; it decides which caption is on the left.
        sources: Those whose captions are compared; more than two are drawn by uid.
        done: What was compared already.
    """
    if len(sources) < 2:
        return None
    images = drawn_images(gallery, 0, MOST_IMAGES)
    seen = frozenset(done)
    # Of an image one comparison is offered, so that all people get the same.
    compared = {one.uid for one in seen if {one.first_source, one.second_source} <= set(sources)}
    left = images.filter(~pl.col("uid").is_in(list(compared)))
    for at in range(0, left.height, _AT_ONCE):
        for card in cards(gallery, left[at : at + _AT_ONCE], gallery.scorers[0]):
            if (found := _comparison(card, judge, sources)) is not None:
                return found
    return None


def comparison_of(
    gallery: Gallery, judge: str, sources: Collection[str], uid: bytes
) -> Comparison | None:
    """The comparison that is offered of one image; None where it has none."""
    images = drawn_images(gallery, 0, MOST_IMAGES).filter(pl.col("uid") == pl.lit(uid))
    shown = cards(gallery, images, gallery.scorers[0])
    return _comparison(shown[0], judge, sources) if shown else None


def _comparison(card: Card, judge: str, sources: Collection[str]) -> Comparison | None:
    pairs = list(_pairs(card, sources))
    if not pairs:
        return None
    uids = pl.Series([card.uid], dtype=pl.Binary)
    first, second = pairs[int(uid_hashes(0, "look pair", uids)[0]) % len(pairs)]
    is_swapped = bool(int(uid_hashes(0, f"look sides {judge}", uids)[0]) & 1)
    return Comparison(card.partition, card.uid, first, second, is_swapped)


def _pairs(card: Card, sources: Collection[str]) -> Iterator[tuple[ExampleCaption, ExampleCaption]]:
    """Every two different texts of different sources, the first candidate of each."""
    firsts = [card.by(source)[0] for source in sources if card.by(source)]
    for first, second in combinations(firsts, 2):
        if first.text.strip() and second.text.strip() and first.text != second.text:
            yield first, second
