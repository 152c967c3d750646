"""Tars in the making: a member at a time, the same bytes for the same members."""

import tarfile
from collections.abc import Mapping

from recap_assets.storage.folders import HashedFile

BLOCK = 512
RECORD = 10_240
MEMBER_MODE = 0o444


def add_member(file: HashedFile, name: str, content: bytes) -> None:
    """Append a file to a tar in the making: a ustar header, the bytes, zeros to the next block."""
    add_members(file, {name: content})


def add_members(file: HashedFile, members: Mapping[str, bytes]) -> None:
    """Append files, in one piece: most are shorter than what a call of `write` costs."""
    file.write(b"".join(part for name in members for part in _member(name, members[name])))


def end_of_tar(n_bytes: int) -> bytes:
    """The zeros that end a tar of so many bytes: two blocks, and up to a whole record."""
    end = n_bytes + 2 * BLOCK
    return bytes(2 * BLOCK + -end % RECORD)


def _template() -> bytes:
    member = tarfile.TarInfo()
    member.mode = MEMBER_MODE
    return member.tobuf(tarfile.USTAR_FORMAT)


_TEMPLATE = _template()
_BETWEEN, _BEFORE_SUM, _REST = _TEMPLATE[100:124], _TEMPLATE[136:148], _TEMPLATE[156:]
_FIXED_SUM = sum(_BETWEEN + _BEFORE_SUM + b" " * 8 + _REST)


def _member(name: str, content: bytes) -> tuple[bytes, bytes, bytes]:
    return _header(name, len(content)), content, bytes(-len(content) % BLOCK)


def _header(name: str, size: int) -> bytes:
    """What `tarfile` writes for such a member, in less time: names and sizes are short here."""
    named, sized = name.encode("ascii").ljust(100, b"\0"), b"%011o\0" % size
    checksum = b"%06o\0 " % (_FIXED_SUM + sum(named) + sum(sized))
    return b"".join((named, _BETWEEN, sized, _BEFORE_SUM, checksum, _REST))
