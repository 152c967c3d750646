"""The body of a server's reply: bounded in bytes, packed and unpacked, and no secret in it."""

import json
import re
import zlib
from collections.abc import Callable
from contextlib import suppress

import httpx2

from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_text import parse_json
from recap_assets.untrusted.secrets import without_known

_SPELT = re.compile(rb"\\(?:u00[2-7]|/)")
"""Letters that JSON may write by their codes: a secret written so is found by no pattern."""


class ReplyTooLargeError(UntrustedError):
    """A reply has more bytes than are taken."""


async def read_body(response: httpx2.Response, limit: int, *, cut: bool = False) -> bytes:
    """The body as it came, unpacked here: the client's own decoders know no bound.

    Args:
        response: A reply whose body is not read yet.
        limit: Bytes, of what comes and of what it unpacks to.
        cut: Whether the first `limit` bytes will do where there are more.

    Raises:
        ReplyTooLargeError: There are more.
        UntrustedError: They are packed in a way that cannot be read.
    """
    unpack = unpacker(response.headers.get("content-encoding", ""))
    content, n_came = bytearray(), 0
    async for piece in response.aiter_raw():
        n_came += len(piece)
        content += unpack(piece, limit - len(content) + 1)
        if max(n_came, len(content)) > limit:
            if cut:
                break
            msg = f"a reply of more than {limit / 2**20:,.3g} MiB"
            raise ReplyTooLargeError(msg)
    return without_secrets(bytes(content[:limit]))


def without_secrets(content: bytes) -> bytes:
    """A body without the known secrets where the server repeats them, however JSON spells them."""
    if _SPELT.search(content):
        with suppress(UntrustedError):  # where it is no JSON, nothing spells it
            content = json.dumps(parse_json(content, len(content))).encode()
    return without_known(content)


def unpacker(encoding: str) -> Callable[[bytes, int], bytes]:
    """What unpacks pieces of a body one after another, within a number of bytes."""
    match encoding.strip().lower():
        case "" | "identity":
            return lambda piece, _most: piece
        case "gzip" | "x-gzip" | "deflate":
            return _Inflating().unpack
        case other:
            msg = f"a reply packed as {other[:40]!r}, which nobody asked for"
            raise UntrustedError(msg)


class _Inflating:
    """Unpacks gzip, and deflate with its header or, as some servers send it, without."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=47)
        self._is_first = True

    def unpack(self, piece: bytes, most: int) -> bytes:
        first, self._is_first = self._is_first, False
        try:
            return self._inflate.decompress(piece, most)
        except zlib.error as error:
            if not first:
                msg = f"a reply whose packing is damaged ({error})"
                raise UntrustedError(msg) from error
            self._inflate = zlib.decompressobj(wbits=-15)
            return self.unpack(piece, most)
