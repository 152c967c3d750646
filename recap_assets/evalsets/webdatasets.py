"""The files of an evaluation set in CLIP_benchmark's webdataset layout, read as a stream.

The members of a sample are adjacent, as webdataset writes them. Only one batch of images is in
memory at a time; nothing is written to disk.
"""

import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import IO, Protocol, TypeVar, cast

import numpy as np
from fsspec.implementations.local import (  # pyright: ignore[reportMissingTypeStubs]
    LocalFileSystem,
)
from numpy.typing import NDArray

from recap_assets.evalsets.embedding import Image
from recap_assets.storage.places import located
from recap_assets.untrusted.decoding import decode_text
from recap_assets.untrusted.errors import RecapError, UntrustedError
from recap_assets.untrusted.files import check_regular
from recap_assets.untrusted.showing import one_line
from recap_assets.untrusted.tar_headers import BoundedHeader

IMAGE_EXTENSIONS = frozenset({"jpg", "jpeg", "png", "webp"})
MAX_MEMBER_BYTES = 64 * 1024**2
"""A larger member is refused before it is read."""

MAX_SAMPLE_BYTES = 2 * MAX_MEMBER_BYTES
"""Of the members of one sample together."""

MAX_BATCH_BYTES = 192 * 1024**2
"""Of the decoded images of a batch: 256 of 512 x 512 pixels."""

MAX_TEXT_BYTES = 16 * 1024**2
"""Of a file of class names, of prompts and the like."""

MAX_SHARDS = 1_000_000

Decode = Callable[[bytes], NDArray[np.uint8]]
"""Bytes of an image file to RGB, shape (height, width, 3); ValueError or OSError if it cannot."""


class HasImage(Protocol):
    """What an image is decoded of."""

    @property
    def where(self) -> str:
        """Where it is, for messages."""
        ...

    @property
    def image(self) -> bytes:
        """Bytes of its file."""
        ...


Imaged = TypeVar("Imaged", bound=HasImage)
T = TypeVar("T")


class EvaluationSetError(RecapError, ValueError):
    """An evaluation set cannot be used; the text names the file or sample and what is wrong."""


class FileSystem(Protocol):
    """The part of fsspec's AbstractFileSystem that is used, which comes without types."""

    def open(self, path: str, mode: str) -> IO[bytes]:
        """Open a file."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder."""
        ...

    def find(self, path: str, maxdepth: int | None = None) -> list[str]:
        """Every file below a folder, sorted; none where there is no folder."""
        ...


def at(path: str) -> tuple[FileSystem, str]:
    """The file system of a local path or an fsspec URL, and the path in it."""
    files, root = cast("tuple[FileSystem, str]", located(path))
    return files, root.rstrip("/")


@dataclass(frozen=True)
class SetFolder:
    """The folder of a set.

    Attributes:
        path: As it was given, for messages.
        root: The same in `files`.
        files: Where it is.
    """

    path: str
    root: str
    files: FileSystem = field(repr=False)

    @classmethod
    def of(cls, path: str) -> "SetFolder":
        """The folder at a local path or an fsspec URL."""
        files, root = at(path)
        return cls(path.rstrip("/"), root, files)

    def has(self, name: str) -> bool:
        """Whether it holds a file of this name."""
        return self.files.exists(f"{self.root}/{name}")

    def text(self, name: str) -> str:
        """A text file.

        Raises:
            EvaluationSetError: It is missing, no text, or no file.
        """
        return _text(self.content(name, MAX_TEXT_BYTES), f"{self.path}: {name}")

    def content(self, name: str, limit: int) -> bytes:
        """The bytes of a file, `limit` at most.

        Raises:
            EvaluationSetError: It is missing, longer, or no file.
        """
        if not self.has(name):
            msg = f"{self.path}: {name} is missing"
            raise EvaluationSetError(msg)
        with self.opened(name) as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            msg = f"{self.path}: {name} has more than {limit:,} bytes"
            raise EvaluationSetError(msg)
        return content

    def opened(self, name: str) -> IO[bytes]:
        """A file below it, open.

        Raises:
            EvaluationSetError: It is a folder, pipe or device.
            OSError: It is gone or cannot be read.
        """
        path = f"{self.root}/{name}"
        if isinstance(self.files, LocalFileSystem):
            try:
                check_regular(Path(path))
            except UntrustedError as error:
                msg = f"{self.path}: {name} cannot be read: {error}"
                raise EvaluationSetError(msg) from error
        return self.files.open(path, "rb")

    def listed(self, *endings: str) -> tuple[str, ...]:
        """The names of the files in it with one of these endings, sorted.

        Raises:
            EvaluationSetError: There is none.
        """
        below = len(self.root) + 1
        names = [path[below:] for path in self.files.find(self.root, maxdepth=1)]
        found = tuple(name for name in names if "/" not in name and name.endswith(endings))
        if not found:
            msg = f"{self.path}: it has no file that ends in {' or '.join(endings)}"
            raise EvaluationSetError(msg)
        return tuple(sorted(found))

    def lines(self, name: str) -> tuple[str, ...]:
        """Stripped lines; blank ones at the end do not count, others would shift the labels."""
        lines = [line.strip() for line in self.text(name).rstrip().splitlines()]
        if not lines or "" in lines:
            where = f"line {lines.index('') + 1} of it is blank" if lines else "it is empty"
            msg = f"{self.path}: {name} needs one entry a line, but {where}"
            raise EvaluationSetError(msg)
        return tuple(lines)


