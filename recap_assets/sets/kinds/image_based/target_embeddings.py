"""A target that is given as embeddings."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from recap_assets.graph.project import Project
from recap_assets.sets.targets import Embedded, Target, TargetError
from recap_assets.specs.fields import Content
from recap_assets.untrusted.arrays import Archive, read_header
from recap_assets.untrusted.files import check_regular

ROWS_AT_ONCE = 8_192


class TargetEmbeddings(Target):
    """Image embeddings in files, by the scorer's model."""

    embeddings: Annotated[str, Content()] = Field(
        description="A .npy of shape (images, dimension), an .npz, or a folder of them."
    )
    key: str | None = Field(default=None, description="The array in an .npz; null for its only.")

    def embedded(self, project: Project, scorer: str) -> Iterator[Embedded]:  # noqa: ARG002 - of all kinds
        """The rows of the arrays."""
        for path in _arrays(self.embeddings):
            array = _opened(path, self.key)
            for start in range(0, len(array), ROWS_AT_ONCE):
                yield array[start : start + ROWS_AT_ONCE], 0

    def check(self) -> None:
        """Open each array."""
        for path in _arrays(self.embeddings):
            _opened(path, self.key)


def _arrays(place: str) -> list[Path]:
    path = Path(place)
    if path.is_dir():
        found = sorted(one for one in path.iterdir() if one.suffix in (".npy", ".npz"))
    else:
        found = [path] if path.is_file() and path.suffix in (".npy", ".npz") else []
    if not found:
        msg = f"{path}: is no .npy or .npz file, nor a folder with any"
        raise TargetError(msg)
    return found


def _opened(path: Path, key: str | None) -> NDArray[np.floating]:
    try:
        check_regular(path)
        with path.open("rb") as file:
            array = _array_in(file, path, key)
    except (OSError, ValueError) as error:
        msg = f"{path}: no array of embeddings can be read from it: {error}"
        raise TargetError(msg) from error
    if array.ndim != 2 or array.dtype.kind != "f" or not len(array):
        msg = f"{path}: is {array.dtype} {array.shape}, not floats (images, dimension)"
        raise TargetError(msg)
    return array


def _array_in(file: IO[bytes], path: Path, key: str | None) -> NDArray[Any]:
    """An array of an npz, or the one of an npy as it is on the disk, of any length."""
    if path.suffix == ".npz":
        archive = Archive(file)
        return archive.array(_only(archive.names, key, path))
    read_header(file, path.stat().st_size)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _only(keys: list[str], key: str | None, path: Path) -> str:
    if key is None and len(keys) == 1:
        return keys[0]
    if key not in keys:
        msg = f"{path}: name its array by `key`; it has {', '.join(keys) or 'none'}"
        raise TargetError(msg)
    return key
