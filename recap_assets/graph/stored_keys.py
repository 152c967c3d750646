"""Which files of a table have rows with some keys, by the files alone.

Most slices that are searched have no row that is wanted, and there are many of them: of each file
the columns of the key are read, and compared as numbers of 64 bits. Two keys of one number are
rare, and whoever takes rows of a file compares the keys themselves.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl

from recap_assets.artefacts.draws import UInt64s, mix64, uid_halves
from recap_assets.artefacts.table import HASH

_HALVES = 2
"""Numbers in a value of 16 bytes."""

_MOST_BITS = 24
"""Of the marks, which then take 16 MB."""


class KnownNumbers:
    """The numbers of files that were read, which never change: partitions search the same ones.

    Args:
        most: Numbers that are kept, 8 bytes each; with more it begins again.
    """

    def __init__(self, most: int) -> None:
        self._most, self._n = most, 0
        self._of: dict[tuple[str, ...], UInt64s] = {}

    def of(self, path: str, columns: Sequence[str], read: Callable[[], UInt64s]) -> UInt64s:
        """Those of one file."""
        key = (path, *columns)
        if (known := self._of.get(key)) is not None:
            return known
        found = read()
        if self._n + len(found) > self._most:
            self.clear()
        if len(found) <= self._most:
            self._n += len(found)
            self._of[key] = found
        return found

    def clear(self) -> None:
        """Forget all."""
        self._n = 0
        self._of.clear()


KNOWN = KnownNumbers(4_000_000)


class WantedKeys:
    """Keys that are wanted.

    Args:
        keys: The columns by which a row is recognized, `input_hash` among them, of 16 bytes each.
    """

    def __init__(self, keys: pl.DataFrame) -> None:
        self._columns = sorted(keys.columns, key=_is_hash)
        whole = keys.drop_nulls()
        self._numbers = np.unique(_mixed([uid_halves(whole[name])[:, 0] for name in self._columns]))
        bits = min(_MOST_BITS, len(self._numbers).bit_length() + 8)
        self._shift = np.uint64(64 - bits)
        self._marked = np.zeros(1 << bits, np.bool_)
        self._marked[self._numbers >> self._shift] = True

    def are_in(self, paths: Iterable[str]) -> bool:
        """Whether some of them seem to be in one of these Parquet files.

        Raises:
            OSError: A file cannot be read, or not as Parquet.
        """
        return any(map(self._are_in, paths))

    def _are_in(self, path: str) -> bool:
        there = KNOWN.of(path, self._columns, lambda: self._read(path))
        # Marks leave a few of a thousand numbers, which are then looked up.
        likely = there[self._marked[(there >> self._shift).view(np.int64)]]
        places = np.searchsorted(self._numbers, likely)
        return bool((self._numbers[np.minimum(places, len(self._numbers) - 1)] == likely).any())

    def _read(self, path: str) -> UInt64s:
        """A number for the key of each row."""
        import pyarrow as pa  # noqa: PLC0415 - half a second, where nothing is searched
        import pyarrow.parquet as pq  # noqa: PLC0415

        try:
            # Opened here, since pyarrow takes a third of the time to find out what the path means.
            with pa.OSFile(path) as opened, pq.ParquetFile(opened, pre_buffer=False) as file:
                if HASH not in file.schema.names:  # written before there was such a column
                    return np.empty(0, np.uint64)
                read = file.read(self._columns, use_threads=False)
        except pa.ArrowException as error:
            msg = f"{path}: {error}"
            raise OSError(msg) from error
        # Files say by themselves whether their values come as views, of which nothing is dropped.
        found = read.cast(pa.schema([(name, pa.large_binary()) for name in self._columns]))
        if any(found[name].null_count for name in self._columns):
            found = found.drop_null()
        return _mixed([_first_halves(found[name]) for name in self._columns])


def _first_halves(column: Any) -> UInt64s:  # noqa: ANN401 - pyarrow has no types
    """As `uid_halves`, of a column that was just read: its values stand one after the other."""
    parts = [np.empty(0, np.uint64)]
    for chunk in column.chunks:
        if not len(chunk):
            continue  # which may have no bytes at all
        *_, content = chunk.buffers()
        values = np.frombuffer(content, ">u8", _HALVES * len(chunk))
        parts.append(values[::_HALVES].astype(np.uint64))
    return np.concatenate(parts)


def _mixed(columns: list[UInt64s]) -> UInt64s:
    """One number for those of a row."""
    *others, last = columns
    for other in others:
        last = mix64(other) ^ last
    return last


def _is_hash(column: str) -> bool:
    return column == HASH