@dataclass(frozen=True)
class Sample:
    """One sample of a shard.

    Attributes:
        where: Folder, shard and key, for messages.
        image: Bytes of its image.
        members: All members by extension.
    """

    where: str
    image: bytes
    members: dict[str, bytes]

    def text(self, extension: str, meaning: str) -> str:
        """A member that is text.

        Raises:
            EvaluationSetError: It is missing, or no text.
        """
        return _text(self.member(extension, meaning), f"{self.where}: its {meaning}")

    def member(self, extension: str, meaning: str) -> bytes:
        """A member.

        Raises:
            EvaluationSetError: It is missing.
        """
        if extension not in self.members:
            msg = f"{self.where}: it has no {meaning} (.{extension})"
            raise EvaluationSetError(msg)
        return self.members[extension]


@dataclass(frozen=True)
class SetShards:
    """The shards of one split."""

    folder: SetFolder
    split: str
    n_shards: int
    decode: Decode

    def samples(self) -> Iterator[Sample]:
        """Every sample, in the order of the shards.

        Raises:
            EvaluationSetError: An unreadable shard, a sample without an image, or no sample.
        """
        n_samples = 0
        for where, members in self.groups():
            n_samples += 1
            yield sample_of(where, members)
        if not n_samples:
            msg = f"{self.folder.path}: the split {self.split} has no sample"
            raise EvaluationSetError(msg)

    def groups(self) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
        """Where each sample is, and its members by extension, in the order of the shards.

        Raises:
            EvaluationSetError: An unreadable shard.
        """
        for number in range(self.n_shards):
            name = f"{self.split}/{number}.tar"
            for key, members in self._grouped(name):
                yield f"{self.folder.path}/{name}, sample {key}", members

    def batches(self, size: int) -> Iterator[tuple[list[Sample], list[Image]]]:
        """Samples and their decoded images, at most `size` at a time.

        Raises:
            EvaluationSetError: As `samples`, or an undecodable image.
        """
        yield from decoded_batches(self.samples(), size, self.decode)

    def _grouped(self, name: str) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
        for key, group in groupby(self._members(name), key=lambda member: member[0]):
            members: list[tuple[str, bytes]] = []
            size = 0
            for _, extension, content in group:
                members.append((extension, content))
                size += len(content)
                if size > MAX_SAMPLE_BYTES:
                    msg = f"{self.folder.path}/{name}, sample {key}: over {MAX_SAMPLE_BYTES} bytes"
                    raise EvaluationSetError(msg)
            yield key, members

    def _members(self, name: str) -> Iterator[tuple[str, str, bytes]]:
        where = f"{self.folder.path}/{name}"
        try:
            with (
                self.folder.opened(name) as file,
                tarfile.open(fileobj=file, mode="r|", tarinfo=BoundedHeader) as tar,
            ):
                for member in tar:
                    if not member.isdir():
                        yield _named(tar, member, where)
                _check_end(tar, where)
        except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError) as error:
            if isinstance(error, EvaluationSetError):
                raise
            msg = f"{where}: not a readable tar file, or cut short: {one_line(str(error))}"
            raise EvaluationSetError(msg) from error


