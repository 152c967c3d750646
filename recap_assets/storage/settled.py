"""Versions that hold on where a look sees something else and the content is what it was.

What is outside is looked at by names, sizes and times, since it may be large. A file that was
touched looks new. Where its bytes were hashed before, they are hashed once more, and a version that
was given for the same bytes is given again. What was found is beside the hashes of
`folder_content`; without it a look is believed.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from recap_assets.storage.files import write_atomically

MOST = 16
"""Looks and contents of one place that are kept, the newest."""

Versions = Mapping[str, str]


@dataclass(frozen=True)
class _State:
    """What is known of one place: the version of each look, and of each content."""

    looks: Versions = field(default_factory=dict[str, str])
    contents: Versions = field(default_factory=dict[str, str])


def settled_version(
    kept: Path,
    place: str,
    look: str,
    listed: str,
    content: Callable[[], str],
    *,
    learns: bool,
    writes: bool = True,
) -> str:
    """The version of what is at a place.

    Args:
        kept: The folder of what was found before.
        place: Names it.
        look: What is seen of it; the same look is the same content.
        listed: The version that the look alone gives, and has given without what is kept.
        content: Hashes the content.
        learns: Whether the content is hashed where nothing is known of the place yet.
        writes: Whether what is found may be kept.

    Returns:
        The version that the content has had, where it is known; else `listed`, or another one where
        other content has had that.
    """
    path = kept / f"settled_{hashlib.sha256(place.encode()).hexdigest()[:32]}.json"
    known = _read(path)
    if known is not None and look in known.looks:
        return known.looks[look]
    if known is None and not learns:
        return listed
    known = known or _State()
    found = content()
    version = known.contents.get(found) or _new_version(known.contents, listed, found)
    if writes:
        _write(path, _State({**known.looks, look: version}, {**known.contents, found: version}))
    return version


def _new_version(contents: Versions, listed: str, found: str) -> str:
    if listed not in contents.values():
        return listed
    return hashlib.sha256(f"{listed} {found}".encode()).hexdigest()[: len(listed)]


def _read(path: Path) -> _State | None:
    # Without it a look is believed.
    with suppress(OSError, ValueError, TypeError):
        return _State(**json.loads(path.read_bytes()))
    return None


def _write(path: Path, state: _State) -> None:
    newest = {name: dict(list(rows.items())[-MOST:]) for name, rows in vars(state).items()}
    with suppress(OSError):  # it saves work alone, and a full disk is reported by what is built
        write_atomically(path, json.dumps(newest).encode())
