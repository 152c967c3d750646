"""What partitions read from outside the graph: the content of the files that specs name."""

import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from recap_assets.graph.node import ForAll
from recap_assets.graph.project import Project
from recap_assets.shards.metadata import PARQUET, metadata_version
from recap_assets.specs.base import Spec, fingerprint_of
from recap_assets.storage.folder_content import content_version

LOOK_SECONDS = 2
"""How long a look at the metadata holds: a plan asks for each partition. A version may so be older
than what is read just after, and then the next plan builds once more; it is never newer."""

Outside = Callable[[str], str]
"""From a partition's key to the version of what it reads from outside the graph."""


def outside_of(project: Project, *specs: Spec) -> Outside | None:
    """Version of the files and folders that the specs name; None where they name none."""
    if not any(spec.contents() for spec in specs):
        return None
    return ForAll(lambda: contents_version(project, *specs))


def content_outside(project: Project, place: Path) -> Outside:
    """Version of one file or folder by its bytes."""
    return ForAll(lambda: _version(project, place))


def metadata_outside(project: Project, endings: tuple[str, ...] = (PARQUET,)) -> Outside | None:
    """Version of the pool's metadata, as far as a partition reads it; None for a pool without."""
    folder = project.pool.metadata_folder
    if folder is None:
        return None

    def version(partition: str) -> str:
        stems = tuple(shard.name for shard in project.partitions[partition])
        return _metadata(folder, stems, endings, _moment())

    return version


def both(*parts: Outside | None) -> Outside | None:
    """One version for several parts; None where there is none."""
    there = [part for part in parts if part is not None]
    if len(there) < 2:
        return there[0] if there else None

    def version(partition: str) -> str:
        return fingerprint_of(*(part(partition) for part in there))

    is_one = all(isinstance(part, ForAll) for part in there)
    return ForAll(lambda: version("")) if is_one else version


class HasContents(Protocol):
    """A spec, or what has files and folders as one does."""

    def contents(self) -> Mapping[str, Path]:
        """The files and folders whose bytes decide."""
        ...


def contents_version(project: Project, *specs: HasContents) -> str:
    """16 hex digits for the content of all files and folders that the specs name."""
    places = [item for spec in specs for item in spec.contents().items()]
    return fingerprint_of(*(f"{field} {_version(project, place)}" for field, place in places))


def _version(project: Project, place: Path) -> str:
    kept = None if project.is_read_only else project.workspace.contents
    return content_version(place, kept)


def _moment() -> int:
    return int(time.monotonic() / LOOK_SECONDS)


@lru_cache(maxsize=256)
def _metadata(folder: str, stems: tuple[str, ...], endings: tuple[str, ...], _look: int) -> str:
    return metadata_version(folder, stems, endings)
