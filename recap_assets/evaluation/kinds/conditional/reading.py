"""Queries of composed retrieval and their images, from tars or from GeneCIS' lists."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import cast

import numpy as np

from recap_assets.evalsets.embedding import Image
from recap_assets.evalsets.listed import ImageFolder, Record, records_of
from recap_assets.evalsets.measuring import SetAside, sound_images, sound_samples, usable_text
from recap_assets.evalsets.webdatasets import (
    Decode,
    EvaluationSetError,
    SetFolder,
    SetShards,
    batched,
    decoded,
    shards_of,
)
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_text import parse_json
from recap_assets.untrusted.showing import one_line

QUERIES = "queries.jsonl"
MAX_QUERIES_BYTES = 256 * 2**20
MAX_QUERY_BYTES = 2**20
MAX_GALLERY = 100_000
NO_CATEGORY = "all"

DILATION = 0.7
"""By how much of its width and height a box grows to each side but for the start, as published."""

Key = tuple[str, tuple[float, float, float, float] | None]
"""An image by its key or file's name, and the box of it that is meant."""


@dataclass(frozen=True)
class Query:
    """One query.

    Attributes:
        where: Where it is, for messages.
        reference: The image.
        condition: What is asked of it.
        targets: The right images.
        gallery: The wrong ones; None for every image but the reference.
        category: Of the query.
    """

    where: str
    reference: Key
    condition: str
    targets: tuple[Key, ...]
    gallery: tuple[Key, ...] | None
    category: str = NO_CATEGORY

    @property
    def keys(self) -> tuple[Key, ...]:
        """All images that it names."""
        return (self.reference, *self.targets, *(self.gallery or ()))


class Queries(ABC):
    """Queries, and the images that they name."""

    @abstractmethod
    def queries(self, aside: SetAside) -> Iterator[Query]:
        """Every query that can be read, in order."""

    @abstractmethod
    def pictures(self, size: int, aside: SetAside) -> Iterator[tuple[list[Key], list[Image]]]:
        """Every image that can be used, once, at most `size` at a time."""


@dataclass(frozen=True)
class InTars(Queries):
    """Images in tars, queries in `queries.jsonl`."""

    folder: SetFolder
    shards: SetShards = field(repr=False)

    def queries(self, aside: SetAside) -> Iterator[Query]:
        """The lines that are queries."""
        content = self.folder.content(QUERIES, MAX_QUERIES_BYTES)
        for number, line in enumerate(content.split(b"\n"), 1):
            where = f"{self.folder.path}/{QUERIES}, line {number}"
            if not line.strip():
                continue
            try:
                record = parse_json(line, MAX_QUERY_BYTES)
            except UntrustedError as error:
                aside.add("query_not_readable", f"{where}: {error}")
                continue
            if isinstance(record, dict):
                known = cast("Record", record)
                yield from _checked(where, known, str(known.get("category", "")), aside)
            else:
                aside.add("query_not_readable", f"{where}: it is no object")

    def pictures(self, size: int, aside: SetAside) -> Iterator[tuple[list[Key], list[Image]]]:
        """The images of the shards by their keys."""
        found = sound_images(sound_samples(self.shards, aside), self.shards.decode, aside)
        for samples, images in batched(found, size):
            yield [(_key_of(sample.where), None) for sample in samples], images


@dataclass(frozen=True)
class InLists(Queries):
    """GeneCIS' lists, and a folder of the images of COCO or Visual Genome."""

    folder: SetFolder
    lists: tuple[str, ...]
    images: ImageFolder
    decode: Decode = field(repr=False)

    def queries(self, aside: SetAside) -> Iterator[Query]:
        """The queries of all lists."""
        for name in self.lists:
            for where, record in records_of(self.folder, name, aside):
                yield from _checked(where, record, name.removesuffix(".json"), aside)

    def pictures(self, size: int, aside: SetAside) -> Iterator[tuple[list[Key], list[Image]]]:
        """Every image that a query names, once."""
        keys = dict.fromkeys(key for query in self.queries(SetAside()) for key in query.keys)
        yield from batched(self._decoded(keys, aside), size)

    def _decoded(
        self, keys: Mapping[Key, None], aside: SetAside
    ) -> Iterator[tuple[Key, Image, int]]:
        for name, box in keys:
            held = self.images.picture(name, f"{self.images.folder.path}/{name}")
            try:
                content = held.image
                image = decoded(self.decode, content, held.where)
                yield (name, box), image if box is None else cut_out(image, box), len(content)
            except EvaluationSetError as error:
                aside.add("image_not_usable", str(error))


