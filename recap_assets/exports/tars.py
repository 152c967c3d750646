"""Tars in the making: a member at a time, the same bytes for the same members."""

import tarfile

from recap_assets.storage.folders import HashedFile

BLOCK = 512
RECORD = 10_240
MEMBER_MODE = 0o444


def add_member(file: HashedFile, name: str, content: bytes) -> None:
    """Append a file to a tar in the making: a ustar header, the bytes, zeros to the next block."""
    file.write(_header(name, len(content)))
    file.write(content)
    file.write(bytes(-len(content) % BLOCK))


def end_of_tar(n_bytes: int) -> bytes:
    """The zeros that end a tar of so many bytes: two blocks, and up to a whole record."""
    end = n_bytes + 2 * BLOCK
    return bytes(2 * BLOCK + -end % RECORD)


def _template() -> bytes:
    member = tarfile.TarInfo()
    member.mode = MEMBER_MODE
    return member.tobuf(tarfile.USTAR_FORMAT)


_TEMPLATE = _template()
_NAME, _SIZE, _SUM = slice(0, 100), slice(124, 136), slice(148, 156)


def _header(name: str, size: int) -> bytes:
    """What `tarfile` writes for such a member, in less time: names and sizes are short here."""
    header = bytearray(_TEMPLATE)
    header[_NAME] = name.encode("ascii").ljust(100, b"\0")
    header[_SIZE] = b"%011o\0" % size
    header[_SUM] = b" " * 8
    header[_SUM] = b"%06o\0 " % sum(header)
    return bytes(header)
