"""Images with true captions and hard negatives, and how a model is measured by them."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from math import comb
from typing import cast

import numpy as np

from recap_assets.evalsets.embedding import Embedder, Image
from recap_assets.evalsets.listed import ImageFolder, records_of
from recap_assets.evalsets.measuring import (
    CHANCE,
    Measured,
    MeasuringSet,
    SetAside,
    sound_images,
    sound_samples,
    usable_text,
)
from recap_assets.evalsets.webdatasets import (
    Decode,
    EvaluationSetError,
    HasImage,
    Sample,
    SetFolder,
    batched,
    shards_of,
)
from recap_assets.evaluation.zero_shot import Embeddings, cosines, embedded_texts
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_text import parse_json
from recap_assets.untrusted.showing import one_line

IMAGE_TO_TEXT, TEXT_TO_TEXT = "image_to_text", "text_to_text"
MAX_JSON_BYTES = 2**20
MAX_CAPTIONS = 256
"""Of one question."""
MAX_CATEGORIES = 256
NO_CATEGORY = "all"


@dataclass(frozen=True)
class Question:
    """An image with its captions.

    Attributes:
        held: Where it is, and the image.
        positives: Captions that are true, one at least.
        negatives: Captions that are not, one at least.
        category: How the negatives differ.
    """

    held: HasImage
    positives: tuple[str, ...]
    negatives: tuple[str, ...]
    category: str = NO_CATEGORY

    @property
    def where(self) -> str:
        """Where it is, for messages."""
        return self.held.where

    @property
    def image(self) -> bytes:
        """Bytes of its image's file."""
        return self.held.image

    @property
    def chance(self) -> float:
        """How probably all true captions come first in a random order."""
        n = len(self.positives)
        return 1 / comb(n + len(self.negatives), n)


@dataclass
class _Category:
    """What was counted of one category."""

    image: list[bool] = field(default_factory=list)
    text: list[bool] = field(default_factory=list)
    chance: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class CompositionSet(MeasuringSet):
    """Questions, read one after the other.

    Attributes:
        path: The folder, as it was given.
    """

    path: str
    _read: Callable[[SetAside], Iterator[Question]] = field(repr=False)
    _decode: Decode = field(repr=False)

    def images(self, size: int) -> Iterator[list[Image]]:
        """The images of the questions."""
        for _questions, images in self._batches(size, SetAside()):
            yield images

    def expected(self) -> Iterator[object]:
        """True captions, false ones and category of each question."""
        for one in self._read(SetAside()):
            yield [*one.positives], [*one.negatives], one.category

    def measure(self, embedder: Embedder, batch_size: int) -> Measured:
        """Measure a model; see `CompositionTask`."""
        aside = SetAside()
        found: dict[str, _Category] = defaultdict(_Category)
        for questions, images in self._batches(batch_size, aside):
            vectors = embedder.embed_images(images)
            texts = [text for one in questions for text in (*one.positives, *one.negatives)]
            embedded = iter(embedded_texts(embedder, texts, batch_size))
            for one, image in zip(questions, vectors, strict=True):
                true = np.stack([next(embedded) for _ in one.positives])
                false = np.stack([next(embedded) for _ in one.negatives])
                _count(found[one.category], one, image, true, false)
                _refuse_many(self.path, found)
        aside.refuse_if_nothing_is_left(self.path, len(found))
        return Measured(_values(found), IMAGE_TO_TEXT, dict(aside.counts))

    def _batches(self, size: int, aside: SetAside) -> Iterator[tuple[list[Question], list[Image]]]:
        yield from batched(sound_images(self._read(aside), self._decode, aside), size)


def open_composition(path: str, split: str, images: str | None, decode: Decode) -> CompositionSet:
    """Open a set; see `CompositionTask`.

    Raises:
        EvaluationSetError: A missing or unusable file.
    """
    folder = SetFolder.of(path)
    if images is None:
        shards = shards_of(folder, split, decode)
        return CompositionSet(
            folder.path,
            lambda aside: _from_samples(sound_samples(shards, aside), aside),
            decode,
        )
    lists, pictures = folder.listed(".json"), ImageFolder.of(images)
    return CompositionSet(
        folder.path, lambda aside: _from_lists(folder, lists, pictures, aside), decode
    )


