"""How one shard is written: as a tar, a parquet file, or a folder of image files."""

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from typing import Protocol, cast

import pyarrow as pa
import pyarrow.parquet as pq

from recap_assets.exports.samples import Sample, in_groups, told_as_json
from recap_assets.specs.exports import (
    HuggingFaceExport,
    ShardedExport,
    TextToImageExport,
    WebDatasetExport,
)
from recap_assets.storage.folders import Folder, HashedFile, WrittenFile

VERSION = 1
"""Raised when the same samples are written as other bytes."""

BLOCK = 512
RECORD = 10_240
MEMBER_MODE = 0o444


class Form(Protocol):
    """How a shard is written; all names are made from numbers and uids."""

    with_images: bool

    def record_name(self, number: int) -> str:
        """Name of the file that says what the shard holds."""
        ...

    def shard_name(self, number: int) -> str:
        """What the shard is called in lists: a file, or a folder."""
        ...

    def write(self, folder: Folder, number: int, samples: Iterator[Sample]) -> list[WrittenFile]:
        """Write the shard; all its files are whole when this returns."""
        ...


def form_of(export: ShardedExport) -> Form:
    """The form that an export asks for."""
    match export:
        case WebDatasetExport():
            return Tars()
        case HuggingFaceExport():
            return Parquets(with_images=export.images, rows_per_group=export.rows_per_group)
        case TextToImageExport():
            return ImageFolders()


class Tars:
    """`00000012.tar` with `.jpg`, `.json`, `.txt`, and `00000012_stats.json` beside it.

    Equal samples give equal bytes: times are 0, modes and owners fixed.
    """

    with_images = True

    def record_name(self, number: int) -> str:
        """DataComp's name; a tar without this file is not complete."""
        return f"{number:08d}_stats.json"

    def shard_name(self, number: int) -> str:
        """DataComp's name: eight digits."""
        return f"{number:08d}.tar"

    def write(self, folder: Folder, number: int, samples: Iterator[Sample]) -> list[WrittenFile]:
        """Write one tar, a sample at a time."""
        name = self.shard_name(number)
        with folder.writing(name) as file:
            for sample in samples:
                members = {
                    sample.extension: cast(bytes, sample.image),
                    "json": told_as_json(sample.row),
                    "txt": sample.row["text"].encode(),
                }
                for extension in sorted(members):
                    add_member(file, f"{sample.key}.{extension}", members[extension])
            file.write(bytes(2 * BLOCK))
            file.write(bytes(-file.n_bytes % RECORD))
        return [file.written(name)]


def add_member(file: HashedFile, name: str, content: bytes) -> None:
    """Append a file to a tar in the making: a ustar header, the bytes, zeros to the next block."""
    file.write(_header(name, len(content)))
    file.write(content)
    file.write(bytes(-len(content) % BLOCK))


def _template() -> bytes:
    member = tarfile.TarInfo()
    member.mode = MEMBER_MODE
    return member.tobuf(tarfile.USTAR_FORMAT)


_TEMPLATE = _template()
_NAME, _SIZE, _SUM = slice(0, 100), slice(124, 136), slice(148, 156)


def _header(name: str, size: int) -> bytes:
    """What `tarfile` writes for such a member, in less time: names and sizes are short here."""
    header = bytearray(_TEMPLATE)
    header[_NAME] = name.encode("ascii").ljust(100, b"\0")
    header[_SIZE] = b"%011o\0" % size
    header[_SUM] = b" " * 8
    header[_SUM] = b"%06o\0 " % sum(header)
    return bytes(header)


def _value(dtype: str) -> dict[str, str]:
    return {"dtype": dtype, "_type": "Value"}


_CAPTION_FIELDS = {
    "source": pa.string(), "candidate": pa.int16(), "text": pa.string(), "score": pa.float32(),
}  # fmt: skip
_IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
_COLUMNS: Mapping[str, pa.DataType] = {
    "uid": pa.string(), "image": _IMAGE, "text": pa.string(), "source": pa.string(),
    "score": pa.float32(), "weight": pa.float32(), "url": pa.string(), "sha256": pa.string(),
    "width": pa.int32(), "height": pa.int32(),
    "captions": pa.list_(pa.struct(_CAPTION_FIELDS)),
}  # fmt: skip
_DTYPES = {pa.string(): "string", pa.float32(): "float32", pa.int16(): "int16", pa.int32(): "int32"}


