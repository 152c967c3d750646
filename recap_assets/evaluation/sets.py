"""Evaluation sets in CLIP_benchmark's webdataset layout, read as a stream.

The folder of a set, a local path or any fsspec URL, holds::

    dataset_type.txt                        classification (also if absent) or retrieval
    classnames.txt                          a class a line; a label is a line number from 0
    zeroshot_classification_templates.txt   a prompt a line, {c} stands for the class
    test/nshards.txt                        number of shards
    test/0.tar, test/1.tar, ...             KEY.jpg|png|webp with KEY.cls, or KEY.txt for retrieval

The members of a sample are adjacent, as webdataset writes them. Only one batch of images is in
memory at a time; nothing is written to disk.
"""

import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import PurePosixPath
from typing import IO, Protocol, TypeVar, cast

import fsspec  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
from numpy.typing import NDArray

from recap_assets.evaluation.embedding import Image

IMAGE_EXTENSIONS = frozenset({"jpg", "jpeg", "png", "webp"})
MAX_MEMBER_BYTES = 64 * 1024**2
"""A larger member is refused before it is read."""

Decode = Callable[[bytes], NDArray[np.uint8]]
"""Bytes of an image file to RGB, shape (height, width, 3); ValueError or OSError if it cannot."""

_Item = TypeVar("_Item")


class EvaluationSetError(ValueError):
    """An evaluation set cannot be used; the text names the file or sample and what is wrong."""


class _FileSystem(Protocol):
    # The part of fsspec's AbstractFileSystem that is used, which comes without types.
    def open(self, path: str, mode: str) -> IO[bytes]: ...

    def exists(self, path: str) -> bool: ...

    def isdir(self, path: str) -> bool: ...


@dataclass(frozen=True)
class _Folder:
    path: str
    root: str
    files: _FileSystem = field(repr=False)

    def has(self, name: str) -> bool:
        return self.files.exists(f"{self.root}/{name}")

    def text(self, name: str) -> str:
        if not self.has(name):
            msg = f"{self.path}: {name} is missing"
            raise EvaluationSetError(msg)
        with self.files.open(f"{self.root}/{name}", "rb") as file:
            try:
                return file.read().decode()
            except UnicodeDecodeError as error:
                msg = f"{self.path}: {name} is not UTF-8 text"
                raise EvaluationSetError(msg) from error

    def lines(self, name: str) -> tuple[str, ...]:
        """Stripped lines; blank ones at the end do not count, others would shift the labels."""
        lines = [line.strip() for line in self.text(name).rstrip().splitlines()]
        if not lines or "" in lines:
            where = f"line {lines.index('') + 1} of it is blank" if lines else "it is empty"
            msg = f"{self.path}: {name} needs one entry a line, but {where}"
            raise EvaluationSetError(msg)
        return tuple(lines)


@dataclass(frozen=True)
class _Sample:
    where: str
    image: bytes
    members: dict[str, bytes]


@dataclass(frozen=True)
class _Shards:
    folder: _Folder
    split: str
    n_shards: int
    decode: Decode

    def samples(self) -> Iterator[_Sample]:
        n_samples = 0
        for number in range(self.n_shards):
            name = f"{self.split}/{number}.tar"
            for key, members in self._grouped(name):
                n_samples += 1
                yield _sample(f"{self.folder.path}/{name}, sample {key}", members)
        if not n_samples:
            msg = f"{self.folder.path}: the split {self.split} has no sample"
            raise EvaluationSetError(msg)

    def image(self, sample: _Sample) -> Image:
        try:
            return self.decode(sample.image)
        except (ValueError, OSError) as error:
            msg = f"{sample.where}: the image cannot be decoded: {error}"
            raise EvaluationSetError(msg) from error

    def _grouped(self, name: str) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
        for key, group in groupby(self._members(name), key=lambda member: member[0]):
            yield key, [(extension, content) for _, extension, content in group]

    def _members(self, name: str) -> Iterator[tuple[str, str, bytes]]:
        where = f"{self.folder.path}/{name}"
        try:
            with (
                self.folder.files.open(f"{self.folder.root}/{name}", "rb") as file,
                tarfile.open(fileobj=file, mode="r|") as tar,
            ):
                for member in tar:
                    if member.isfile():
                        yield _named(tar, member, where)
        except (tarfile.TarError, EOFError) as error:
            msg = f"{where}: not a readable tar file, or cut short: {error}"
            raise EvaluationSetError(msg) from error


@dataclass(frozen=True)
class ClassificationSet:
    """Images with one class each.

    Attributes:
        path: The folder, as it was given.
        class_names: A label is an index into it. Two classes of one name tie, so both miss.
        templates: Prompts in which {c} stands for the class.
    """

    path: str
    class_names: tuple[str, ...]
    templates: tuple[str, ...]
    _shards: _Shards = field(repr=False)

    def batches(self, size: int) -> Iterator[tuple[list[Image], NDArray[np.int64]]]:
        """Images and their labels, at most `size` at a time, in the order of the shards.

        Raises:
            EvaluationSetError: A sample without image or label, a label out of range, an
                undecodable image, an unreadable shard, or no sample at all.
        """
        for batch in _batched(self._shards.samples(), size):
            labels = np.array([self._label(sample) for sample in batch], dtype=np.int64)
            yield [self._shards.image(sample) for sample in batch], labels

    def _label(self, sample: _Sample) -> int:
        text = _member(sample, "cls", "label")
        try:
            label = int(text)
        except ValueError as error:
            msg = f"{sample.where}: the label must be a whole number, but it is {text[:40]!r}"
            raise EvaluationSetError(msg) from error
        if not 0 <= label < len(self.class_names):
            msg = (
                f"{sample.where}: label {label} is out of range, since classnames.txt names "
                f"{len(self.class_names)} classes (0 to {len(self.class_names) - 1})"
            )
            raise EvaluationSetError(msg)
        return label


