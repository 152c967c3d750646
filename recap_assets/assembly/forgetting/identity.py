"""What is known of the samples that are forgotten: everything by which they could be found."""

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from recap_assets.artefacts.table import UID_BYTES

CHUNK_BYTES = 64
"""Of an image, from its second half: what its bytes are searched by."""
_DISTINCT_BYTES = 16
"""Fewer different ones are a flat colour, which other images have as well."""
LEAST_TEXT_BYTES = 12
"""A shorter text is searched for in the cells of tables only: in other bytes it says nothing."""
_LEAST_DISTINCT = 5
"""Fewer different bytes, such as a uid of zeros, are everywhere: only cells are searched for it."""
_FIRST_BYTES = 48
"""Of a text in a Delta log, which may cut least and greatest values short."""


@dataclass(frozen=True)
class Identity:
    """Samples, by all of their names.

    Attributes:
        uids: Their uids.
        hashes: SHA-256 of their images' bytes, and of the originals where they are known.
        urls: Where they were found.
        texts: Texts that they alone have: alt-texts, captions, pairs of mixes.
        shared: Texts of theirs that a sample which stays has as well; these stay.
        images: `CHUNK_BYTES` of each of their images.
    """

    uids: frozenset[bytes] = frozenset()
    hashes: frozenset[bytes] = frozenset()
    urls: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()
    images: frozenset[bytes] = frozenset()

    def __bool__(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self.uids or self.hashes or self.urls)

    def __or__(self, other: "Identity") -> "Identity":
        """Both; a text that either found to be shared stays."""
        shared = self.shared | other.shared
        return Identity(
            self.uids | other.uids,
            self.hashes | other.hashes,
            self.urls | other.urls,
            (self.texts | other.texts) - shared,
            shared,
            self.images | other.images,
        )

    @property
    def cells(self) -> frozenset[bytes]:
        """Values of binary columns that name a sample."""
        starts = (one[:UID_BYTES] for one in self.hashes)
        keys = (url_key(url) for url in self.urls)
        return self.uids | self.hashes | frozenset(starts) | frozenset(keys)

    @property
    def words(self) -> frozenset[str]:
        """Values of text columns that name a sample, and that no other text holds by chance."""
        hexes = {one.hex() for one in (*self.uids, *self.hashes)}
        return frozenset({*hexes, *self.urls})

    @property
    def long_texts(self) -> frozenset[str]:
        """The texts that are searched for in bytes."""
        return frozenset(one for one in self.texts if len(one.encode()) >= LEAST_TEXT_BYTES)

    @property
    def needles(self) -> tuple[bytes, ...]:
        """The bytes by which a file is recognized that holds anything of the samples."""
        found = {*self.uids, *self.hashes, *self.images}
        found |= {form for uid in self.uids for form in _uid_forms(uid)}
        found |= {form for one in self.hashes for form in _hex_forms(one)}
        found |= {form for text in (*self.urls, *self.long_texts) for form in _text_forms(text)}
        return tuple(sorted(form for form in found if len(set(form)) >= _LEAST_DISTINCT))

    @property
    def log_needles(self) -> tuple[bytes, ...]:
        """`needles`, texts by their beginning."""
        starts = {form[:_FIRST_BYTES] for text in self.long_texts for form in _text_forms(text)}
        return (*self.needles, *sorted(starts))

    def as_json(self) -> dict[str, list[str]]:
        """For the journal."""
        binary = {"uids": self.uids, "hashes": self.hashes, "images": self.images}
        texts = {"urls": self.urls, "texts": self.texts, "shared": self.shared}
        found = {name: sorted(one.hex() for one in values) for name, values in binary.items()}
        return found | {name: sorted(values) for name, values in texts.items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """From the journal.

        Raises:
            KeyError, TypeError, ValueError: It is of another form.
        """
        return cls(
            _bytes(content["uids"]),
            _bytes(content["hashes"]),
            frozenset(map(str, content["urls"])),
            frozenset(map(str, content["texts"])),
            frozenset(map(str, content["shared"])),
            _bytes(content["images"]),
        )


def _bytes(digits: Iterable[str]) -> frozenset[bytes]:
    return frozenset(map(bytes.fromhex, digits))


def chunk_of(image: bytes) -> bytes | None:
    """The bytes that an image is searched by, behind its headers; None where they say nothing."""
    start = max(0, min(len(image) * 3 // 4, len(image) - CHUNK_BYTES))
    chunk = image[start : start + CHUNK_BYTES]
    return chunk if len(set(chunk)) >= _DISTINCT_BYTES else None


def url_key(url: str) -> bytes:
    """The key that imported captions have for a URL."""
    return hashlib.blake2b(url.strip().encode(), digest_size=UID_BYTES).digest()


def _uid_forms(uid: bytes) -> Iterable[bytes]:
    """As the uid is written: hex, a UUID, and the two numbers of DataComp's subset files."""
    dashed = str(uuid.UUID(bytes=uid))
    yield from _hex_forms(uid)
    yield from (dashed.encode(), dashed.upper().encode())
    yield uid[:8][::-1] + uid[8:][::-1]


def _hex_forms(value: bytes) -> Iterable[bytes]:
    yield from (value.hex().encode(), value.hex().upper().encode())


def _text_forms(text: str) -> Iterable[bytes]:
    """Plain, and as JSON writes it."""
    yield text.encode()
    for ascii_only in (True, False):
        yield json.dumps(text, ensure_ascii=ascii_only)[1:-1].encode()
