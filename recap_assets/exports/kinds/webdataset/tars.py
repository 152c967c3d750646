"""A shard as a tar: written a member at a time, the same bytes for the same samples."""

import tarfile
from collections.abc import Iterator, Mapping
from typing import cast

from recap_assets.exports.samples import Sample, told_as_json
from recap_assets.storage.folders import Folder, HashedFile, WrittenFile

BLOCK = 512
RECORD = 10_240
MEMBER_MODE = 0o444


class Tars:
    """`00000012.tar` with `.jpg`, `.json`, `.txt`, and `00000012_stats.json` beside it.

    Equal samples give equal bytes: times are 0, modes and owners fixed.
    """

    with_images = True
    options: Mapping[str, object] = {}

    def record_name(self, number: int) -> str:
        """DataComp's name; a tar without this file is not complete."""
        return f"{number:08d}_stats.json"

    def shard_name(self, number: int) -> str:
        """DataComp's name: eight digits."""
        return f"{number:08d}.tar"

    def write(self, folder: Folder, number: int, samples: Iterator[Sample]) -> list[WrittenFile]:
        """Write one tar, a sample at a time."""
        name = self.shard_name(number)
        with folder.writing(name) as file:
            for sample in samples:
                members = self.members(sample)
                for extension in sorted(members):
                    add_member(file, f"{sample.key}.{extension}", members[extension])
            file.write(bytes(2 * BLOCK))
            file.write(bytes(-file.n_bytes % RECORD))
        return [file.written(name)]

    def members(self, sample: Sample) -> Mapping[str, bytes]:
        """The files of a sample, by their endings."""
        return {
            sample.extension: cast(bytes, sample.image),
            "json": told_as_json(sample.row),
            "txt": sample.row["text"].encode(),
        }


def add_member(file: HashedFile, name: str, content: bytes) -> None:
    """Append a file to a tar in the making: a ustar header, the bytes, zeros to the next block."""
    file.write(_header(name, len(content)))
    file.write(content)
    file.write(bytes(-len(content) % BLOCK))


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
