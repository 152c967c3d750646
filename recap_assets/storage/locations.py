"""Folders by their real names, whatever letters mean to libraries that take a path for a URL.

deltalake 1.6.6 writes and reads below a folder with a space, an umlaut or a `#`, but names its
files percent-encoded, and polars 2.1.0 looks for files of that very name. So the files of a table
are named here. A few characters neither can be brought to take: a name with one is refused before
anything is written below it.
"""

import re
from typing import Any
from urllib.parse import unquote, urlsplit

from deltalake import DeltaTable

from recap_assets.storage.errors import StorageError
from recap_assets.untrusted.showing import one_line

_MEANT_OTHERWISE = re.compile(r"[\x00-\x1f\x7f=?\[\]\\^|\ud800-\udfff]|%[0-9A-Fa-f]{2}")
"""Delta's writer reads `%20` as a space, a backslash as a slash and refuses brackets, `^`, `|` and
control characters; polars takes what is before a `=` for a column; SQLite's URL ends at `?`."""


def is_url(root: str) -> bool:
    """Whether tables are in an object store, and not in a folder of this machine."""
    return "://" in root


def refuse_unusable(root: str) -> None:
    """Refuse a folder in which tables cannot be written and read back.

    Args:
        root: A folder's path, or an object store's URL, which is passed over.

    Raises:
        StorageError: Its name has a character that a library takes for something else; the text
            names the folder and the character.
    """
    found = None if is_url(root) else _MEANT_OTHERWISE.search(root)
    if found is None:
        return
    folder = one_line(root.encode(errors="backslashreplace").decode())
    msg = (
        f"tables cannot be in {folder}: the libraries that write and read them take {found[0]!a} "
        "in its name for something else. Name another data folder with --data or RECAP_DATA"
    )
    raise StorageError(msg)


class LocatedTable(DeltaTable):
    """A Delta table whose files have the names that they have on disk."""

    def file_uris(self, *args: Any, **kwargs: Any) -> list[str]:  # noqa: ANN401 - its parent's
        """Paths of the table's files; polars asks for them."""
        named = super().file_uris(*args, **kwargs)
        parts = urlsplit(self.table_uri)
        root = unquote(parts.path)
        if parts.scheme != "file" or root == parts.path:
            return named
        return [f"{root}{name.removeprefix(parts.path)}" for name in named]
