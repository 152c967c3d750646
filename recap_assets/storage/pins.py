"""What receipts pin: the table versions that must stay readable."""

from collections.abc import Mapping
from pathlib import Path

from recap_assets.storage.tables import StorageError
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.files import read_bounded
from recap_assets.untrusted.json_text import parse_json

TABLE_VERSIONS = "table_versions"
MAX_BYTES = 512 * 2**20
"""Of a receipt; a built partition takes about 500."""

Pins = Mapping[str, Mapping[int, list[str]]]
"""Table name -> version -> names of the receipts that pin it."""


def pinned_versions(folder: Path) -> Pins:
    """The table versions that the receipts in a folder pin, and by which of them.

    Args:
        folder: Holds a JSON file a receipt, with `table_versions` among its keys: table name to
            a list of Delta versions. Where there is no folder nothing is pinned.

    Raises:
        StorageError: A receipt cannot be read, so what it pins is not known.
    """
    pins: dict[str, dict[int, list[str]]] = {}
    for path in sorted(folder.glob("*.json")):
        for table, versions in _table_versions(path).items():
            for version in versions:
                pins.setdefault(table, {}).setdefault(version, []).append(path.stem)
    return pins


def _table_versions(path: Path) -> dict[str, list[int]]:
    try:
        content = parse_json(read_bounded(path, MAX_BYTES), MAX_BYTES)
    except (OSError, UntrustedError) as error:
        raise _unreadable(path, str(error)) from error
    found = content.get(TABLE_VERSIONS) if isinstance(content, dict) else None
    if not isinstance(found, dict):
        raise _unreadable(path, f"it has no {TABLE_VERSIONS!r}, a table's name to its versions")
    for table, versions in found.items():
        if not isinstance(versions, list) or not all(map(_is_version, versions)):
            raise _unreadable(path, f"{TABLE_VERSIONS}.{table} is no list of versions")
    return found


def _is_version(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _unreadable(path: Path, why: str) -> StorageError:
    return StorageError(
        f"receipt {path} cannot be read: {why}. What it pins is not known, so nothing may be "
        "cleaned; restore the file, or move it out of the folder to give up what it pins"
    )
