"""Randomness as a function of (seed, uid): never of order, shard or library version."""

import hashlib
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl
from polars import selectors

from recap_assets.artefacts.table import UID_BYTES

UInt32s = npt.NDArray[np.uint32]
UInt64s = npt.NDArray[np.uint64]

_BLOCK = 1 << 16


def uid_halves(uids: pl.Series) -> UInt64s:
    """First and last 8 bytes of each uid as big-endian integers, a row a uid: DataComp's `u8,u8`.

    Raises:
        ValueError: If a uid is null or is not 16 bytes long.
    """
    halves = np.empty((len(uids), 2), np.uint64)
    for start, block in _blocks(uids):
        halves[start : start + len(block)] = block
    return halves


def first_quarters(uids: pl.Series) -> UInt32s:
    """A number for the first 4 bytes of each uid, which are read without the others.

    A series has them beside the length of each value, as Arrow's views do: a view of its memory.

    Raises:
        ValueError: As `uid_halves`.
    """
    array = cast("Any", uids.rechunk().to_arrow(compat_level=pl.CompatLevel.newest()))
    _, views, *_ = array.buffers()
    # Length, first bytes, number of the buffer, place in it; a null has no length.
    fields = np.frombuffer(views, np.uint32, 4 * len(uids), 16 * array.offset).reshape(-1, 4)
    if uids.null_count() or (fields[:, 0] != UID_BYTES).any():
        raise _other_lengths(uids)
    return fields[:, 1]


def _other_lengths(uids: pl.Series) -> ValueError:
    return ValueError(f"a uid is {UID_BYTES} bytes; {uids.name!r} holds others")


def _blocks(uids: pl.Series) -> Iterator[tuple[int, npt.NDArray[np.integer]]]:
    """The halves of some uids at a time, and where these begin."""
    if uids.null_count() or not (uids.bin.size() == UID_BYTES).all():
        raise _other_lengths(uids)
    for start in range(0, len(uids), _BLOCK):
        yield start, _big_endian(uids[start : start + _BLOCK])


def _big_endian(uids: pl.Series) -> npt.NDArray[np.integer]:
    """The halves of some uids as they are stored, of a type that is converted when it is copied.

    Arrow's old binary type has the bytes one after the other, twice as fast as polars'
    `bin.reinterpret`; of a few uids at a time, since fresh memory would cost more than that.
    """
    array = cast("Any", uids.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()))
    _, offsets, content = array.buffers()
    start = int(np.frombuffer(offsets, np.int64)[array.offset])
    return np.frombuffer(content, ">u8", 2 * len(uids), start).reshape(-1, 2)


def uid_hashes(seed: int, purpose: str, uids: pl.Series) -> UInt64s:
    """64 uniform bits for each uid.

    blake2b over (purpose, seed) gives two keys; splitmix64's finaliser mixes them with the halves
    of the uid. Equal seeds with different purposes are independent, so that a random subset and a
    random choice within it do not coincide. blake2b over each uid would do 0.8 million a second,
    this does about 100 million.

    Args:
        seed: Any integer.
        purpose: What the randomness decides.
        uids: Binary, 16 bytes each.
    """
    digest = hashlib.blake2b(f"{purpose}:{seed}".encode(), digest_size=16).digest()
    first_key, last_key = (np.uint64(int.from_bytes(part)) for part in (digest[:8], digest[8:]))
    first, last = uid_halves(uids).T
    return mix64(mix64(first ^ first_key) ^ last ^ last_key)


def mix64(values: UInt64s) -> UInt64s:
    """splitmix64's finaliser: a bijection of 64-bit integers that spreads every bit."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def in_own_memory(rows: pl.DataFrame) -> pl.DataFrame:
    """The same rows, to be kept where few of many were drawn.

    What polars chooses of texts and bytes holds on to the memory of all that it was chosen from.
    """
    held = rows.select(selectors.string() | selectors.binary())
    return rows.with_columns(pl.Series(one.name, one.to_list(), one.dtype) for one in held)
