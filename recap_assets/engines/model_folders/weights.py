"""What safetensors files say that they hold, by their headers alone."""

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from recap_assets.engines.errors import ModelFolderError
from recap_assets.engines.model_folders.configs import read_config
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.files import check_regular
from recap_assets.untrusted.json_text import parse_json

MAX_HEADER_BYTES = 64 * 2**20
"""A tensor takes about 100 bytes of the header."""

INDEX = "model.safetensors.index.json"
_LENGTH = 8
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16,
    "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
_REMEDY = "Download the file again"


@dataclass(frozen=True)
class Weights:
    """What some files hold in all.

    Attributes:
        n_tensors: Tensors.
        n_elements: Numbers in them.
        n_bytes: Bytes of the files.
    """

    n_tensors: int
    n_elements: int
    n_bytes: int

    def __add__(self, other: "Weights") -> "Weights":
        return Weights(
            self.n_tensors + other.n_tensors,
            self.n_elements + other.n_elements,
            self.n_bytes + other.n_bytes,
        )


def read_weights(paths: Iterable[Path]) -> Weights:
    """What safetensors files hold together.

    Raises:
        ModelFolderError: One is missing, no safetensors file, cut off, or claims more than it has.
    """
    return sum(map(_read, paths), Weights(0, 0, 0))


def read_shapes(paths: Iterable[Path]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of safetensors files that `read_weights` found whole, by its name.

    Raises:
        ModelFolderError: A file was replaced meanwhile, and is damaged.
    """
    return {
        name: tuple(tensor["shape"])
        for path in paths
        for name, tensor in _whole_header(path)[0].items()
    }


def weight_files(folder: Path) -> list[Path]:
    """`model.safetensors`, or the files that its index names, all of them in the folder.

    Raises:
        ModelFolderError: There are none, or the index names something else.
    """
    if (folder / "model.safetensors").exists():
        return [folder / "model.safetensors"]
    index = folder / INDEX
    if not index.exists():
        msg = f"{folder}: it has no model.safetensors. Only safetensors are read"
        raise ModelFolderError(msg)
    named = read_config(index, MAX_HEADER_BYTES).get("weight_map")
    names = set(cast("dict[str, object]", named).values()) if isinstance(named, dict) else set()
    if not names or not all(map(_is_file_name, names)):
        msg = f"{index}: weight_map names no safetensors files of this folder. {_REMEDY}"
        raise ModelFolderError(msg)
    return [folder / str(name) for name in sorted(map(str, names))]


def _is_file_name(name: object) -> bool:
    return isinstance(name, str) and Path(name).name == name and name.endswith(".safetensors")


def _read(path: Path) -> Weights:
    header, n_elements, size = _whole_header(path)
    return Weights(len(header), n_elements, size)


def _whole_header(path: Path) -> tuple[dict[str, dict[str, Any]], int, int]:
    """What a file says that it holds, the numbers in it, and its bytes."""
    try:
        check_regular(path)
        size = path.stat().st_size
        header, start = _header(path, size)
        n_elements = sum(_elements(name, tensor) for name, tensor in header.items())
        _check_extent(header, start, size)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise ModelFolderError(msg) from error
    except UntrustedError as error:
        msg = f"{path}: it is no whole safetensors file: {error}. {_REMEDY}"
        raise ModelFolderError(msg) from error
    return header, n_elements, size


def _header(path: Path, size: int) -> tuple[dict[str, dict[str, Any]], int]:
    """What it holds, and the byte at which the tensors begin."""
    with path.open("rb") as file:
        start = file.read(_LENGTH)
        length = struct.unpack("<Q", start)[0] if len(start) == _LENGTH else size
        if length > min(MAX_HEADER_BYTES, size - _LENGTH):
            msg = f"its header claims {length:,} bytes of {size:,}"
            raise UntrustedError(msg)
        content = parse_json(file.read(length), MAX_HEADER_BYTES)
    if not isinstance(content, dict):
        msg = "its header is no mapping"
        raise UntrustedError(msg)
    header = cast("dict[str, dict[str, Any]]", content)
    header.pop("__metadata__", None)
    return header, _LENGTH + length


def _elements(name: str, tensor: object) -> int:
    given = cast("dict[str, Any]", tensor) if isinstance(tensor, dict) else {}
    shape, bits, offsets = given.get("shape"), _BITS.get(str(given.get("dtype"))), _offsets(given)
    if not isinstance(shape, list) or bits is None or offsets is None:
        msg = f"tensor {name[:80]!r} has no shape, type and place"
        raise UntrustedError(msg)
    sides = cast("list[object]", shape)
    if not all(isinstance(side, int) and 0 <= side < 1 << 48 for side in sides):
        msg = f"tensor {name[:80]!r} has the shape {str(sides)[:80]}"
        raise UntrustedError(msg)
    n_elements = math.prod(cast("list[int]", sides))
    if -(-n_elements * bits // 8) != offsets[1] - offsets[0]:
        msg = f"tensor {name[:80]!r} of shape {sides} has {offsets[1] - offsets[0]:,} bytes"
        raise UntrustedError(msg)
    return n_elements


def _offsets(given: dict[str, Any]) -> tuple[int, int] | None:
    found = given.get("data_offsets")
    if not isinstance(found, list) or len(found) != 2:
        return None
    start, end = found
    whole = isinstance(start, int) and isinstance(end, int) and 0 <= start <= end
    return (start, end) if whole else None


def _check_extent(header: dict[str, dict[str, Any]], start: int, size: int) -> None:
    places = sorted(tensor["data_offsets"] for tensor in header.values())
    end = start + max((end for _, end in places), default=0)
    if end > size:
        msg = f"its tensors end at byte {end:,}, the file at {size:,}"
        raise UntrustedError(msg)
    # Of tensors that share bytes a small file could have a thousand times its own size.
    if any(start < before for (_, before), (start, _) in pairwise(places)):
        msg = "two of its tensors share bytes"
        raise UntrustedError(msg)
