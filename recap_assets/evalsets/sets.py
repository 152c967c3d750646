"""Evaluation sets in CLIP_benchmark's webdataset layout, read as a stream.

The folder of a set, a local path or any fsspec URL, holds::

    dataset_type.txt                        classification (also if absent) or retrieval
    classnames.txt                          a class a line; a label is a line number from 0
    zeroshot_classification_templates.txt   a prompt a line, {c} stands for the class
    test/nshards.txt                        number of shards
    test/0.tar, test/1.tar, ...             KEY.jpg|png|webp with KEY.cls, or KEY.txt for retrieval

Sets of DataComp that are evaluated by groups have a KEY.npy as well, a vector of numbers. Those of
faces have no label: prompts and classes begin with `race:`, `gender:`, `age:` or `toxic:`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recap_assets.evalsets.associations import AssociationSet, open_associations
from recap_assets.evalsets.embedding import Image
from recap_assets.evalsets.measuring import MeasuringSet
from recap_assets.evalsets.metadata import metadata_of
from recap_assets.evalsets.rows import captioned_rows, has_rows
from recap_assets.evalsets.webdatasets import (
    Decode,
    EvaluationSetError,
    Sample,
    SetFolder,
    SetShards,
    decoded_batches,
    shards_of,
)
from recap_assets.specs.datacomp import METADATA, Protocol

__all__ = [
    "OBJECTIVES", "AssociationSet", "Captioned", "ClassificationSet", "Decode", "EvaluationSet",
    "EvaluationSetError", "FacesSet", "MeasuringSet", "Prompts", "RetrievalSet", "load_set",
]  # fmt: skip

OBJECTIVES = ("race", "gender", "age", "toxic")
"""What is said of a face, in the order of DataComp's predictions."""

_WHOLE = re.compile(r"\s*[-+]?[0-9]{1,18}\s*")

Metadata = NDArray[np.int64]
"""A row for each sample, a column for each of the protocol's fields."""


@dataclass(frozen=True)
class Prompts:
    """Classes and the prompts that name them.

    Attributes:
        class_names: A label is an index into it. Two classes of one name tie, so both miss.
        templates: Prompts in which {c} stands for the class.
    """

    class_names: tuple[str, ...]
    templates: tuple[str, ...]


@dataclass(frozen=True)
class ClassificationSet:
    """Images with one class each.

    Attributes:
        path: The folder, as it was given.
        class_names: A label is an index into it. Two classes of one name tie, so both miss.
        templates: Prompts in which {c} stands for the class.
        protocol: Which metrics beside those of every classification are wanted.
    """

    path: str
    class_names: tuple[str, ...]
    templates: tuple[str, ...]
    _shards: SetShards = field(repr=False)
    protocol: Protocol = "standard"

    def batches(self, size: int) -> Iterator[tuple[list[Image], NDArray[np.int64]]]:
        """Images and their labels, at most `size` at a time, in the order of the shards.

        Raises:
            EvaluationSetError: A sample without image or label, a label out of range, an
                undecodable image, an unreadable shard, or no sample at all.
        """
        for images, labels, _metadata in self.grouped_batches(size, with_metadata=False):
            yield images, labels

    def images(self, size: int) -> Iterator[list[Image]]:
        """The images alone, at most `size` at a time."""
        for images, _labels in self.batches(size):
            yield images

    def grouped_batches(
        self, size: int, *, with_metadata: bool = True
    ) -> Iterator[tuple[list[Image], NDArray[np.int64], Metadata]]:
        """`batches` with the samples' metadata, which has no column where there is none.

        Raises:
            EvaluationSetError: As `batches`, or metadata that is missing or of another shape.
        """
        fields = METADATA.get(self.protocol, ()) if with_metadata else ()
        for samples, images in self._shards.batches(size):
            labels = np.array([self._label(sample) for sample in samples], dtype=np.int64)
            yield images, labels, _metadata(samples, fields)

    def _label(self, sample: Sample) -> int:
        text = sample.text("cls", "label")
        if not _WHOLE.fullmatch(text):
            msg = f"{sample.where}: the label must be a whole number, but it is {text[:40]!r}"
            raise EvaluationSetError(msg)
        label = int(text)
        if not 0 <= label < len(self.class_names):
            msg = (
                f"{sample.where}: label {label} is out of range, since classnames.txt names "
                f"{len(self.class_names)} classes (0 to {len(self.class_names) - 1})"
            )
            raise EvaluationSetError(msg)
        return label


@dataclass(frozen=True)
class FacesSet:
    """Faces with age, gender and race; several things are said of each.

    Attributes:
        path: The folder, as it was given.
        prompts: Classes and templates of each of OBJECTIVES.
    """

    path: str
    prompts: Mapping[str, Prompts]
    _shards: SetShards = field(repr=False)

    def batches(self, size: int) -> Iterator[tuple[list[Image], Metadata]]:
        """Images and their age, gender, race and race_binary, at most `size` at a time.

        Raises:
            EvaluationSetError: A sample without image or metadata, an undecodable image, an
                unreadable shard, or no sample at all.
        """
        for samples, images in self._shards.batches(size):
            yield images, _metadata(samples, METADATA["faces"])

    def images(self, size: int) -> Iterator[list[Image]]:
        """The images alone, at most `size` at a time."""
        for images, _metadata in self.batches(size):
            yield images