def all_beat(true: Embeddings, false: Embeddings, anchors: Embeddings) -> bool:
    """Whether each of `true` is closer to each of `anchors` than all of `false` are.

    Args:
        true: Shape (captions, dim).
        false: Shape (captions, dim).
        anchors: Shape (anchors, dim).
    """
    near, far = cosines(anchors, true), cosines(anchors, false)
    # NaN beats nothing.
    return bool((near[:, :, None] > far[:, None, :]).all())


def _count(
    category: _Category, one: Question, image: Embeddings, true: Embeddings, false: Embeddings
) -> None:
    category.image.append(all_beat(true, false, image[None]))
    category.chance.append(one.chance)
    if len(true) > 1:
        pairs = combinations(range(len(true)), 2)
        category.text.append(
            all(
                all_beat(true[[b]], false, true[[a]]) and all_beat(true[[a]], false, true[[b]])
                for a, b in pairs
            )
        )


def _values(found: Mapping[str, _Category]) -> dict[str, tuple[float, int]]:
    values: dict[str, tuple[float, int]] = {}
    for metric, of in ((IMAGE_TO_TEXT, "image"), (TEXT_TO_TEXT, "text"), (CHANCE, "chance")):
        by_category = {name: getattr(one, of) for name, one in sorted(found.items())}
        means = {name: float(np.mean(one)) for name, one in by_category.items() if one}
        if not means:
            continue
        counts = {name: len(by_category[name]) for name in means}
        values[metric] = float(np.mean([*means.values()])), sum(counts.values())
        if metric != CHANCE and [*found] != [NO_CATEGORY]:
            values |= {f"{metric}:{name}": (mean, counts[name]) for name, mean in means.items()}
    return values


def _refuse_many(path: str, found: Mapping[str, object]) -> None:
    if len(found) > MAX_CATEGORIES:
        msg = f"{path}: its questions have more than {MAX_CATEGORIES} categories: a category is a "
        raise EvaluationSetError(msg + "kind of negative, and not a name of each question")


def _from_samples(samples: Iterator[Sample], aside: SetAside) -> Iterator[Question]:
    for held in samples:
        try:
            record = parse_json(held.member("json", "captions"), MAX_JSON_BYTES)
        except (EvaluationSetError, UntrustedError) as error:
            aside.add("json_not_readable", f"{held.where}: {error}")
            continue
        if isinstance(record, dict):
            known = cast("dict[str, object]", record)
            positives, negatives = known.get("positives"), known.get("negatives")
            category = known.get("category", NO_CATEGORY)
            yield from _question(held, positives, negatives, category, aside)
        else:
            aside.add("json_not_readable", f"{held.where}: its .json is no object")


def _from_lists(
    folder: SetFolder, lists: tuple[str, ...], pictures: ImageFolder, aside: SetAside
) -> Iterator[Question]:
    for name in lists:
        for where, record in records_of(folder, name, aside):
            held = pictures.picture(record.get("filename"), where)
            true = [record.get("caption"), record.get("caption2")]
            false = [record.get("negative_caption")]
            positives = [text for text in true if text is not None]
            yield from _question(held, positives, false, name.removesuffix(".json"), aside)


def _question(
    held: HasImage, positives: object, negatives: object, category: object, aside: SetAside
) -> Iterator[Question]:
    true, false = _texts(positives), _texts(negatives)
    if true is None or false is None:
        words = f"{held.where}: it needs true captions and false ones, {MAX_CAPTIONS} at most"
        aside.add("captions_not_usable", words)
    elif set(true) & set(false):
        aside.add("caption_true_and_false", f"{held.where}: a caption is both true and false")
    elif not isinstance(category, str):
        aside.add("category_not_usable", f"{held.where}: its category is no text")
    else:
        yield Question(held, true, false, one_line(category, 80) or NO_CATEGORY)


def _texts(value: object) -> tuple[str, ...] | None:
    texts = cast("list[object]", value) if isinstance(value, list) else []
    if 0 < len(texts) <= MAX_CAPTIONS and all(map(usable_text, texts)):
        return tuple(cast("list[str]", texts))
    return None