def shards_of(folder: SetFolder, split: str, decode: Decode) -> SetShards:
    """The shards that `SPLIT/nshards.txt` counts.

    Raises:
        EvaluationSetError: The number is no number, or does not fit the files.
    """
    name = f"{split}/nshards.txt"
    text = folder.text(name).strip()
    if not text.isdecimal() or not 1 <= int(text[:10]) <= MAX_SHARDS:
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
    return SetShards(folder, split, n_shards, decode)


def decoded(decode: Decode, image: bytes, where: str) -> Image:
    """The image, or an error that names the sample."""
    try:
        return decode(image)
    except (ValueError, OSError) as error:
        msg = f"{where}: the image cannot be decoded: {error}"
        raise EvaluationSetError(msg) from error


def decoded_batches(
    items: Iterable[Imaged], size: int, decode: Decode
) -> Iterator[tuple[list[Imaged], list[Image]]]:
    """The items with their images decoded, in order.

    At most `size` at a time, and fewer where their images would take more than MAX_BATCH_BYTES or
    their files more than MAX_SAMPLE_BYTES.

    Raises:
        EvaluationSetError: An image cannot be decoded.
    """
    yield from batched(_decoded_items(items, decode), size)


def _decoded_items(items: Iterable[Imaged], decode: Decode) -> Iterator[tuple[Imaged, Image, int]]:
    for item in items:
        yield item, decoded(decode, item.image, item.where), len(item.image)


def batched(
    items: Iterable[tuple[T, Image, int]], size: int
) -> Iterator[tuple[list[T], list[Image]]]:
    """Decoded items in batches; the third of each is the bytes of its file.

    At most `size` at a time, and fewer where they would take more than MAX_BATCH_BYTES decoded, or
    more than MAX_SAMPLE_BYTES as files.
    """
    batch: list[T] = []
    images: list[Image] = []
    n_bytes = n_encoded = 0
    for item, image, n_of_file in items:
        n_bytes, n_encoded = n_bytes + image.nbytes, n_encoded + n_of_file
        is_full = len(batch) == size or n_bytes > MAX_BATCH_BYTES or n_encoded > MAX_SAMPLE_BYTES
        if batch and is_full:
            yield batch, images
            batch, images = [], []
            n_bytes, n_encoded = image.nbytes, n_of_file
        batch.append(item)
        images.append(image)
    if batch:
        yield batch, images


def _text(content: bytes, what: str) -> str:
    """UTF-8 alone, since prompts decide results: what was guessed would be no one's set."""
    text, encoding = decode_text(content)
    if text is None or encoding != "utf-8":
        looks = f"; it looks like {encoding}" if encoding else ""
        msg = f"{what} is not UTF-8 text{looks}"
        raise EvaluationSetError(msg)
    return text


def _check_end(tar: tarfile.TarFile, where: str) -> None:
    """Whether anything follows the mark that ends an archive: it would be lost in silence."""
    rest = cast("IO[bytes]", tar.fileobj)
    while block := rest.read(tarfile.RECORDSIZE):
        if any(block):
            msg = (
                f"{where}: more follows the mark that ends the archive, as where tars were put "
                "together with `cat`: write it as one tar"
            )
            raise EvaluationSetError(msg)


def _named(tar: tarfile.TarFile, member: tarfile.TarInfo, where: str) -> tuple[str, str, bytes]:
    if not member.isfile():
        msg = f"{where}: {member.name!r} is a link or device, which is not followed: put it in"
        raise EvaluationSetError(msg)
    if not 0 <= member.size <= MAX_MEMBER_BYTES:
        msg = f"{where}: {member.name!r} has {member.size} bytes, over {MAX_MEMBER_BYTES}"
        raise EvaluationSetError(msg)
    path = PurePosixPath(member.name)
    stem, _, extension = path.name.partition(".")
    content = tar.extractfile(member)
    return str(path.parent / stem), extension.lower(), content.read() if content else b""


def sample_of(where: str, members: list[tuple[str, bytes]]) -> Sample:
    """The sample that some members of a shard are.

    Raises:
        EvaluationSetError: It has no image or several, or two members of one extension.
    """
    by_extension = dict(members)
    if len(by_extension) < len(members):
        msg = f"{where}: it holds two members of one kind, so two samples share a key"
        raise EvaluationSetError(msg)
    images = [content for kind, content in members if kind in IMAGE_EXTENSIONS]
    if len(images) != 1:
        msg = f"{where}: it has {len(images)} images instead of one (jpg, png or webp)"
        raise EvaluationSetError(msg)
    return Sample(where, images[0], by_extension)