def hub_columns(*, with_images: bool) -> dict[str, pa.DataType]:
    """Columns of a parquet export and their Arrow types."""
    return {name: kind for name, kind in _COLUMNS.items() if with_images or name != "image"}


def hub_features(*, with_images: bool) -> dict[str, object]:
    """The columns as `datasets` describes them in a parquet file's metadata."""
    captions = {name: _value(_DTYPES[kind]) for name, kind in _CAPTION_FIELDS.items()}
    special: dict[str, object] = {
        "image": {"_type": "Image"}, "captions": {"feature": captions, "_type": "List"}
    }  # fmt: skip
    columns = hub_columns(with_images=with_images)
    return {name: special.get(name) or _value(_DTYPES[kind]) for name, kind in columns.items()}


class Parquets:
    """`data/train-00000012.parquet`, the images embedded as `datasets` embeds them."""

    def __init__(self, *, with_images: bool, rows_per_group: int) -> None:
        self.with_images, self._rows_per_group = with_images, rows_per_group
        info = {"info": {"features": hub_features(with_images=with_images)}}
        self._schema = pa.schema(hub_columns(with_images=with_images)).with_metadata(
            {"huggingface": json.dumps(info)}
        )

    def record_name(self, number: int) -> str:
        """Beside the data, so that a reader of data/ finds parquet only."""
        return f"records/{number:08d}.json"

    def shard_name(self, number: int) -> str:
        """A name from which `datasets` tells the split."""
        return f"data/train-{number:08d}.parquet"

    def write(self, folder: Folder, number: int, samples: Iterator[Sample]) -> list[WrittenFile]:
        """Write one file, a row group at a time: a reader must load a whole one at least."""
        name = self.shard_name(number)
        with folder.writing(name) as file:
            # Encoded images do not compress; dictionaries of them would only take memory.
            writer = pq.ParquetWriter(
                file,
                self._schema,
                compression="zstd",
                use_dictionary=["source"],  # type: ignore[arg-type] - names too, says its manual
            )
            for group in in_groups(samples, self._rows_per_group):
                rows = [self._row(sample) for sample in group]
                writer.write_table(pa.Table.from_pylist(rows, self._schema))
            writer.close()
        return [file.written(name)]

    def _row(self, sample: Sample) -> dict[str, object]:
        row = {**sample.row, "uid": sample.row["uid"].hex()}
        row["sha256"] = row["sha256"].hex() if row["sha256"] else None
        if self.with_images:
            row["image"] = {"bytes": sample.image, "path": f"{sample.key}.{sample.extension}"}
        return {name: row[name] for name in self._schema.names}


class ImageFolders:
    """`train/00000012/` with an image file for each pair and `metadata.jsonl`, written last."""

    with_images = True

    def record_name(self, number: int) -> str:
        """Beside the images, so that a reader of train/ finds images only."""
        return f"records/{number:08d}.json"

    def shard_name(self, number: int) -> str:
        """A folder of its own, since file systems dislike millions of files in one."""
        return f"train/{number:08d}"

    def write(self, folder: Folder, number: int, samples: Iterator[Sample]) -> list[WrittenFile]:
        """Write the images and then the lines that name them."""
        below, lines, files = self.shard_name(number), io.StringIO(), list[WrittenFile]()
        for sample in samples:
            name = f"{sample.key}.{sample.extension}"
            image = cast(bytes, sample.image)
            files.append(folder.write(f"{below}/{name}", image, sync=False))
            # The same columns in every file, none of them null, or `datasets` refuses the folder.
            line = {"file_name": name} | {c: sample.row[c] for c in ("text", "source")}
            line["uid"] = sample.row["uid"].hex()
            lines.write(json.dumps(line, ensure_ascii=False) + "\n")
        files.append(folder.write(f"{below}/metadata.jsonl", lines.getvalue().encode()))
        return files
