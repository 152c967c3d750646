"""What is being forgotten, written down before anything is changed, so that a kill loses nothing.

While the journal is there nothing is built, and the next `recap forget` completes what it says. It
is the one file that names the samples; it goes last.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from recap_assets.assembly.forgetting.finding import Found
from recap_assets.assembly.forgetting.identity import Identity
from recap_assets.assembly.forgetting.recorded import At
from recap_assets.storage.errors import StorageError
from recap_assets.storage.files import write_atomically
from recap_assets.storage.locks import JOURNAL
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.files import read_bounded
from recap_assets.untrusted.json_text import parse_json

FORMAT = 1
MAX_BYTES = 2**30


@dataclass(frozen=True)
class Journal:
    """A removal that has begun.

    Attributes:
        named: What the user named: this is refused from then on, with the images' hashes.
        identity: Everything that is known of the samples.
        places: What each experiment held before anything was changed.
    """

    named: Identity
    identity: Identity
    places: Mapping[str, Found] = field(default_factory=dict)

    def merged(self, before: "Journal | None") -> "Journal":
        """This and one that was interrupted."""
        if before is None:
            return self
        names = sorted({*self.places, *before.places})
        places = {name: _joined(before.places.get(name), self.places.get(name)) for name in names}
        return Journal(before.named | self.named, before.identity | self.identity, places)

    def write(self, data: Path) -> None:
        """Put it into the data folder, for its owner alone."""
        content = {
            "recap_forgetting": FORMAT,
            "named": self.named.as_json(),
            "identity": self.identity.as_json(),
            "places": {name: vars(found) for name, found in self.places.items()},
        }
        write_atomically(data / JOURNAL, json.dumps(content).encode())
        (data / JOURNAL).chmod(0o600)

    @classmethod
    def of(cls, data: Path) -> Self | None:
        """The one in a data folder; None where nothing was interrupted.

        Raises:
            StorageError: It cannot be read.
        """
        path = data / JOURNAL
        try:
            return cls._parsed(parse_json(read_bounded(path, MAX_BYTES), MAX_BYTES))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UntrustedError, KeyError, TypeError, ValueError) as error:
            msg = (
                f"{path}, the journal of a removal that was interrupted, cannot be read: {error}. "
                "Delete it and call `recap forget` with the same words again"
            )
            raise StorageError(msg) from error

    @classmethod
    def _parsed(cls, content: Any) -> Self:  # noqa: ANN401 - JSON
        if content["recap_forgetting"] != FORMAT:
            msg = f"it is of format {content['recap_forgetting']}, not {FORMAT}"
            raise ValueError(msg)
        tables = {str(name): _found(found) for name, found in content["places"].items()}
        named, identity = (Identity.from_json(content[name]) for name in ("named", "identity"))
        return cls(named, identity, tables)


def _found(content: Mapping[str, Any]) -> Found:
    return Found(
        dict(content["rows"]),
        {str(name): list(slices) for name, slices in content["slices"].items()},
        tuple(content["purged"]),
        tuple(content["mixes"]),
        tuple(content["shards"]),
        tuple(content["files"]),
        tuple((str(asset), str(partition)) for asset, partition in content["unrecorded"]),
    )


def _joined(one: Found | None, other: Found | None) -> Found:
    """What was found before and now; what is recorded counts as of before anything was changed."""
    if one is None or other is None:
        return one or other or Found()
    names = sorted({*one.slices, *other.slices})
    slices = {name: _all_of(one.slices.get(name, ()), other.slices.get(name, ())) for name in names}
    rows = {name: max(one.rows.get(name, 0), other.rows.get(name, 0)) for name in names}
    return Found(
        rows,
        slices,
        tuple(sorted({*one.purged, *other.purged})),
        tuple(sorted({*one.mixes, *other.mixes})),
        tuple(sorted({*one.shards, *other.shards})),
        tuple(sorted({*one.files, *other.files})),
        one.unrecorded,
    )


def _all_of(known: Sequence[At], found: Sequence[At]) -> list[At]:
    return [*known, *(one for one in found if one not in known)]
