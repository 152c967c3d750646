"""Uids: bytes and hex, randomness by (seed, uid), and DataComp's subset files."""

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from recap_assets.artefacts.draws import (
    UInt32s,
    UInt64s,
    first_quarters,
    uid_halves,
    uid_hashes,
)
from recap_assets.specs.mixes import RandomSubset
from recap_assets.untrusted.arrays import NPY_MAGIC, read_array
from recap_assets.untrusted.decoding import decode_text
from recap_assets.untrusted.errors import RecapError, UntrustedError
from recap_assets.untrusted.files import check_regular
from recap_assets.untrusted.showing import one_line
from recap_assets.untrusted.text_blocks import line_blocks, opened, utf8_blocks
from recap_assets.untrusted.uid_forms import uids_of

SUBSET_DTYPE = np.dtype("u8,u8")
_BLOCK = 1 << 16
_MARK_BITS = 24
_MERGED = 1 << 20
_LOOK_BYTES = 4096

MAX_SUBSET_BYTES = 16 * 2**28
"""Of a subset file that is an array: 268 million uids."""

MAX_TEXT_BYTES = 2 * 2**30
"""Of one that is text: 65 million uids."""


class SubsetFileError(RecapError, ValueError):
    """A file of uids cannot be read. The text names the file and what is wrong with it."""


def to_hex(uids: pl.Series) -> pl.Series:
    """The 32 lower-case hex digits that people read."""
    return uids.bin.encode("hex")


def from_hex(uids: pl.Series) -> pl.Series:
    """16 bytes from 32 hex digits or a UUID; upper case is accepted.

    Raises:
        ValueError: If one is neither.
    """
    found = uids_of(uids)
    wrong = uids.filter(found.is_null())
    if len(wrong):
        msg = f"a uid is 32 hex digits, not {one_line(repr(wrong[0]), 200)}"
        raise ValueError(msg)
    return found


def has_repeats(uids: pl.Series) -> bool:
    """Whether a uid is there twice; much faster than counting distinct ones.

    Only uids are compared whose first 4 bytes another one has: a few of a million.
    """
    begins = first_quarters(uids)
    ordered = np.sort(begins)
    shared = ordered[1:][_equal_neighbours(ordered)]
    if not len(shared):
        return False
    among = uids.gather(np.flatnonzero(_may_be_in(shared, begins)))
    return among.n_unique() < len(among)


def _may_be_in(few: UInt32s, numbers: UInt32s) -> npt.NDArray[np.bool_]:
    """True for each number that is one of a few, and for some hundredths of the others."""
    bits = min(_MARK_BITS, len(few).bit_length() + 6)
    marked = np.zeros(1 << bits, np.bool_)
    marked[few >> np.uint32(32 - bits)] = True
    found = np.empty(len(numbers), np.bool_)
    for start in range(0, len(numbers), _BLOCK):
        block = numbers[start : start + _BLOCK] >> np.uint32(32 - bits)
        np.take(marked, block, out=found[start : start + _BLOCK])
    return found


