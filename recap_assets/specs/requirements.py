"""The distributions that an extra asks for: which are not installed, and what installs them."""

import re
import shlex
import sys
from collections.abc import Iterator
from importlib import metadata

_WANTED = re.compile(r"(?P<distribution>[^\[\]]+)\[(?P<extras>[^\[\]]+)\]")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OF_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")


def missing(wanted: str) -> tuple[str, ...]:
    """The distributions that are not there, of `distribution[extra]`; none of anything else."""
    names = (_NAME.match(line) for line in _requirements(wanted))
    return tuple(name[0] for name in names if name is not None and not _is_there(name[0]))


def pip_install(wanted: str) -> str:
    """The command that installs what `distribution[extra]` asks for into this environment.

    It names what the extra is made of: a distribution that came as a wheel or as a checkout is on
    no index, and pip would find no version of it.
    """
    names = list(_requirements(wanted)) or [wanted]
    return shlex.join([sys.executable, "-m", "pip", "install", *names])


def _requirements(wanted: str) -> Iterator[str]:
    """Name and bounds of each distribution that `distribution[extra]` asks for."""
    found = _WANTED.fullmatch(wanted)
    if found is None:
        return
    extras = {_plain(extra) for extra in found["extras"].split(",")}
    try:
        lines = metadata.requires(found["distribution"]) or []
    except metadata.PackageNotFoundError:
        return
    for line in lines:
        of = _OF_EXTRA.search(line)
        if of is not None and _plain(of[1]) in extras:
            yield line.partition(";")[0].strip()


def _is_there(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _plain(extra: str) -> str:
    return re.sub(r"[-_.]+", "-", extra).lower()
