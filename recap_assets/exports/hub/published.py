"""What of an export is published: its files without its records, and the checksums of these."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

from recap_assets.exports.checksums import (
    CHECKSUMS,
    MARK,
    MAX_MARK_BYTES,
    checksums_of,
    read_checksums,
)
from recap_assets.exports.hub.target import HubError
from recap_assets.storage.folders import Folder, WrittenFile

_RECORDS = re.compile(r"(?:.+/)?records/\d{8}\.json|partition-\d{5,}\.json")
"""What only an export that is continued reads; loaders of the Hub would take it for data."""


@dataclass(frozen=True)
class Published:
    """A finished export in a local folder, as it is published.

    Attributes:
        folder: The folder.
        files: The files by path, with a `checksums.json` that names these and no others.
        checksums: The bytes of that.
    """

    folder: Folder
    files: Mapping[str, WrittenFile]
    checksums: bytes

    @classmethod
    def of(cls, folder: Folder) -> "Published":
        """What is published of a folder.

        Raises:
            FolderError: It has no finished export.
            HubError: It is in a bucket.
        """
        require_local(folder)
        written = read_checksums(folder)
        files = {name: file for name, file in written.items() if not _RECORDS.fullmatch(name)}
        content = checksums_of(files.values())
        own = WrittenFile(CHECKSUMS, hashlib.sha256(content).hexdigest(), len(content))
        return cls(folder, {**files, CHECKSUMS: own}, content)

    @cached_property
    def mark(self) -> bytes:
        """What says whose the export is."""
        return self.folder.read(MARK, MAX_MARK_BYTES) or b""

    @cached_property
    def identity(self) -> Mapping[str, object]:
        """What its mark says that it is.

        Raises:
            HubError: It has none that can be read.
        """
        try:
            found = json.loads(self.mark)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            msg = f"{self.folder}/{MARK} cannot be read: export again"
            raise HubError(msg)
        return cast("dict[str, object]", found)

    @property
    def owner(self) -> Mapping[str, object]:
        """What a mark must say for this export to take its place: see `exports.declared`."""
        names = ("experiment", "export") if self.identity.get("export") else tuple(self.identity)
        return {name: self.identity.get(name) for name in names}

    @property
    def mix(self) -> str:
        """The mix that it was made of."""
        options = self.identity.get("options")
        return (
            str(cast("dict[str, object]", options).get("mix")) if isinstance(options, dict) else ""
        )

    def content(self, name: str, limit: int) -> bytes:
        """The bytes of a small file."""
        if name == CHECKSUMS:
            return self.checksums
        return self.folder.read(name, limit) or b""

    def sendable(self, name: str) -> Path | bytes:
        """A file to send, once its bytes are those that were written.

        Raises:
            HubError: They are others.
        """
        if name == CHECKSUMS:
            return self.checksums
        if self.folder.hashed(name) != self.files[name]:
            msg = f"{self.folder}/{name} is not as it was written, and is not sent: export again"
            raise HubError(msg)
        return Path(self.folder.url) / name


def require_local(folder: Folder) -> None:
    """Refuse a folder that cannot be pushed.

    Raises:
        HubError: It is in a bucket.
    """
    if not folder.is_local:
        msg = f"{folder} is a bucket, and a push reads a local folder: copy it, and name the copy"
        raise HubError(msg)
