"""Numpy's arrays from outside: the header is weighed before anything is allocated for it.

The format: numpy, doc/neps/nep-0001-npy-format.rst. Objects, which numpy keeps pickled and whose
reading runs their code, are never loaded.
"""

import lzma
import struct
import tokenize
import zipfile
import zlib
from typing import IO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from recap_assets.untrusted.errors import UntrustedError

MAX_ARRAY_BYTES = 4 * 2**30
"""Of one array, unpacked."""

MAX_UNPACKED_BYTES = 256 * 2**20
"""Of one array in an npz file; larger ones by MAX_EXPANSION."""

MAX_EXPANSION = 32
"""How many times the size that it is packed to an array may take: floats hardly pack at all."""

NPY_MAGIC = b"\x93NUMPY"

_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_PACKED_AS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (
    ValueError, SyntaxError, TypeError, LookupError, EOFError, RecursionError, MemoryError,
    OverflowError, struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile,
    NotImplementedError, RuntimeError, tokenize.TokenError,
)  # fmt: skip


class ArrayHeader(NamedTuple):
    """What an array says of itself.

    Attributes:
        shape: Its lengths.
        dtype: Of its numbers; never objects.
        n_bytes: What its data takes.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    n_bytes: int


def read_header(file: IO[bytes], max_bytes: int = MAX_ARRAY_BYTES) -> ArrayHeader:
    """The header at the start of an array's file, which is left where the data begins.

    Raises:
        UntrustedError: There is none; the array holds objects, or takes more than `max_bytes`.
    """
    try:
        version = np.lib.format.read_magic(file)
        shape, _, dtype = _READERS[version](file)
    except _DAMAGE as error:
        msg = f"it is no array of numpy ({_first_line(error)})"
        raise UntrustedError(msg) from error
    if dtype.hasobject:
        msg = "it is an array of pickled objects, which are not loaded: they could run code"
        raise UntrustedError(msg)
    n_bytes = dtype.itemsize
    for length in shape:
        n_bytes *= length
    if n_bytes > max_bytes or min(shape, default=0) < 0:
        msg = f"its shape {shape} asks for {n_bytes:,} bytes, at most {max_bytes:,} are taken"
        raise UntrustedError(msg)
    return ArrayHeader(tuple(shape), cast("np.dtype[np.generic]", dtype), n_bytes)


def read_array(file: IO[bytes], max_bytes: int = MAX_ARRAY_BYTES) -> NDArray[np.generic]:
    """The array in a file that can be sought in.

    Raises:
        UntrustedError: As `read_header`; or the file is longer or shorter than the array.
    """
    header = read_header(file, max_bytes)
    start = file.tell()
    size = file.seek(0, 2) - start
    if size != header.n_bytes:
        msg = f"its header asks for {header.n_bytes:,} bytes of data, but {size:,} follow"
        raise UntrustedError(msg)
    file.seek(0)
    return _loaded(file)


class Archive:
    """An npz: arrays by name in a zip file.

    Raises:
        UntrustedError: It is no zip file.
    """

    def __init__(self, file: IO[bytes]) -> None:
        try:
            self._size = file.seek(0, 2)
            self._zip = zipfile.ZipFile(file)
        except _DAMAGE as error:
            msg = f"it is no npz file, or cut off ({_first_line(error)})"
            raise UntrustedError(msg) from error

    @property
    def names(self) -> list[str]:
        """The arrays that it holds."""
        return [name.removesuffix(".npy") for name in self._zip.namelist()]

    def header(self, name: str) -> ArrayHeader:
        """The header of one array.

        Raises:
            UntrustedError: There is no such array, it is encrypted or packed in a way that numpy
                does not write, or unpacks to much; and as `read_header`.
        """
        with self._opened(name) as member:
            header = read_header(member)
            data = self._zip.getinfo(f"{name}.npy").file_size - member.tell()
        if data != header.n_bytes:
            msg = f"its array {name!r} asks for {header.n_bytes:,} bytes, but {data:,} are in it"
            raise UntrustedError(msg)
        packed = min(self._zip.getinfo(f"{name}.npy").compress_size, self._size)
        if header.n_bytes > max(MAX_UNPACKED_BYTES, MAX_EXPANSION * packed):
            msg = f"its array {name!r} unpacks from {packed:,} to {header.n_bytes:,} bytes"
            raise UntrustedError(msg)
        return header

    def array(self, name: str) -> NDArray[np.generic]:
        """One array.

        Raises:
            UntrustedError: As `header`; or its data is damaged.
        """
        self.header(name)
        with self._opened(name) as member:
            return _loaded(member)

    def _opened(self, name: str) -> IO[bytes]:
        try:
            info = self._zip.getinfo(f"{name}.npy")
        except KeyError as error:
            names = ", ".join(sorted(self._zip.namelist())[:8]) or "nothing"
            msg = f"no readable array {name!r}: it holds {names}"
            raise UntrustedError(msg) from error
        if info.flag_bits & 1 or info.compress_type not in _PACKED_AS:
            msg = f"no readable array {name!r}: it is encrypted, or packed as numpy never does"
            raise UntrustedError(msg)
        try:
            return self._zip.open(info)
        except _DAMAGE as error:
            msg = f"no readable array {name!r}: it is damaged ({_first_line(error)})"
            raise UntrustedError(msg) from error


def _loaded(file: IO[bytes]) -> NDArray[np.generic]:
    try:
        return cast("NDArray[np.generic]", np.lib.format.read_array(file, allow_pickle=False))
    except _DAMAGE as error:
        msg = f"its array is damaged ({_first_line(error)})"
        raise UntrustedError(msg) from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
