"""Rows of a Hugging Face dataset as files: Arrow as `datasets` caches it, or parquet.

DataComp's download script keeps Flickr30k, MSCOCO and WinoGAViL so, below `hf_cache`. The files are
read batch by batch; the library `datasets` is not needed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from recap_assets.evalsets.webdatasets import MAX_MEMBER_BYTES, EvaluationSetError, SetFolder
from recap_assets.untrusted.arrow_stream import read_arrow_rows
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.parquet import ParquetLimits, open_parquet

LIMITS = ParquetLimits(
    cell_bytes=MAX_MEMBER_BYTES, page_bytes=384 * 2**20, batch_bytes=2 * MAX_MEMBER_BYTES, rows=16,
    nested_values=2**20,
)  # fmt: skip
"""Of parquet, whose cells are images; a row of WinoGAViL has twelve."""

Row = Mapping[str, Any]
"""A row as Python values; what a column holds is checked where it is used."""


def has_rows(folder: SetFolder, split: str) -> bool:
    """Whether the folder holds Arrow or parquet files of the split."""
    return bool(row_files(folder, split))


def row_files(folder: SetFolder, split: str) -> list[str]:
    """The Arrow and parquet files of a split, by name: those with the split in their path."""
    names = folder.files.find(folder.root)
    below = len(folder.root) + 1
    return sorted(
        path
        for path in names
        if path.endswith((".arrow", ".parquet"))
        and split.lower() in path[below:].lower()
        and ".incomplete" not in path
    )


def captioned_rows(folder: SetFolder, split: str) -> Iterator[tuple[str, bytes, list[str]]]:
    """Where it is, image and captions of each row: columns `image` and `caption`.

    Raises:
        EvaluationSetError: An unreadable file, no row, or a row of another form.
    """
    for where, row in rows(folder, split, ("image", "caption")):
        captions: object = row["caption"]
        if isinstance(captions, str):
            captions = [captions]
        yield where, image_of(row["image"], where), strings_of(captions, "caption", where)


def rows(folder: SetFolder, split: str, columns: Sequence[str]) -> Iterator[tuple[str, Row]]:
    """Every row of a split with where it is, in the order of the files.

    Raises:
        EvaluationSetError: An unreadable file, a missing column, or no row.
    """
    n_rows = 0
    for path in row_files(folder, split):
        try:
            for row in _rows_of(folder, path, columns):
                yield f"{path}, row {n_rows}", row
                n_rows += 1
        except UntrustedError as error:
            msg = f"{path}: not readable as rows of {', '.join(columns)}: {error}"
            raise EvaluationSetError(msg) from error
    if not n_rows:
        msg = f"{folder.path}: there is no row of the split {split} in an .arrow or .parquet file"
        raise EvaluationSetError(msg)


def image_of(cell: object, where: str) -> bytes:
    """The bytes in a cell of `datasets`' image type.

    Raises:
        EvaluationSetError: It holds a path only, or something else.
    """
    content = cast("Row", cell).get("bytes") if isinstance(cell, dict) else None
    if not isinstance(content, bytes):
        msg = f"{where}: the image is not stored in the row; load the dataset with its images"
        raise EvaluationSetError(msg)
    return content


def strings_of(cell: object, meaning: str, where: str) -> list[str]:
    """The texts in a cell.

    Raises:
        EvaluationSetError: It is no list of texts.
    """
    texts = cast("list[object]", cell) if isinstance(cell, list) else [None]
    if not all(isinstance(text, str) for text in texts):
        msg = f"{where}: {meaning} must be a list of texts"
        raise EvaluationSetError(msg)
    return cast("list[str]", texts)


def _rows_of(folder: SetFolder, path: str, columns: Sequence[str]) -> Iterator[Row]:
    name = path[len(folder.root) + 1 :]
    with folder.opened(name) as file:
        if path.endswith(".parquet"):
            with open_parquet(file, LIMITS) as table:
                for frame in table.batches(columns):
                    yield from cast("Iterable[Row]", frame.iter_rows(named=True, buffer_size=1))
        else:
            yield from read_arrow_rows(file, columns)
