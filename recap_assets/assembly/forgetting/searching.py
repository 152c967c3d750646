"""Whether a file holds anything of a sample: in its bytes, and in the cells of a Parquet file."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from recap_assets.assembly.forgetting.identity import Identity

_BLOCK = 32 * 2**20
UNREADABLE = (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""What a damaged Parquet file may raise; then its bytes alone are searched."""


def holds(path: Path, identity: Identity) -> bool:
    """Whether a file holds a uid, a hash, bytes of an image, or a text that the samples alone have.

    Its name counts, too. A file that goes away meanwhile holds nothing. Memory: a block of 32 MiB,
    or a row group.
    """
    if any(word in path.name.lower() for word in identity.words):
        return True
    try:
        return _bytes_hold(path, identity.needles) or cells_hold(path, identity)
    except FileNotFoundError:
        return False


def cells_hold(path: Path, identity: Identity) -> bool:
    """Whether a cell of a Parquet file holds it; of another file none does."""
    if path.suffix != ".parquet":
        return False
    try:
        schema = pl.read_parquet_schema(path)
        tests = [
            _test(leaf, dtype, identity)
            for name, of_column in schema.items()
            for leaf, dtype in _leaves(pl.col(name), of_column)
        ]
        if not tests:
            return False
        named = [test.any().alias(str(number)) for number, test in enumerate(tests)]
        found = pl.scan_parquet(path, hive_partitioning=False).select(named)
        return any(map(bool, found.collect(engine="streaming").row(0)))
    except UNREADABLE:
        return False


def bytes_hold(path: Path, needles: tuple[bytes, ...]) -> bool:
    """Whether a file has one of these in its bytes."""
    try:
        return _bytes_hold(path, needles)
    except FileNotFoundError:
        return False


def files_below(root: Path) -> Iterator[Path]:
    """All regular files below a folder, by name; links are not followed."""
    for folder, folders, names in os.walk(root):
        folders.sort()
        for path in (Path(folder, name) for name in sorted(names)):
            if path.is_file() and not path.is_symlink():
                yield path


def _bytes_hold(path: Path, needles: tuple[bytes, ...]) -> bool:
    overlap = max(map(len, needles), default=1) - 1
    tail = b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            seen = tail + block
            if any(needle in seen for needle in needles):
                return True
            tail = seen[-overlap:] if overlap else b""
    return False


def _leaves(column: pl.Expr, dtype: pl.DataType) -> Iterator[tuple[pl.Expr, pl.DataType]]:
    """The texts and bytes in a column, those in lists and structs too."""
    if isinstance(dtype, pl.Struct):
        for field in dtype.fields:
            yield from _leaves(column.struct.field(field.name), _made(field.dtype))
    elif isinstance(dtype, pl.List | pl.Array):
        yield from _leaves(column.explode(), _made(dtype.inner))
    elif dtype in (pl.String, pl.Binary):
        yield column, dtype


def _made(dtype: Any) -> pl.DataType:  # noqa: ANN401 - a type or one of its instances
    return dtype() if isinstance(dtype, type) else dtype


def _test(leaf: pl.Expr, dtype: pl.DataType, identity: Identity) -> pl.Expr:
    if dtype == pl.Binary:
        cells = pl.Series(sorted(identity.cells), dtype=pl.Binary)
        test = leaf.is_in(cells.implode())
        for chunk in sorted(identity.images):
            test |= leaf.bin.contains(chunk)
        return test.fill_null(value=False)
    texts = pl.Series(sorted(identity.texts), dtype=pl.String)
    test = leaf.is_in(texts.implode())
    if inside := sorted({*identity.words, *identity.long_texts}):
        test |= leaf.str.contains_any(inside)
    return test.fill_null(value=False)
