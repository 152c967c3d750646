"""What a user names: uids on the command line, and files of hashes and URLs."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from recap_assets.assembly.forgetting.identity import Identity
from recap_assets.assembly.forgetting.run import ForgetError
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.files import read_bounded
from recap_assets.untrusted.showing import one_line
from recap_assets.untrusted.uid_forms import UID_WANTED, parse_uid

MAX_BYTES = 64 * 2**20
"""Of a file of hashes or URLs: a million of them."""
MAX_NAMED = 100_000
"""Samples that one call forgets: each is searched for in every file."""
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
T = TypeVar("T")


def named(uids: Iterable[str], hashes: Path | None, urls: Path | None) -> Identity:
    """What the command line names.

    Args:
        uids: In any of their forms.
        hashes: A file with the SHA-256 of an image in each line, in hex.
        urls: A file with a URL in each line.

    Raises:
        ForgetError: Nothing is named, something cannot be read, or it is too much.
    """
    found = Identity(
        frozenset(map(_uid, uids)),
        frozenset(_lines("--sha256", hashes, _hash)),
        frozenset(_lines("--url-list", urls, _url)),
    )
    if not found:
        msg = "name what is to be forgotten: --uid UID, --sha256 FILE or --url-list FILE"
        raise ForgetError(msg)
    if (n := len(found.uids) + len(found.hashes) + len(found.urls)) > MAX_NAMED:
        msg = f"{n:,} samples are named; at most {MAX_NAMED:,} are forgotten in one call"
        raise ForgetError(msg)
    return found


def _uid(text: str) -> bytes:
    if (uid := parse_uid(text.strip())) is None:
        msg = f"--uid: {one_line(text, 80)!r} is no uid; a uid is {UID_WANTED}"
        raise ForgetError(msg)
    return uid


def _hash(line: str) -> bytes | None:
    # As sha256sum writes it, the file's name behind.
    digits = line.split(maxsplit=1)[0]
    return bytes.fromhex(digits) if _SHA256.fullmatch(digits) else None


def _url(line: str) -> str | None:
    return line if "://" in line and len(line) <= _MAX_URL else None


_MAX_URL = 8_192


def _lines(option: str, path: Path | None, parse: Callable[[str], T | None]) -> Iterable[T]:
    if path is None:
        return
    try:
        text = read_bounded(path, MAX_BYTES).decode()
    except (OSError, UntrustedError, UnicodeDecodeError) as error:
        msg = f"{option}: {path} cannot be read: {error}"
        raise ForgetError(msg) from error
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        if (found := parse(line.strip())) is None:
            wanted = "64 hex digits" if option == "--sha256" else "a URL"
            msg = f"{option}: line {number} of {path} is {one_line(line, 80)!r}, not {wanted}"
            raise ForgetError(msg)
        yield found
