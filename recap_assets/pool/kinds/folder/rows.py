"""A row for every sample of a folder's table."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from recap_assets.pool.kinds.folder.spec import FolderSpec
from recap_assets.pool.kinds.folder.table import listed_rows
from recap_assets.shards.files import OutsideFolderError
from recap_assets.shards.folder_names import FolderFiles
from recap_assets.shards.image_headers import UNREAD_EXTENSIONS
from recap_assets.shards.manifest import Shard
from recap_assets.shards.sample_rows import SampleRow, examine, settle_uid
from recap_assets.shards.sample_texts import cleaned_text
from recap_assets.specs.pool import ImageLimits
from recap_assets.untrusted.uid_forms import parse_uid


def rows_of(shard: Shard, pool: FolderSpec) -> Iterator[SampleRow]:
    """A row for each of the table that is in the shard.

    Raises:
        PoolError: The table cannot be used.
    """
    repeats: dict[str, int] = {}
    keys: set[tuple[bytes, str]] = set()
    files = FolderFiles(pool.images)
    for number, cells in enumerate(listed_rows(pool, shard.name).iter_rows()):
        image, text, uid, is_damaged = cells
        row = SampleRow(image or f"@row{number}")
        row.take_text(cleaned_text(text))
        repeat = repeats.get(row.key, 0)
        repeats[row.key] = repeat + 1
        if repeat:
            row.reject("duplicate_key")
        if is_damaged:
            row.reject("damaged_row")
        else:
            _read_folder_image(row, files, pool.limits, image)
        if uid is not None:
            row.uid = parse_uid(uid)
            if row.uid is None:
                row.reject("bad_uid")
        settle_uid(row, shard, repeat, keys)
        yield row


def _read_folder_image(
    row: SampleRow, files: FolderFiles, limits: ImageLimits, image: str | None
) -> None:
    try:
        file = files.open(image) if image else None
    except OutsideFolderError:
        row.reject("outside_folder")
        return
    except OSError:
        file = None
    if file is None:
        row.reject("missing_image")
        return
    try:
        row.offset, row.size = 0, file.size
        examine(row, file, limits, UNREAD_EXTENSIONS.get(_ending(row.key)))
    finally:
        file.close()


def _ending(path: str) -> str:
    return PurePosixPath(path).suffix.removeprefix(".").lower()
