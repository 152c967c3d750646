"""Embeddings on disk in the lists of their clusters, for who reads one cluster after the other.

Embeddings come in some order, are gathered until they are worth a sequential write, put in the
order of their clusters, and appended: 2 bytes a dimension and 8 a row on disk, each written once.
A cluster's list is read from as many places as there were writes.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

Halves = NDArray[np.float16]
Number = TypeVar("Number", np.float16, np.int64)

GATHERED_BYTES = 1 << 28
"""Of embeddings that are written at once."""

BLOCK_ROWS = 2_048
"""Rows of a list that are read at once."""


class InvertedFile:
    """Embeddings by cluster, until it is closed. In memory: one write's embeddings, and offsets."""

    def __init__(self, clusters: int, dimension: int) -> None:
        self._rows = tempfile.TemporaryFile(prefix="recap-embeddings-")  # noqa: SIM115 - closed on exit
        self._positions = tempfile.TemporaryFile(prefix="recap-positions-")  # noqa: SIM115 - as above
        self._clusters, self._dimension = clusters, dimension
        self._waiting: list[tuple[Halves, NDArray[np.int32]]] = []
        self._n_waiting = self._n = 0
        self._starts: list[NDArray[np.int64]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()
        self._positions.close()

    def __len__(self) -> int:
        return self._n + self._n_waiting

    def add(self, rows: Halves, clusters: NDArray[np.int32]) -> None:
        """Add embeddings, shape (n, dimension), whose positions follow those of before."""
        self._waiting.append((rows, clusters))
        self._n_waiting += len(rows)
        if self._n_waiting * self._dimension * 2 >= GATHERED_BYTES:
            self._append()

    def _append(self) -> None:
        clusters = np.concatenate([clusters for _, clusters in self._waiting])
        order = np.argsort(clusters, kind="stable")
        rows = np.concatenate([rows for rows, _ in self._waiting])
        for start in range(0, len(order), BLOCK_ROWS):
            self._rows.write(rows[order[start : start + BLOCK_ROWS]].tobytes())
        self._positions.write((order + self._n).tobytes())
        counts = np.bincount(clusters, minlength=self._clusters)
        self._starts.append(self._n + np.concatenate([[0], np.cumsum(counts)]))
        self._n += len(order)
        self._waiting, self._n_waiting = [], 0

    def lists(self) -> "Iterator[Members]":
        """The clusters that have embeddings, one after the other."""
        if self._n_waiting:
            self._append()
        if not self._n:
            return
        self._rows.flush()
        self._positions.flush()
        for cluster in range(self._clusters):
            parts = [slice(int(s[cluster]), int(s[cluster + 1])) for s in self._starts]
            if any(part.start < part.stop for part in parts):
                yield Members(self, parts)

    def rows_at(self, places: range) -> Halves:
        """The embeddings at some places of the file, shape (n, dimension)."""
        return _read(self._rows.fileno(), places, np.float16, self._dimension)

    def positions_at(self, places: range) -> NDArray[np.int64]:
        """The position of each of them among all that were added."""
        return _read(self._positions.fileno(), places, np.int64, 1)[:, 0]


def _read(file: int, places: range, dtype: type[Number], width: int) -> NDArray[Number]:
    # Not mapped into memory: the pages would count as the process's own, all of them at the end.
    n_bytes = width * np.dtype(dtype).itemsize
    found = os.pread(file, len(places) * n_bytes, places.start * n_bytes)
    return np.frombuffer(found, dtype).reshape(-1, width)


class Members:
    """The embeddings of one cluster, in blocks.

    Attributes:
        blocks: The places in the file of each block's rows.
    """

    def __init__(self, file: InvertedFile, parts: Sequence[slice]) -> None:
        self._file = file
        self.blocks: list[list[range]] = [[]]
        for part in parts:
            self._add(range(part.start, part.stop))

    def _add(self, places: range) -> None:
        while len(places):
            left = BLOCK_ROWS - sum(map(len, self.blocks[-1]))
            if not left:
                self.blocks.append([])
                continue
            self.blocks[-1].append(places[:left])
            places = places[left:]

    def rows(self, block: int) -> Halves:
        """The embeddings of a block, shape (n, dimension)."""
        return np.concatenate([self._file.rows_at(places) for places in self.blocks[block]])

    def positions(self, block: int) -> NDArray[np.int64]:
        """The position of each row of a block among all that were added."""
        return np.concatenate([self._file.positions_at(places) for places in self.blocks[block]])
