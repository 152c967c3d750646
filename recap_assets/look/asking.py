"""What a browser asked for, read within bounds."""

from collections.abc import Collection
from math import isfinite

from starlette.requests import Request

from recap_assets.untrusted.errors import RecapError
from recap_assets.untrusted.showing import one_line

MOST_CHARACTERS = 400
"""Of one value of an address; what is beyond is cut."""

MOST_PAGES = 10_000_000


class AskedError(RecapError, ValueError):
    """A page was asked for that there is not."""


def text(request: Request, name: str, default: str = "") -> str:
    """A value of the address, without white space around it."""
    return request.query_params.get(name, default)[:MOST_CHARACTERS].strip()


def chosen(request: Request, name: str, known: Collection[str], default: str) -> str:
    """One of several names.

    Raises:
        AskedError: It is another one.
    """
    given = text(request, name) or default
    if given not in known:
        msg = f"{name}: there is no {one_line(given, 80)!r}; known are {', '.join(known) or 'none'}"
        raise AskedError(msg)
    return given


def count(request: Request, name: str, default: int, most: int) -> int:
    """A whole number from 0 on.

    Raises:
        AskedError: It is none, or above `most`.
    """
    given = text(request, name) or str(default)
    if not given.isascii() or not given.isdecimal() or len(given) > 12 or int(given) > most:
        msg = f"{name}: write a whole number up to {most:,}, not {one_line(given, 80)!r}"
        raise AskedError(msg)
    return int(given)


def number(request: Request, name: str, default: float) -> float:
    """A finite number.

    Raises:
        AskedError: It is none.
    """
    given = text(request, name) or str(default)
    try:
        value = float(given)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        msg = f"{name}: write a number, not {one_line(given, 80)!r}"
        raise AskedError(msg)
    return value


def uid(given: str) -> bytes:
    """The uid in an address.

    Raises:
        AskedError: It is not 32 hex digits.
    """
    try:
        found = bytes.fromhex(given) if len(given) == 32 else b""
    except ValueError:
        found = b""
    if len(found) != 16:
        msg = f"a uid is 32 hex digits, not {one_line(given, 80)!r}"
        raise AskedError(msg)
    return found
