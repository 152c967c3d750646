"""The little of Thrift's compact protocol that Parquet's page headers need.

The specification: apache/thrift, doc/specs/thrift-compact-protocol.md.
"""

from typing import TypeAlias

from recap_assets.untrusted.errors import UntrustedError

Value: TypeAlias = "int | bytes | list[Value] | dict[int, Value]"

MAX_NESTING = 8
"""Structs in each other; a page header has three."""

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = range(4, 7)
_LONG_LIST = 15


class HeaderEndsError(UntrustedError):
    """The bytes given end before the struct does."""


def read_struct(data: bytes) -> tuple[dict[int, Value], int]:
    """The fields of the struct at the start of `data`, by their numbers, and its length in bytes.

    Raises:
        HeaderEndsError: More bytes are needed.
        UntrustedError: It is no such struct.
    """
    reader = _Reader(data)
    return reader.struct(MAX_NESTING), reader.at


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def struct(self, depth: int) -> dict[int, Value]:
        fields: dict[int, Value] = {}
        number = 0
        while head := self._byte():
            delta, kind = head >> 4, head & 15
            number = number + delta if delta else self._integer()
            # A field that is true or false has its value in its head.
            fields[number] = int(kind == _TRUE) if kind <= _FALSE else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Value:
        if kind in _INTEGERS:
            return self._integer()
        if kind <= _BYTE:
            return self._byte()
        if kind == _DOUBLE:
            return self._bytes(8)
        if kind == _BINARY:
            return self._bytes(self._unsigned())
        if depth and kind in {_LIST, _SET}:
            return self._list(depth - 1)
        if depth and kind == _STRUCT:
            return self.struct(depth - 1)
        msg = f"a page header has a field of the unknown kind {kind}, or nests too deep"
        raise UntrustedError(msg)

    def _list(self, depth: int) -> list[Value]:
        head = self._byte()
        size, kind = head >> 4, head & 15
        size = self._unsigned() if size == _LONG_LIST else size
        # Each element takes a byte at least, so that the data bounds the list.
        if size > len(self._data):
            msg = "a page header is cut off"
            raise HeaderEndsError(msg)
        return [self._value(kind, depth) for _ in range(size)]

    def _integer(self) -> int:
        zigzag = self._unsigned()
        return (zigzag >> 1) ^ -(zigzag & 1)

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                msg = "a page header has a number of more than 64 bits"
                raise UntrustedError(msg)

    def _byte(self) -> int:
        return self._bytes(1)[0]

    def _bytes(self, size: int) -> bytes:
        found = self._data[self.at : self.at + size]
        if len(found) < size:
            msg = "a page header is cut off"
            raise HeaderEndsError(msg)
        self.at += size
        return found
