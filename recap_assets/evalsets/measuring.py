"""Sets that say themselves what a model is measured by, and what of a set is not used."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from recap_assets.evalsets.embedding import Embedder, Image
from recap_assets.evalsets.webdatasets import (
    Decode,
    EvaluationSetError,
    Imaged,
    Sample,
    SetShards,
    decoded,
    sample_of,
)
from recap_assets.untrusted.showing import one_line

Valued = Mapping[str, tuple[float, int]]
"""Metrics by name: the value, and the number of samples that it is the mean over."""

CHANCE = "chance"
"""The metric that says what guessing gives for the main one."""

MAX_TEXT = 10_000
"""Characters of one text; a CLIP reads some three hundred."""

EXAMPLES = 5


@dataclass
class SetAside:
    """Samples of a set that are not used, counted by reason.

    Attributes:
        counts: By reason.
        examples: What was wrong with the first few, for people.
    """

    counts: Counter[str] = field(default_factory=Counter[str])
    examples: list[str] = field(default_factory=list[str])

    def add(self, reason: str, words: str) -> None:
        """One sample more; `words` say which, and what is wrong with it."""
        self.counts[reason] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(one_line(words, 300))

    def refuse_if_nothing_is_left(self, path: str, n_left: int, what: str = "sample") -> None:
        """Refuse a set of which nothing can be used.

        Raises:
            EvaluationSetError: `n_left` is 0.
        """
        if n_left:
            return
        why = f", since all {self.counts.total():,} were set aside" if self.counts else ""
        shown = f": {'; '.join(self.examples)}" if self.examples else ""
        msg = f"{path}: it has no {what} that can be used{why}{shown}"
        raise EvaluationSetError(msg)


@dataclass(frozen=True)
class Measured:
    """What a model has on a set.

    Attributes:
        values: Metrics by name.
        main: The one that stands for the set; None where none does.
        aside: Samples that were not used, by reason.
    """

    values: Valued
    main: str | None
    aside: Mapping[str, int] = field(default_factory=dict[str, int])


class MeasuringSet(ABC):
    """A set that says itself what is measured on it.

    Attributes:
        path: Where it is, as it was given.
        has_images: Whether it has any.
    """

    path: str
    has_images: ClassVar[bool] = True

    @abstractmethod
    def images(self, size: int) -> Iterator[list[Image]]:
        """The images that can be used, at most `size` at a time, in the same order each time."""

    @abstractmethod
    def expected(self) -> Iterator[object]:
        """What is asked of a model, a row a question, in the same order each time."""

    @abstractmethod
    def measure(self, embedder: Embedder, batch_size: int) -> Measured:
        """Measure a model.

        Args:
            embedder: Unit-length embeddings of images and texts.
            batch_size: Images or texts of one call to the embedder; changes no result.

        Raises:
            EvaluationSetError: A file is missing or damaged, or no sample can be used.
        """


def sound_samples(shards: SetShards, aside: SetAside) -> Iterator[Sample]:
    """Every sample of a set's shards that is one: with one image, and no member twice.

    Raises:
        EvaluationSetError: An unreadable shard.
    """
    for where, members in shards.groups():
        try:
            yield sample_of(where, members)
        except EvaluationSetError as error:
            aside.add("no_single_image", str(error))


def sound_images(
    items: Iterable[Imaged], decode: Decode, aside: SetAside
) -> Iterator[tuple[Imaged, Image, int]]:
    """The items whose image can be decoded, with it and the bytes of its file."""
    for item in items:
        try:
            content = item.image
            yield item, decoded(decode, content, item.where), len(content)
        except EvaluationSetError as error:
            aside.add("image_not_usable", str(error))


def usable_text(value: object) -> bool:
    """Whether a value of a file is a text that can be embedded."""
    return isinstance(value, str) and 0 < len(value) <= MAX_TEXT and bool(value.strip())
