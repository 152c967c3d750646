"""A plain folder of images with a table of texts."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from recap_assets.pool.kinds.folder.images import FolderImages
from recap_assets.pool.kinds.folder.rows import rows_of
from recap_assets.pool.kinds.folder.spec import FolderSpec
from recap_assets.pool.kinds.folder.table import (
    column_of,
    local_table,
    table_version,
    virtual_shards,
)
from recap_assets.shards.folder_names import FolderFiles
from recap_assets.shards.manifest import Listing, Shard
from recap_assets.shards.sample_rows import SampleRow


class FolderPool(FolderSpec):
    """A plain folder of images with a CSV, JSON-lines or parquet table of texts."""

    def survey(self) -> Listing:
        """The rows of the table, in shards that nobody wrote."""
        return Listing(virtual_shards(self), [])

    def index(self, shard: Shard, uids: Mapping[str, bytes]) -> Iterable[SampleRow]:  # noqa: ARG002 - of all kinds
        """A row for each of the table."""
        return rows_of(shard, self)

    def open_images(self, shards: Mapping[int, Shard], *, strict: bool) -> FolderImages:  # noqa: ARG002 - of all kinds
        """The files of the folder."""
        return FolderImages(self.images, self.limits.max_bytes, strict=strict)

    def deciding_rows(self) -> Mapping[str, object]:
        """The limits; which columns are read decides the shards."""
        return {"limits": self.limits.decides(), **self.implemented_by}

    def column_values(self, shard: Shard, field: str) -> Iterable[tuple[str, object]]:
        """A column of the table, by the images' paths."""
        return column_of(self, shard.name, field)

    def columns_version(self, shards: Sequence[Shard]) -> str:  # noqa: ARG002 - one table has all
        """That of the table: what shards go by are the columns of the index alone."""
        return table_version(self)

    def columns_file(self) -> Path | None:
        """The table, where it is on this machine."""
        return local_table(self)

    def near_names(self, keys: Sequence[str]) -> Mapping[str, str]:
        """Files whose names differ by upper and lower case alone."""
        files = FolderFiles(self.images)
        return {key: near for key in keys if (near := files.nearest(key))}
