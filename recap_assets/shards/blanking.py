"""Samples taken out of a tar whose other samples stay where they are, byte for byte."""

import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

from recap_assets.shards.files import LocalFile
from recap_assets.shards.tar_index import BLOCK, Member, group_members, index_tar
from recap_assets.storage.files import patched_file

ENDING = "forgotten"
_ZEROS = 2**20


class _Span(NamedTuple):
    """From the first header of a member to the end of its padding, and what it becomes."""

    start: int
    end: int
    name: str


def blank(path: Path, names: Mapping[str, str]) -> int:
    """Replace samples by members of zeros; the tar is replaced whole, or not at all.

    Offsets and the length of the file stay, so that what was indexed of the others holds. A reader
    finds one sample without an image for each, `NAME.forgotten`.

    Args:
        path: The tar.
        names: By the key of each sample what its members are named from then on.

    Returns:
        Members that were replaced.
    """
    file = LocalFile(str(path))
    try:
        spans = list(_spans(index_tar(file).members, names))
    finally:
        file.close()
    if spans:
        with patched_file(path) as copy, copy.open("rb+") as out:
            for span in spans:
                _write(out, span)
    return len(spans)


def _spans(members: list[Member], names: Mapping[str, str]) -> Iterator[_Span]:
    ordered = sorted(members, key=lambda member: member.offset)
    starts = {}
    end = 0
    for member in ordered:
        starts[member.offset] = end
        end = _end(member)
    for sample in group_members(members):
        if (name := names.get(sample.key)) is None:
            continue
        for number, member in enumerate(sample.members.values()):
            # A sample's second member must not repeat the first one's name.
            ending = f"{ENDING}{sample.repeat or ''}{'x' * number}"
            yield _Span(starts[member.offset], _end(member), f"{name}.{ending}")


def _end(member: Member) -> int:
    return -(-(member.offset + member.size) // BLOCK) * BLOCK


def _write(out: BinaryIO, span: _Span) -> None:
    info = tarfile.TarInfo(span.name)
    info.size = span.end - span.start - BLOCK
    out.seek(span.start)
    out.write(info.tobuf(tarfile.USTAR_FORMAT))
    left = info.size
    while left:
        left -= out.write(bytes(min(left, _ZEROS)))
