"""Parquet files whose first page claims what it likes, in Thrift's compact protocol."""

from pathlib import Path

FIRST_PAGE = 4
_FIELD, _STRUCT_AFTER_NEXT, _STOP = 0x15, 0x2C, 0x00


def claim(path: Path, *, n_bytes: int = 1, n_values: int = 1) -> None:
    """Overwrite the header of a file's first page: what it unpacks to, and how many values."""
    page = [_i32(number) for number in (0, n_bytes, 1)]  # a page of data, its bytes, those stored
    values = [_i32(number) for number in (n_values, 0, 3, 3)]  # plain; levels in runs
    header = bytes([*b"".join(page), _STRUCT_AFTER_NEXT, *b"".join(values), _STOP, _STOP])
    with path.open("r+b") as file:
        file.seek(FIRST_PAGE)
        file.write(header)


def _i32(number: int) -> bytes:
    left, field = 2 * number, [_FIELD]
    while left >= 0x80:
        field.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*field, left])
