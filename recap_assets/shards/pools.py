"""A pool as its readers see it: which shards it has, what is in one, where its images are."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

from recap_assets.shards import manifest_file
from recap_assets.shards.files import PoolError
from recap_assets.shards.manifest import Listing, Shard, SkippedFile, assign
from recap_assets.shards.sample_rows import SampleRow
from recap_assets.specs.pool import PoolSpec
from recap_assets.storage.workspace import Workspace


class PoolProject(Protocol):
    """What a pool knows of the experiment that it is in."""

    @property
    def workspace(self) -> Workspace:
        """Where the experiment's results are."""
        ...

    @property
    def is_read_only(self) -> bool:
        """Whether nothing may be written there."""
        ...


class ImagePlace(NamedTuple):
    """Where the index says that an image is.

    Attributes:
        key: The sample's key.
        offset: First byte in the shard; 0 where the image is a file of its own.
        size: Bytes.
    """

    key: str
    offset: int
    size: int


class EncodedImages(Protocol):
    """The images of a pool's shards as they are encoded, while they are read."""

    def fetch(self, shard: int, places: Sequence[ImagePlace]) -> Sequence[bytes | None]:
        """The bytes at each place of one shard; None where they cannot be had.

        Raises:
            OSError: Where it was opened as strict, and the shard is gone or cannot be read.
        """
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


class ReadablePool(PoolSpec):
    """Image-text pairs in numbered shards."""

    plans_shards: ClassVar[bool] = False
    """Whether its shards are those that a `scan` planned, and nothing is known before one."""

    @property
    def made_by(self) -> str | None:
        """Key of the asset that writes the shards; None where they come from outside.

        Shards that an asset writes are known before they are there, and no uid is in two of them.
        """
        return None

    @abstractmethod
    def known_shards(self, project: PoolProject) -> Mapping[int, Shard]:
        """The shards by number, as of the last `scan`; a shard keeps its number for life.

        Raises:
            PoolError: There are none, or they cannot be listed.
        """

    def scan(self, project: PoolProject) -> None:
        """Look which shards there are now, and keep the list.

        Raises:
            PoolError: There are none, or they cannot be listed.
        """

    def left_aside(self, project: PoolProject) -> Sequence[SkippedFile]:  # noqa: ARG002 - of some kinds
        """The files that look like shards and are none, as of the last `scan`."""
        return ()

    @abstractmethod
    def index(self, shard: Shard, uids: Mapping[str, bytes]) -> Iterable[SampleRow]:
        """A row for every sample of a shard, the bad ones included, each with its reason.

        Args:
            shard: The shard.
            uids: By a sample's key the uid that the metadata gives it, where there is any.

        Raises:
            OSError: The shard is gone or cannot be read.
            PoolError: It cannot be read as what it should be.
        """

    @abstractmethod
    def open_images(self, shards: Mapping[int, Shard], *, strict: bool) -> EncodedImages:
        """The images of these shards.

        Args:
            shards: The shards by number.
            strict: Whether a shard that cannot be read is an error, and not a lack of images.
        """

    def deciding_rows(self) -> Mapping[str, object]:
        """What decides the rows of a shard beside the shard itself, by name, in JSON values."""
        return {"pool": self.decides("shards_per_partition", "columns")}

    def column_values(self, shard: Shard, field: str) -> Iterable[tuple[str, object]]:
        """The values of a column by the samples' keys; of a key's several the first counts.

        Args:
            shard: The shard.
            field: What its place says behind `json.` or `table.`.

        Returns:
            JSON values, as they are written; what cannot be read is left out.

        Raises:
            OSError: The shard is gone or cannot be read.
            PoolError: It cannot be read as what it should be, or has no such column.
        """
        msg = f"a pool of kind {self.word} has no columns ({shard.name}, {field})"
        raise PoolError(msg)

    def columns_version(self, shards: Sequence[Shard]) -> str:
        """What changes when a column of these shards may have."""
        return "\n".join(f"{shard.name} {shard.version}" for shard in shards)

    def columns_file(self) -> Path | None:
        """The file on this machine that columns are read from; None where shards have them.

        `columns_version` is that of its size and time: its bytes are hashed where it was changed in
        other ways, too.
        """
        return None


class ListedPool(ReadablePool):
    """A pool whose shards come from outside: they are listed, and get numbers as they come."""

    @abstractmethod
    def survey(self) -> Listing:
        """The shards as they are there now, and the files left aside.

        Raises:
            PoolError: There is no shard.
        """

    def known_shards(self, project: PoolProject) -> Mapping[int, Shard]:
        """As of the last `scan`; of a workspace that may not be written to as of now."""
        path = project.workspace.manifest
        if project.is_read_only:
            known = manifest_file.known(path)
            return {shard.number: shard for shard in assign(self.survey().shards, known)}
        if not path.exists():
            self.scan(project)
        return manifest_file.read(path)

    def scan(self, project: PoolProject) -> None:
        """List the shards; known ones keep their numbers, and a receipt's stay as they are."""
        manifest_file.update(project.workspace.manifest, self.survey())

    def left_aside(self, project: PoolProject) -> Sequence[SkippedFile]:
        """What the listing passed over; where none is kept and none may be, as of now."""
        path = project.workspace.manifest
        if project.is_read_only and not path.exists():
            return self.survey().skipped
        return manifest_file.left_aside(path)
