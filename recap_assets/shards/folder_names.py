"""Files below a folder by names that another system wrote otherwise.

Archives packed on macOS hold decomposed letters (NFD) where a table has composed ones, and tables
written on Windows have backslashes. A file that has the very name always comes first.
"""

import posixpath
import unicodedata
from collections.abc import Iterable

from recap_assets.shards.files import RangeFile, found_at, open_below


def same_name(path: str) -> str:
    """One form of all the ways to write a path: composed letters, slashes."""
    return unicodedata.normalize("NFC", posixpath.normpath(path.replace("\\", "/")))


def by_same_name(names: Iterable[str]) -> dict[str, str]:
    """Names by their `same_name`; of several the first in order."""
    return {same_name(name): name for name in sorted(names, reverse=True)}


class FolderFiles:
    """The files below one folder; it is listed when a name is first not found as it is written."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._names: dict[str, str] | None = None
        self._folded: dict[str, str] = {}

    def open(self, path: str) -> RangeFile:
        """Open a file by its path below the folder, or by another way to write that path.

        Raises:
            OutsideFolderError: As `open_below`.
            FileNotFoundError: There is no such regular file.
        """
        try:
            return open_below(self._folder, path)
        except FileNotFoundError:
            found = self._listed().get(same_name(path))
            if found is None or found == path:
                raise
            return open_below(self._folder, found)

    def nearest(self, path: str) -> str | None:
        """A file whose path differs in nothing but upper and lower case; a hint, never read."""
        names = self._listed()
        if not self._folded:
            self._folded = {name.casefold(): found for name, found in names.items()}
        return self._folded.get(same_name(path).casefold())

    def _listed(self) -> dict[str, str]:
        if self._names is None:
            files, root = found_at(self._folder)
            self._names = by_same_name(posixpath.relpath(str(at), root) for at in files.find(root))
        return self._names
