"""Lines of a batch: requests as they are uploaded, results as they come, read without trust."""

import json
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import IO

from recap_assets.captions.servers.bodies import without_secrets
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_text import parse_json

MOST_REQUESTS = 50_000
MOST_FILE_BYTES = 200_000_000
"""What a file of requests may hold, by OpenAI's documentation of its Batch API (200 MB)."""

MOST_LINE_BYTES = 8 * 2**20
"""Of a result; a longer one is dropped, and its request counts as unanswered."""

_IN_MEMORY = 8 * 2**20


@dataclass
class RequestFile:
    """Requests for one batch, on the disk.

    Attributes:
        keys: Of the requests, in their order.
        content: Their lines.
        n_bytes: Of the lines.
    """

    keys: list[bytes] = field(default_factory=list)
    content: IO[bytes] = field(
        default_factory=lambda: tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - see close
    )
    n_bytes: int = 0

    def takes(self, line: bytes) -> bool:
        """Whether a file with one more line is within the bounds."""
        return len(self.keys) < MOST_REQUESTS and self.n_bytes + len(line) <= MOST_FILE_BYTES

    def add(self, key: bytes, line: bytes) -> None:
        """Put a line at the end."""
        self.content.write(line)
        self.keys.append(key)
        self.n_bytes += len(line)

    def close(self) -> None:
        """Give up the room on the disk."""
        self.content.close()


def request_line(key: bytes, body: bytes) -> bytes:
    """A request as a batch has it: its key as 64 hex digits, and its body unchanged."""
    return b'{"custom_id":"%s","method":"POST","url":"/v1/chat/completions","body":%s}\n' % (
        key.hex().encode(),
        body,
    )


@dataclass(frozen=True)
class Result:
    """What became of one request.

    Attributes:
        key: Of the request.
        status: Of the reply; 0 where none was made.
        body: The reply as JSON.
        said: Why there is none, for people.
    """

    key: bytes
    status: int
    body: bytes = b""
    said: bytes = b""


def result_in(line: bytes) -> Result | None:
    """The result in a line of an output or error file; None where it names no request of ours."""
    try:
        found = parse_json(without_secrets(line), MOST_LINE_BYTES * 2)
        named = found["custom_id"] if isinstance(found, dict) else ""
        key = bytes.fromhex(named) if isinstance(named, str) and len(named) == 64 else b""
    except (UntrustedError, ValueError, KeyError):
        return None
    if not isinstance(found, dict) or not key:
        return None
    response, error = found.get("response"), found.get("error")
    if not isinstance(response, dict):
        return Result(key, 0, said=json.dumps({"error": error}).encode())
    body = json.dumps(response.get("body")).encode()
    status = response.get("status_code")
    return Result(key, status if type(status) is int else 0, body, body)


async def lines_of(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines of a file that comes in pieces, without those that are too long."""
    rest, is_skipped = b"", False
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            if not is_skipped and line.strip() and len(line) <= MOST_LINE_BYTES:
                yield line
            is_skipped = False
        if len(rest) > MOST_LINE_BYTES:
            rest, is_skipped = b"", True
    if rest.strip() and not is_skipped:
        yield rest
