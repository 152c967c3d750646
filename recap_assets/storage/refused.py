"""Samples that were forgotten: what every later index and download refuses.

The list is a file of the data folder. It names nothing: of each uid, image hash and URL it holds a
keyed hash, whose key is in the file as well. Whoever has the sample can ask whether it is refused;
whoever has the list alone cannot say what was forgotten.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recap_assets.storage.errors import StorageError
from recap_assets.storage.files import write_atomically
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.files import read_bounded
from recap_assets.untrusted.json_text import parse_json

FILE = "forgotten.json"
FORMAT = 1
MAX_BYTES = 2**30
"""Of the list: some 25 million marks."""
MARK_BYTES = 16
_SALT_BYTES = 32

Sort = Literal["uid", "sha256", "url", "url_key", "row"]
"""What a mark is of: a uid, an image's bytes, a URL, the key of a URL in imported captions; `row`
names the row that stands for a sample."""


@dataclass(frozen=True)
class Refused:
    """The list of one data folder.

    Attributes:
        salt: The key of its hashes.
        marks: The hashes, in hex.
    """

    salt: bytes
    marks: frozenset[str] = frozenset()

    @classmethod
    def of(cls, data: Path) -> "Refused":
        """The list of a data folder; one that refuses nothing where it has none.

        Raises:
            StorageError: The file cannot be read, so what is refused is not known.
        """
        path = data / FILE
        try:
            content = parse_json(read_bounded(path, MAX_BYTES), MAX_BYTES)
            salt, marks = _parsed(content)
        except (FileNotFoundError, NotADirectoryError):
            return cls(secrets.token_bytes(_SALT_BYTES))
        except (OSError, UntrustedError, KeyError, TypeError, ValueError) as error:
            msg = (
                f"{path}, the list of what was forgotten, cannot be read: {error}. Nothing may be "
                "indexed or fetched without it; restore the file from a copy"
            )
            raise StorageError(msg) from error
        return cls(salt, marks)

    def __bool__(self) -> bool:
        """Whether it refuses anything."""
        return bool(self.marks)

    def mark(self, sort: Sort, value: bytes) -> str:
        """The mark of a value: 32 hex digits."""
        found = hashlib.blake2b(value, digest_size=MARK_BYTES, key=self.salt, person=sort.encode())
        return found.hexdigest()

    def refuses(self, sort: Sort, value: bytes | str | None) -> bool:
        """Whether a uid, a hash or a URL is on the list; none is never."""
        if value is None or not self.marks:
            return False
        return self.mark(sort, value.encode() if isinstance(value, str) else value) in self.marks

    def with_marks(self, sort: Sort, values: Iterable[bytes]) -> "Refused":
        """The list with these on it as well."""
        return Refused(self.salt, self.marks | {self.mark(sort, value) for value in values})

    def write(self, data: Path) -> None:
        """Make it the list of a data folder."""
        content = {
            "recap_refused": FORMAT,
            "salt": self.salt.hex(),
            "marks": sorted(self.marks),
        }
        write_atomically(data / FILE, json.dumps(content).encode())


NOTHING_REFUSED = Refused(b"")


def _parsed(content: object) -> tuple[bytes, frozenset[str]]:
    if not isinstance(content, dict) or content.get("recap_refused") != FORMAT:
        msg = f"it is no list of format {FORMAT}"
        raise ValueError(msg)
    marks = content["marks"]
    if not isinstance(marks, list) or not all(isinstance(mark, str) for mark in marks):
        msg = "its marks are no list of texts"
        raise ValueError(msg)
    return bytes.fromhex(content["salt"]), frozenset(marks)
