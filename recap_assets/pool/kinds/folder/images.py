"""The encoded images of a folder: each is a file of its own."""

from collections.abc import Sequence

from recap_assets.shards.folder_names import FolderFiles
from recap_assets.shards.pools import ImagePlace


class FolderImages:
    """Images by their paths below one folder."""

    def __init__(self, folder: str, max_bytes: int, *, strict: bool) -> None:
        self._files, self._max_bytes, self._strict = FolderFiles(folder), max_bytes, strict

    def fetch(self, shard: int, places: Sequence[ImagePlace]) -> Sequence[bytes | None]:  # noqa: ARG002 - of all pools
        """The whole files."""
        return [self._whole_file(place.key) for place in places]

    def close(self) -> None:
        """Nothing is left open."""

    def _whole_file(self, path: str) -> bytes | None:
        try:
            file = self._files.open(path)
        except (OSError, ValueError) as error:
            if self._strict and not isinstance(error, FileNotFoundError | ValueError):
                raise
            return None
        try:
            return file.read(0, file.size) if file.size <= self._max_bytes else None
        finally:
            file.close()