def uid_uniform(seed: int, uids: pl.Series, purpose: str = "") -> npt.NDArray[np.float64]:
    """One number in [0, 1) for each uid, a function of (seed, purpose, uid) alone.

    Args:
        seed: Any integer.
        uids: Binary, 16 bytes each.
        purpose: What the number decides; numbers for different purposes are independent.
    """
    return (uid_hashes(seed, purpose, uids) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def is_within(subset: RandomSubset, uids: pl.Series) -> pl.Series:
    """True for the uids of a random part of the pool; larger parts contain smaller ones."""
    return pl.Series(subset_draw(subset, uids) < subset.fraction)


def subset_draw(subset: RandomSubset, uids: pl.Series) -> npt.NDArray[np.float64]:
    """One number in [0, 1) for each uid; those below the subset's fraction are in it."""
    return uid_uniform(subset.seed, uids, "subset")


def subset_array(uids: pl.Series) -> npt.NDArray[np.void]:
    """DataComp's subset: (first 8 bytes, last 8 bytes) of each uid, sorted; repeats stay."""
    halves = uid_halves(uids)
    # One number holds the leading bits and the row, so that a plain sort yields the order.
    row_bits = np.uint64(max(len(halves) - 1, 1).bit_length())
    keys = halves[:, 0] >> row_bits << row_bits
    keys |= np.arange(len(halves), dtype=np.uint64)
    keys.sort()
    is_tied = _equal_neighbours(keys, int(row_bits))
    keys &= (np.uint64(1) << row_bits) - np.uint64(1)
    ranked = np.take(halves, keys.view(np.int64), axis=0)
    if is_tied.any():
        tied = np.flatnonzero(np.append(is_tied, False) | np.append(False, is_tied))
        ranked[tied] = ranked[tied][np.lexsort((ranked[tied, 1], ranked[tied, 0]))]
    return ranked.view(SUBSET_DTYPE).reshape(-1)


def _equal_neighbours(keys: UInt32s | UInt64s, ignored_bits: int = 0) -> npt.NDArray[np.bool_]:
    # In blocks: at ten million keys, fresh memory costs more than the arithmetic.
    equal = np.empty(max(len(keys) - 1, 0), np.bool_)
    for start in range(0, len(equal), _BLOCK):
        block = keys[start : start + _BLOCK + 1] >> keys.dtype.type(ignored_bits)
        np.equal(block[1:], block[:-1], out=equal[start : start + _BLOCK])
    return equal


def write_subset(path: str | Path, uids: pl.Series) -> None:
    """Write a set of uids, sorted: DataComp's subset file (`.npy`) or one hex uid a line (`.txt`).

    The file appears whole or not at all. A uid that is listed k times stays k times, which
    DataComp's resharder reads as upsampling.

    Raises:
        SubsetFileError: If the name ends otherwise.
        OSError: If it cannot be written; nothing is left behind.
    """
    path = Path(path)
    array = subset_array(uids)
    match path.suffix:
        case ".npy":
            _write_whole(path, lambda file: np.save(file, array, allow_pickle=False))
        case ".txt":
            lines = to_hex(_uids_of(array)).to_list()
            text = "".join(f"{line}\n" for line in lines).encode()
            _write_whole(path, lambda file: file.write(text))
        case _:
            msg = f"{path}: a set of uids is written as .npy or .txt"
            raise SubsetFileError(msg)


def write_merged(file: IO[bytes], parts: Sequence[npt.NDArray[np.void]]) -> None:
    """Write sorted subsets as one, the same bytes as `write_subset` gives of all their uids.

    Memory: what the parts take (little, where they are memory maps) and about a million uids.
    """
    total = sum(len(part) for part in parts)
    header = np.lib.format.header_data_from_array_1_0(np.empty(0, SUBSET_DTYPE))
    np.lib.format.write_array_header_1_0(file, {**header, "shape": (total,)})
    bits = (total // _MERGED).bit_length()
    edges = [i << (64 - bits) for i in range(1, 1 << bits)]
    cuts = [_cuts(part, np.array(edges, np.uint64)) for part in parts]
    for i in range(len(edges) + 1):
        blocks = [p[c[i] : c[i + 1]] for p, c in zip(parts, cuts, strict=True) if c[i] < c[i + 1]]
        if blocks:
            block = np.concatenate(blocks)
            file.write(block[np.lexsort((block["f1"], block["f0"]))].tobytes())


def _cuts(part: npt.NDArray[np.void], edges: UInt64s) -> npt.NDArray[np.int64]:
    """Where a sorted part reaches each edge of the first half."""
    return np.concatenate([[0], np.searchsorted(part["f0"], edges), [len(part)]])


def read_subset(path: str | Path) -> pl.Series:
    """The uids of a subset file, in the file's order: a binary series named `uid`.

    `.txt` holds a uid a line, as hex digits or as a UUID. Any other file is DataComp's `u8,u8`
    array, as `.npy` or, without numpy's header, as the bare sorted memory map that its resharder
    also takes.

    Raises:
        SubsetFileError: If the file is missing, truncated, too large or of another type.
    """
    path = Path(path)
    try:
        if path.suffix == ".txt":
            return _read_lines(path)
        return _uids_of(_read_array(path))
    except (OSError, ValueError, EOFError) as error:
        msg = f"{path}: not a set of uids: {error}"
        raise SubsetFileError(msg) from error


def _read_lines(path: Path) -> pl.Series:
    """The uids of a file of lines, block by block: as texts they take many times their room."""
    parts = [pl.Series("uid", [], dtype=pl.Binary)]
    left = MAX_TEXT_BYTES
    with opened(path, packed=False) as stream:
        for lines in line_blocks(utf8_blocks(stream)):
            left -= len(lines.data)
            if lines.overlong is not None or left < 0:
                what = f"more than {MAX_TEXT_BYTES:,} bytes"
                msg = f"it has {what if left < 0 else f'no uid in line {lines.overlong:,}'}"
                raise UntrustedError(msg)
            parts.append(_uids_in(lines.data))
    return pl.concat(parts)


def _uids_in(lines: bytes) -> pl.Series:
    text = decode_text(lines).text
    if text is None:
        msg = "it is no text"
        raise UntrustedError(msg)
    return from_hex(pl.Series("uid", text.split(), dtype=pl.String))


def _read_array(path: Path) -> npt.NDArray[np.void]:
    check_regular(path)
    with path.open("rb") as file:
        start = file.read(_LOOK_BYTES)
        file.seek(0)
        if not start.startswith(NPY_MAGIC):
            return _bare_map(start, file)
        array = read_array(file, MAX_SUBSET_BYTES)
    if array.dtype != SUBSET_DTYPE or array.ndim != 1:
        msg = f"the array is {array.ndim}-dimensional of {array.dtype}, not 1 of u8,u8"
        raise UntrustedError(msg)
    return cast("npt.NDArray[np.void]", array)


def _bare_map(start: bytes, file: IO[bytes]) -> npt.NDArray[np.void]:
    """An array without a header, which any file of such a length could be: so it must look so."""
    size = file.seek(0, os.SEEK_END)
    if size % SUBSET_DTYPE.itemsize or size > MAX_SUBSET_BYTES:
        msg = f"its {size:,} bytes are no multiple of {SUBSET_DTYPE.itemsize}, or too many"
        raise UntrustedError(msg)
    if kind := _other_kind(start):
        msg = f"it has no header of numpy and looks like {kind}"
        raise UntrustedError(msg)
    file.seek(0)
    array = np.fromfile(file, SUBSET_DTYPE)
    first, last = array["f0"], array["f1"]
    falls = (first[1:] < first[:-1]) | ((first[1:] == first[:-1]) & (last[1:] < last[:-1]))
    if falls.any():
        msg = "it has no header of numpy, and its numbers are not sorted as such a map's are"
        raise UntrustedError(msg)
    return array


def _other_kind(start: bytes) -> str | None:
    is_pickle = start[:1] == b"\x80" and start[1:2] in {b"\2", b"\3", b"\4", b"\5"}
    if is_pickle and (start[2:3] == b"\x95" or start.rstrip(b".\0 \n") != start):
        return "a pickle, which is not loaded: it could run code"
    if start.startswith((b"PK\3\4", b"\x1f\x8b", b"PAR1", b"%PDF")):
        return "another kind of file"
    text = decode_text(start).text
    if text and all(one.isprintable() or one.isspace() for one in text):
        return "text, such as a page in place of the file"
    return None


def _uids_of(array: npt.NDArray[np.void]) -> pl.Series:
    big_endian = array.astype([("f0", ">u8"), ("f1", ">u8")])
    uids = big_endian.view("V16").tolist()
    return pl.Series("uid", uids, dtype=pl.Binary)


def _write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
