"""What a browser sends with a form that has a file in it: `multipart/form-data`, RFC 7578."""

import re
from collections.abc import Iterator
from email.message import Message

from recap_assets.untrusted.errors import UntrustedError

MOST_PARTS = 16
"""Fields of one form."""

MOST_HEADER_BYTES = 4_096
"""What stands before the content of a field: its name, and the name of the file."""

_NAME = re.compile(rb'^content-disposition:[^\r\n]*?[; \t]name="([^"\r\n]{0,100})"', re.I | re.M)


class UploadError(UntrustedError):
    """A form that cannot be read."""


def form_fields(content_type: str, body: bytes) -> dict[str, bytes]:
    """The fields of a form by name, of several of one name the last; a file is its content.

    Names of files are not read. The caller bounds the body; nothing but its parts is allocated.

    Args:
        content_type: The request's header.
        body: What was sent.

    Raises:
        UploadError: It is no such form, or has more parts or longer headers than any browser sends.
    """
    fields: dict[str, bytes] = {}
    for part in _parts(body, _boundary(content_type)):
        head, blank, content = part.partition(b"\r\n\r\n")
        found = _NAME.search(head) if blank and len(head) <= MOST_HEADER_BYTES else None
        if found is None:
            msg = "a field of the form has no name"
            raise UploadError(msg)
        fields[found[1].decode("utf-8", "replace")] = content
    return fields


def _boundary(content_type: str) -> bytes:
    header = Message()
    header["content-type"] = content_type[:400].replace("\r", " ").replace("\n", " ")
    boundary = header.get_boundary("")
    if header.get_content_type() != "multipart/form-data" or not 1 <= len(boundary) <= 70:
        msg = "what was sent is no form with a file"
        raise UploadError(msg)
    return boundary.encode("ascii", "replace")


def _parts(body: bytes, boundary: bytes) -> Iterator[bytes]:
    """What is between the boundaries, each of which is on a line of its own."""
    line = b"\r\n--" + boundary
    most = MOST_PARTS + 2
    found = (b"\r\n" + body).split(line, most)
    if not 2 <= len(found) <= most or not found[-1].startswith(b"--"):
        msg = f"the form was cut off, or has more than {MOST_PARTS} fields"
        raise UploadError(msg)
    for part in found[1:-1]:
        yield part.removeprefix(b"\r\n")