@dataclass(frozen=True)
class RetrievalSet:
    """Images with one or more captions each.

    Attributes:
        path: The folder, as it was given.
    """

    path: str
    _shards: _Shards = field(repr=False)

    def batches(self, size: int) -> Iterator[tuple[list[Image], list[list[str]]]]:
        """Images and the captions of each, at most `size` images at a time, in shard order.

        Blank lines are no captions.

        Raises:
            EvaluationSetError: A sample without image or caption, an undecodable image, an
                unreadable shard, or no sample at all.
        """
        for batch in _batched(self._shards.samples(), size):
            captions = [self._captions(sample) for sample in batch]
            yield [self._shards.image(sample) for sample in batch], captions

    @staticmethod
    def _captions(sample: _Sample) -> list[str]:
        lines = _member(sample, "txt", "caption").splitlines()
        captions = [line for line in lines if line.strip()]
        if not captions:
            msg = f"{sample.where}: its .txt holds no caption"
            raise EvaluationSetError(msg)
        return captions


def load_set(path: str, split: str, decode: Decode) -> ClassificationSet | RetrievalSet:
    """Open an evaluation set; its images are read and decoded batch by batch, on iteration.

    Args:
        path: The folder of the set, a local path or an fsspec URL.
        split: The subfolder with the shards, usually `test`.
        decode: Bytes of an image to RGB.

    Raises:
        EvaluationSetError: A missing or unusable file, a number of shards that does not fit, or
            a kind of set that is not known.
    """
    files, root = cast(
        "tuple[_FileSystem, str]",
        fsspec.core.url_to_fs(path),  # pyright: ignore[reportUnknownMemberType]
    )
    folder = _Folder(path.rstrip("/"), root.rstrip("/"), files)
    shards = _Shards(folder, split, _n_shards(folder, split), decode)
    kind = "classification"
    if folder.has("dataset_type.txt"):
        kind = folder.text("dataset_type.txt").strip().lower()
    if kind == "retrieval":
        return RetrievalSet(folder.path, shards)
    if kind != "classification":
        msg = f"{folder.path}: dataset_type.txt says {kind!r}; known are classification, retrieval"
        raise EvaluationSetError(msg)
    return ClassificationSet(
        folder.path, folder.lines("classnames.txt"), _templates(folder), shards
    )


def _n_shards(folder: _Folder, split: str) -> int:
    name = f"{split}/nshards.txt"
    text = folder.text(name).strip()
    if not text.isdecimal() or int(text) < 1:
        msg = f"{folder.path}: {name} must hold the number of shards, but it holds {text[:40]!r}"
        raise EvaluationSetError(msg)
    n_shards = int(text)
    for number in range(n_shards):
        if not folder.has(f"{split}/{number}.tar"):
            msg = f"{folder.path}: {name} says {n_shards}, but {split}/{number}.tar is missing"
            raise EvaluationSetError(msg)
    if folder.has(f"{split}/{n_shards}.tar"):
        msg = f"{folder.path}: {name} says {n_shards}, but there is {split}/{n_shards}.tar as well"
        raise EvaluationSetError(msg)
    return n_shards


def _templates(folder: _Folder) -> tuple[str, ...]:
    name = "zeroshot_classification_templates.txt"
    templates = folder.lines(name)
    for number, template in enumerate(templates, 1):
        if "{c}" not in template:
            msg = f"{folder.path}: line {number} of {name} has no {{c}} for the class"
            raise EvaluationSetError(msg)
    return templates


def _named(tar: tarfile.TarFile, member: tarfile.TarInfo, where: str) -> tuple[str, str, bytes]:
    if member.size > MAX_MEMBER_BYTES:
        msg = f"{where}: {member.name!r} has {member.size} bytes, over {MAX_MEMBER_BYTES}"
        raise EvaluationSetError(msg)
    path = PurePosixPath(member.name)
    stem, _, extension = path.name.partition(".")
    content = tar.extractfile(member)
    return str(path.parent / stem), extension.lower(), content.read() if content else b""


def _sample(where: str, members: list[tuple[str, bytes]]) -> _Sample:
    by_extension = dict(members)
    if len(by_extension) < len(members):
        msg = f"{where}: it holds two members of one kind, so two samples share a key"
        raise EvaluationSetError(msg)
    images = [content for kind, content in members if kind in IMAGE_EXTENSIONS]
    if len(images) != 1:
        msg = f"{where}: it has {len(images)} images instead of one (jpg, png or webp)"
        raise EvaluationSetError(msg)
    return _Sample(where, images[0], by_extension)


def _member(sample: _Sample, extension: str, meaning: str) -> str:
    if extension not in sample.members:
        msg = f"{sample.where}: it has no {meaning} (.{extension})"
        raise EvaluationSetError(msg)
    try:
        return sample.members[extension].decode()
    except UnicodeDecodeError as error:
        msg = f"{sample.where}: its {meaning} is not UTF-8 text"
        raise EvaluationSetError(msg) from error


def _batched(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
