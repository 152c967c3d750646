"""How one shard is written: what a form of shards gives."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from recap_assets.exports.samples import Sample
from recap_assets.storage.folders import Folder, WrittenFile

VERSION = 1
"""Raised when the same samples are written as other bytes."""


class Form(Protocol):
    """How a shard is written; all names are made from numbers and uids."""

    with_images: bool
    """Whether the images' bytes go into it."""

    options: Mapping[str, object]
    """What beside the class decides the bytes of the same samples, in JSON values; without what is
    as it is by default, so that shards of before stay."""

    def record_name(self, number: int) -> str:
        """Name of the file that says what the shard holds."""
        ...

    def shard_name(self, number: int) -> str:
        """What the shard is called in lists: a file, or a folder."""
        ...

    def write(self, folder: Folder, number: int, samples: Iterator[Sample]) -> list[WrittenFile]:
        """Write the shard; all its files are whole when this returns."""
        ...
