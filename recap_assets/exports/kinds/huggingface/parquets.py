"""A shard as a parquet file, the images embedded as `datasets` embeds them."""

import json
from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from recap_assets.exports.samples import Sample, in_groups
from recap_assets.storage.folders import Folder, WrittenFile

ROWS_PER_GROUP = 100


def _value(dtype: str) -> dict[str, str]:
    return {"dtype": dtype, "_type": "Value"}


_CAPTION_FIELDS = {
    "source": pa.string(), "candidate": pa.int16(), "text": pa.string(), "score": pa.float32(),
}  # fmt: skip
_IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
_COLUMNS: Mapping[str, pa.DataType] = {
    "uid": pa.string(), "image": _IMAGE, "text": pa.string(), "source": pa.string(),
    "score": pa.float32(), "weight": pa.float32(), "copies": pa.int32(), "url": pa.string(),
    "sha256": pa.string(),
    "width": pa.int32(), "height": pa.int32(),
    "captions": pa.list_(pa.struct(_CAPTION_FIELDS)),
}  # fmt: skip
_DTYPES = {pa.string(): "string", pa.float32(): "float32", pa.int16(): "int16", pa.int32(): "int32"}


def hub_columns(*, with_images: bool, with_copies: bool = False) -> dict[str, pa.DataType]:
    """Columns of a parquet export and their Arrow types."""
    left_out = {"image": not with_images, "copies": not with_copies}
    return {name: kind for name, kind in _COLUMNS.items() if not left_out.get(name)}


def hub_features(*, with_images: bool, with_copies: bool = False) -> dict[str, object]:
    """The columns as `datasets` describes them in a parquet file's metadata."""
    captions = {name: _value(_DTYPES[kind]) for name, kind in _CAPTION_FIELDS.items()}
    special: dict[str, object] = {
        "image": {"_type": "Image"}, "captions": {"feature": captions, "_type": "List"}
    }  # fmt: skip
    columns = hub_columns(with_images=with_images, with_copies=with_copies)
    return {name: special.get(name) or _value(_DTYPES[kind]) for name, kind in columns.items()}


class Parquets:
    """`data/train-00000012.parquet`, the images embedded as `datasets` embeds them."""

    def __init__(
        self, *, with_images: bool, rows_per_group: int, with_copies: bool = False
    ) -> None:
        self.with_images, self._rows_per_group = with_images, rows_per_group
        is_usual = rows_per_group == ROWS_PER_GROUP
        self.options: Mapping[str, object] = {} if is_usual else {"rows_per_group": rows_per_group}
        if with_copies:
            self.options = {**self.options, "with_copies": True}
        features = hub_features(with_images=with_images, with_copies=with_copies)
        columns = hub_columns(with_images=with_images, with_copies=with_copies)
        self._schema = pa.schema(columns).with_metadata(
            {"huggingface": json.dumps({"info": {"features": features}})}
        )

    def record_name(self, number: int) -> str:
        """Beside the data, so that a reader of data/ finds parquet only."""
        return f"records/{number:08d}.json"

    def shard_name(self, number: int) -> str:
        """A name from which `datasets` takes the split."""
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
