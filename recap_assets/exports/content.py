"""What of an export there is, and whether it is as it was written."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from recap_assets.exports.checksums import CHECKSUMS, MARK
from recap_assets.exports.declared import folder_of, kind_of, sharded_of
from recap_assets.exports.facts import CARD
from recap_assets.exports.kind import ShardedExport
from recap_assets.exports.shard_list import SHARDS
from recap_assets.exports.written import read_written
from recap_assets.graph.node import Look, Place
from recap_assets.graph.project import Project
from recap_assets.storage.content import VERSION_DIGITS
from recap_assets.storage.folders import Folder, WrittenFile
from recap_assets.storage.wholeness import is_whole


def partition_record(partition: str) -> str:
    """Name of the file that says what was written of a partition."""
    return f"partition-{partition}.json"


def files_digest(files: Iterable[WrittenFile]) -> str:
    """Hash of files' paths and bytes: the data version of what is written."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.name):
        digest.update(f"{file.name}:{file.sha256}\n".encode())
    return digest.hexdigest()[:VERSION_DIGITS]


def _digest_now(folder: Folder, names: Iterable[str]) -> str | None:
    found = [folder.hashed(name) for name in names]
    return None if None in found else files_digest(file for file in found if file is not None)


def _is_whole(folder: Folder, record: str) -> bool:
    """Whether the files that a record in a local folder names are there, as long as written."""
    try:
        files = json.loads(folder.read(record) or b"")["files"]
        return all(is_whole(f"{folder.url}/{one['name']}", one["size"]) for one in files)
    except (ValueError, KeyError, TypeError):
        return False


@dataclass(frozen=True)
class ExportedPartitions:
    """The shards of an export: what each partition's record says, and the files themselves."""

    project: Project
    name: str

    def present(self, look: Look) -> Collection[str]:  # noqa: ARG002 - of the protocol
        """The partitions whose record is there, which is written last, and all shards in it."""
        folder = folder_of(self.project, self.name)
        there = folder.top_names()
        found = {key for key in self.project.partitions if partition_record(key) in there}
        # In a bucket each file would have to be asked for, and so would each image of a folder.
        if not (folder.is_local and sharded_of(self.project, self.name).has_few_files):
            return found
        return {key for key in found if _is_whole(folder, partition_record(key))}

    def places(self, partition: str) -> tuple[Place, ...]:  # noqa: ARG002 - of the protocol
        """None: they are files."""
        return ()

    def data_version(self, partition: str, table_versions: Mapping[str, int]) -> str | None:  # noqa: ARG002 - of the protocol
        """Hash of the files that the record names, as they are now; "gone" where one is not."""
        folder = folder_of(self.project, self.name)
        content = folder.read(partition_record(partition))
        if content is None:
            return "gone"
        try:
            names = list(read_written(content).files)
        except (ValueError, KeyError, TypeError):
            return "damaged"
        return _digest_now(folder, names) or "gone"


@dataclass(frozen=True)
class ExportedFiles:
    """What an export has for all partitions together."""

    project: Project
    name: str

    def present(self, look: Look) -> Collection[str]:  # noqa: ARG002 - of the protocol
        """The export, where its checksums are there, which are written last, and what is beside."""
        there = folder_of(self.project, self.name).top_names()
        return {""} if there.issuperset(self._names()) else frozenset()

    def places(self, partition: str) -> tuple[Place, ...]:  # noqa: ARG002 - of the protocol
        """None: they are files."""
        return ()

    def data_version(self, partition: str, table_versions: Mapping[str, int]) -> str | None:  # noqa: ARG002 - of the protocol
        """Hash of card, list, mark, checksums and what is beside as they are now."""
        return _digest_now(folder_of(self.project, self.name), self._names()) or "gone"

    def _names(self) -> list[str]:
        export = kind_of(self.project, self.name)
        lists = [SHARDS] if isinstance(export, ShardedExport) else []
        return [CARD, CHECKSUMS, MARK, *lists, *export.names_beside()]
