"""Image embeddings in memory: as they are stored, or as codes of faiss where there are many."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.scores import IMAGE_EMBEDDINGS
from recap_assets.graph.project import Project

MOST_COMPARED = 200_000
"""Images that are compared by their stored embeddings; of more, faiss holds codes."""

HELD_BYTES = 768 * 2**20
"""Of embeddings or codes that stay in memory, of all scorers together."""

CODE_BITS = (16, 8, 6, 4)
"""Of a number of a code: as many as fit. Sixteen are the stored ones."""

STORED_BITS = 16
_BLOCK = 1 << 14

Files = frozenset[str]
Halves = NDArray[np.float16]
Nearest = tuple[NDArray[np.float32], NDArray[np.int64]]


class Vectors(Protocol):
    """Embeddings that can be searched."""

    def __len__(self) -> int: ...

    def nearest(self, query: NDArray[np.float32], n: int) -> Nearest:
        """Cosines and positions of those nearest to one of unit length, at most n."""
        ...


class Coded(Vectors, Protocol):
    """Embeddings that are rounded as they are added."""

    def add(self, vectors: Halves) -> None:
        """More of them."""
        ...


def codes() -> Callable[[int, int], Coded] | None:
    """What makes codes of faiss; None where it is not installed."""
    try:
        from recap_assets.engines.vector_codes import Codes  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    return Codes


class Stored:
    """Embeddings as the table has them, of shape (n, dimension)."""

    def __init__(self, halves: Halves) -> None:
        self._halves = halves

    def __len__(self) -> int:
        return len(self._halves)

    def nearest(self, query: NDArray[np.float32], n: int) -> Nearest:
        """As `Vectors`; in any order."""
        blocks = range(0, len(self._halves), _BLOCK)
        found = [self._halves[at : at + _BLOCK].astype(np.float32) @ query for at in blocks]
        cosines = np.concatenate([np.empty(0, np.float32), *found])
        first = np.argpartition(-cosines, n)[:n] if len(cosines) > n else np.arange(len(cosines))
        return cosines[first], first


class Part(NamedTuple):
    """Some embeddings of one partition.

    Attributes:
        partition: Its key.
        uids: Of the images.
        vectors: Their embeddings, in the same order.
    """

    partition: str
    uids: pl.Series
    vectors: Vectors


@dataclass(frozen=True)
class Searched:
    """The embeddings of a scorer, as a search reads them.

    Attributes:
        parts: All of them.
        bits: Of each number; below STORED_BITS they are rounded.
        is_held: Whether they stay in memory; otherwise each search reads them again.
        lacks_faiss: Whether they would be held if faiss were installed.
    """

    parts: Iterable[Part]
    bits: int = STORED_BITS
    is_held: bool = True
    lacks_faiss: bool = False


class _Way(NamedTuple):
    """How the embeddings of a scorer are held.

    Attributes:
        codes: Makes codes of a dimension and a number of bits; None for the stored embeddings.
        bits: Of each number.
        n_bytes: In memory.
    """

    codes: Callable[[int, int], Coded] | None
    bits: int
    n_bytes: int


class _Held(NamedTuple):
    """What stays in memory of one scorer.

    Attributes:
        way: How.
        files: Those that each partition was read from.
        parts: Of the same partitions.
    """

    way: _Way
    files: Mapping[str, Files]
    parts: Mapping[str, Sequence[Part]]


class Embeddings:
    """The embeddings of an experiment's scorers, of which as many stay in memory as may.

    A partition that was written again is read again, and no other.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._held: OrderedDict[str, _Held] = OrderedDict()
        # One at a time: two searches at once would read everything twice.
        self._lock = threading.Lock()

    def searched(self, scorer: str) -> Searched:
        """The embeddings of a scorer, as its tables have them now."""
        tables = self._project.workspace.tables
        stored = tables.files_of(IMAGE_EMBEDDINGS, None, {"scorer": scorer})
        files = {key: stored[key] for key in self._project.partitions if key in stored}
        with self._lock:
            known = self._held.get(scorer)
            if known is None or known.files != files:
                known = self._read_again(scorer, files, known)
            if known is None:
                return self._unheld(scorer, files)
            self._held.move_to_end(scorer)
            return Searched(list(chain.from_iterable(known.parts.values())), known.way.bits)

    def partition_of(self, scorer: str, uid: bytes) -> str | None:
        """Where an image is among the embeddings in memory; None where it is not among them."""
        found = self.searched(scorer)
        if not found.is_held:
            return None
        has = (part.partition for part in found.parts if part.uids.index_of(uid) is not None)
        return next(has, None)

    def _unheld(self, scorer: str, files: Iterable[str]) -> Searched:
        parts = (
            Part(key, uids, Stored(halves))
            for key in files
            for uids, halves in self._blocks(scorer, key)
        )
        return Searched(parts, is_held=False, lacks_faiss=codes() is None)

    def _read_again(
        self, scorer: str, files: Mapping[str, Files], known: _Held | None
    ) -> _Held | None:
        """What is held of a scorer now; None where it is too much."""
        way = self._way(scorer)
        if way is None or known is None or known.way[:2] != way[:2]:
            self._held.pop(scorer, None)
            known = None
        if way is None:
            return None
        self._make_room(scorer, way.n_bytes)
        same = {key for key in files if known and known.files.get(key) == files[key]}
        parts = {
            key: known.parts[key] if known and key in same else self._parts(scorer, key, way)
            for key in files
        }
        self._held[scorer] = _Held(way, files, parts)
        return self._held[scorer]

    def _way(self, scorer: str) -> _Way | None:
        rows = self._project.workspace.tables.scan(IMAGE_EMBEDDINGS, scorer=scorer)
        n = int(rows.select(pl.len()).collect().item())
        first = rows.select("embedding").head(1).collect()["embedding"]
        numbers = n * max((len(one) // 2 for one in first), default=0)
        coded = codes() if n > MOST_COMPARED else None
        for bits in CODE_BITS if coded else (STORED_BITS,):
            if numbers * bits // 8 <= HELD_BYTES:
                return _Way(coded, bits, numbers * bits // 8)
        return None

    def _make_room(self, scorer: str, n_bytes: int) -> None:
        """Give up the scorers that were searched longest ago, until this one has room."""
        others = [name for name in self._held if name != scorer]
        while others and n_bytes + sum(self._held[one].way.n_bytes for one in others) > HELD_BYTES:
            self._held.pop(others.pop(0))

    def _parts(self, scorer: str, partition: str, way: _Way) -> Sequence[Part]:
        found: list[Part] = []
        for uids, halves in self._blocks(scorer, partition):
            vectors: Vectors = Stored(halves)
            if way.codes is not None:
                vectors = way.codes(halves.shape[1], way.bits)
                vectors.add(halves)
            found.append(Part(partition, uids, vectors))
        return found

    def _blocks(self, scorer: str, partition: str) -> Iterator[tuple[pl.Series, Halves]]:
        """Uids and embeddings of a partition, some ten thousand at a time."""
        tables = self._project.workspace.tables
        rows = tables.scan(IMAGE_EMBEDDINGS, scorer=scorer, partition=partition)
        for batch in rows.select("uid", "embedding").collect_batches(chunk_size=_BLOCK):
            if not batch.is_empty():
                halves = np.frombuffer(b"".join(batch["embedding"]), "<f2")
                yield batch["uid"], halves.reshape(batch.height, -1)
