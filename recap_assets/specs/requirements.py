"""Which of the distributions that an extra asks for are not installed."""

import re
from collections.abc import Iterator
from importlib import metadata

_WANTED = re.compile(r"(?P<distribution>[^\[\]]+)\[(?P<extras>[^\[\]]+)\]")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OF_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")


def missing(wanted: str) -> tuple[str, ...]:
    """The distributions that are not there, of `distribution[extra]`; none of anything else."""
    found = _WANTED.fullmatch(wanted)
    if found is None:
        return ()
    asked = {_plain(extra) for extra in found["extras"].split(",")}
    return tuple(name for name in _names(found["distribution"], asked) if not _is_there(name))


def _names(distribution: str, extras: set[str]) -> Iterator[str]:
    try:
        lines = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return
    for line in lines:
        of, name = _OF_EXTRA.search(line), _NAME.match(line)
        if of is not None and name is not None and _plain(of[1]) in extras:
            yield name[0]


def _is_there(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _plain(extra: str) -> str:
    return re.sub(r"[-_.]+", "-", extra).lower()