@dataclass(frozen=True)
class Captioned:
    """An image with its captions: where it is, its bytes, the captions of people."""

    where: str
    image: bytes
    captions: list[str]


@dataclass(frozen=True)
class RetrievalSet:
    """Images with one or more captions each.

    Attributes:
        path: The folder, as it was given.
    """

    path: str
    _read: Callable[[], Iterator[Captioned]] = field(repr=False)
    _decode: Decode = field(repr=False)

    def batches(self, size: int) -> Iterator[tuple[list[Image], list[list[str]]]]:
        """Images and the captions of each, at most `size` images at a time, in shard order.

        Blank lines are no captions.

        Raises:
            EvaluationSetError: A sample without image or caption, an undecodable image, an
                unreadable shard, or no sample at all.
        """
        for batch, images in decoded_batches(self._read(), size, self._decode):
            yield images, [_captions(one) for one in batch]

    def images(self, size: int) -> Iterator[list[Image]]:
        """The images alone, at most `size` at a time."""
        for images, _captions_of in self.batches(size):
            yield images


EvaluationSet = ClassificationSet | FacesSet | RetrievalSet | AssociationSet | MeasuringSet


def load_set(
    path: str, split: str, decode: Decode, protocol: Protocol = "standard"
) -> EvaluationSet:
    """Open an evaluation set; its images are read and decoded batch by batch, on iteration.

    Args:
        path: The folder of the set, a local path or an fsspec URL: a webdataset, or, for
            retrieval and WinoGAViL, Arrow or parquet files as the `datasets` library leaves them.
        split: The subfolder with the shards, usually `test`.
        decode: Bytes of an image to RGB.
        protocol: `standard` is decided by the folder: classification or retrieval.

    Raises:
        EvaluationSetError: A missing or unusable file, a number of shards that does not fit, or
            a kind of set that is not known.
    """
    folder = SetFolder.of(path)
    if protocol == "winogavil":
        return open_associations(folder, split, decode)
    if protocol == "retrieval" and has_rows(folder, split):
        return RetrievalSet(folder.path, lambda: _from_rows(folder, split), decode)
    shards = shards_of(folder, split, decode)
    if protocol == "faces":
        return FacesSet(folder.path, _face_prompts(folder), shards)
    kind = _kind(folder) if protocol == "standard" else protocol
    if kind == "retrieval":
        return RetrievalSet(folder.path, lambda: _from_shards(shards), decode)
    return ClassificationSet(
        folder.path, folder.lines("classnames.txt"), _templates(folder), shards, protocol
    )


def _kind(folder: SetFolder) -> str:
    kind = "classification"
    if folder.has("dataset_type.txt"):
        kind = folder.text("dataset_type.txt").strip().lower()
    if kind not in ("classification", "retrieval"):
        msg = f"{folder.path}: dataset_type.txt says {kind!r}; known are classification, retrieval"
        raise EvaluationSetError(msg)
    return kind


def _from_shards(shards: SetShards) -> Iterator[Captioned]:
    for sample in shards.samples():
        yield Captioned(sample.where, sample.image, sample.text("txt", "caption").splitlines())


def _from_rows(folder: SetFolder, split: str) -> Iterator[Captioned]:
    for where, image, captions in captioned_rows(folder, split):
        yield Captioned(where, image, captions)


def _captions(one: Captioned) -> list[str]:
    captions = [line for line in one.captions if line.strip()]
    if not captions:
        msg = f"{one.where}: its .txt holds no caption"
        raise EvaluationSetError(msg)
    return captions


def _metadata(samples: Iterable[Sample], fields: tuple[str, ...]) -> Metadata:
    rows = [metadata_of(sample, fields) for sample in samples]
    return np.stack(rows) if rows else np.zeros((0, len(fields)), dtype=np.int64)


def _templates(folder: SetFolder) -> tuple[str, ...]:
    name = "zeroshot_classification_templates.txt"
    templates = folder.lines(name)
    for number, template in enumerate(templates, 1):
        if "{c}" not in template:
            msg = f"{folder.path}: line {number} of {name} has no {{c}} for the class"
            raise EvaluationSetError(msg)
    return templates


def _face_prompts(folder: SetFolder) -> Mapping[str, Prompts]:
    names = _by_objective(folder, "classnames.txt", folder.lines("classnames.txt"))
    templates = _by_objective(folder, "the templates", _templates(folder))
    return {one: Prompts(tuple(names[one]), tuple(templates[one])) for one in OBJECTIVES}


def _by_objective(folder: SetFolder, what: str, lines: Iterable[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {objective: [] for objective in OBJECTIVES}
    for line in lines:
        objective, colon, rest = line.partition(":")
        if not colon or objective not in found:
            msg = f"{folder.path}: a line of {what} must begin with one of {OBJECTIVES}: {line!r}"
            raise EvaluationSetError(msg)
        found[objective].append(rest)
    if missing := [objective for objective, of_it in found.items() if not of_it]:
        msg = f"{folder.path}: {what} has no line for {missing[0]}"
        raise EvaluationSetError(msg)
    return found