def open_conditional(path: str, split: str, images: str | None, decode: Decode) -> Queries:
    """Open a set; see `ConditionalTask`.

    Raises:
        EvaluationSetError: A missing or unusable file.
    """
    folder = SetFolder.of(path)
    if images is not None:
        return InLists(folder, folder.listed(".json"), ImageFolder.of(images), decode)
    if not folder.has(QUERIES):
        msg = f"{folder.path}: {QUERIES} is missing"
        raise EvaluationSetError(msg)
    return InTars(folder, shards_of(folder, split, decode))


def cut_out(image: Image, box: tuple[float, float, float, float]) -> Image:
    """A box of an image with its surroundings, padded to a square with black.

    Args:
        image: Shape (height, width, 3).
        box: Left, top, width and height in pixels.

    Raises:
        EvaluationSetError: Nothing of the box is in the image.
    """
    left, top, width, height = box
    x0, y0 = max(0.0, left - DILATION * width), max(0.0, top - DILATION * height)
    x1 = min(float(image.shape[1]), x0 + (1 + DILATION) * width)
    y1 = min(float(image.shape[0]), y0 + (1 + DILATION) * height)
    part = image[round(y0) : round(y1), round(x0) : round(x1)]
    if 0 in part.shape:
        msg = f"the box {list(box)} has nothing of an image of {image.shape[1]}x{image.shape[0]}"
        raise EvaluationSetError(msg)
    side = max(part.shape[:2])
    square = np.zeros((side, side, 3), np.uint8)
    at_y, at_x = (side - part.shape[0]) // 2, (side - part.shape[1]) // 2
    square[at_y : at_y + part.shape[0], at_x : at_x + part.shape[1]] = part
    return square


def _checked(where: str, record: Record, category: str, aside: SetAside) -> Iterator[Query]:
    reference, targets = _image(record.get("reference")), _images(record.get("target"))
    gallery = None if record.get("gallery") is None else _images(record.get("gallery"))
    condition = record.get("condition")
    wants_gallery = record.get("gallery") is not None
    if reference is None or not targets or (wants_gallery and not gallery):
        aside.add("query_not_usable", f"{where}: it needs a reference, a target and a gallery")
    elif not usable_text(condition):
        aside.add("condition_not_usable", f"{where}: its condition is no text of some length")
    else:
        wrong = None if gallery is None else tuple(k for k in gallery if k not in set(targets))
        name = one_line(category, 80) or NO_CATEGORY
        yield Query(where, reference, cast("str", condition), targets, wrong, name)


def _images(value: object) -> tuple[Key, ...]:
    values = cast("list[object]", value) if isinstance(value, list) else [value]
    if len(values) > MAX_GALLERY:
        return ()
    keys = [_image(one) for one in values]
    return () if None in keys else tuple(dict.fromkeys(cast("list[Key]", keys)))


def _image(value: object) -> Key | None:
    """The image that a value of a query names: a key, or an object of GeneCIS."""
    if isinstance(value, str):
        return (value, None) if value else None
    if not isinstance(value, dict):
        return None
    known = cast("Record", value)
    coco, genome = known.get("val_image_id"), known.get("image_id")
    if _is_count(coco):
        return f"{coco:012d}.jpg", None
    box = known.get("instance_bbox")
    if _is_count(genome) and isinstance(box, list):
        sides = cast("list[object]", box)
        if len(sides) == 4 and all(map(_is_size, sides)):
            left, top, width, height = (float(cast("float", side)) for side in sides)
            return f"{genome}.jpg", (left, top, width, height)
    return None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**12


def _is_size(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and -1e6 < cast("float", value) < 1e6


def _key_of(where: str) -> str:
    return PurePosixPath(where.rpartition(", sample ")[2]).as_posix()
