"""An index of a tar from its headers alone: name, offset and size of every member.

Python's tarfile and the readers built on it stop at, or quietly mangle, what damaged shards hold:
a cut end, duplicate names, samples whose members are not together. Here the readable part is
kept and the damage named. Nothing is ever extracted. Formats: ustar, pax, GNU.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from recap_assets.shards.files import RangeFile
from recap_assets.shards.image_headers import IMAGE_EXTENSIONS, UNREAD_EXTENSIONS

BLOCK = 512
MAX_NAME_BYTES = 64 * 2**10
MAX_PAX_BYTES = 2**20
MAX_MEMBERS = 5_000_000
MAX_ZEROS = 64 * 2**20
"""Empty bytes behind an end mark that are passed over in search of what may follow."""

TarEnd = Literal["complete", "no_end_mark", "truncated", "bad_header", "too_many_members"]
"""complete: up to the last end mark. no_end_mark: the file ends where a header could have followed.
truncated: it ends inside a header or a member. bad_header: a header with a wrong checksum, size or
name, or something else behind an end mark; what follows is not read. too_many_members: more than
MAX_MEMBERS."""


class Member(NamedTuple):
    """A regular file in a tar; `offset` is where its bytes begin."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class TarIndex:
    """The readable part of a tar.

    Attributes:
        members: Complete regular members, by offset.
        end: How the readable part ends.
        end_offset: Where it ends: of the end mark, or of the header that could not be followed.
        cut_member: Name of the member that a truncated file ends in, where its header is whole.
        without_data: Names of links, devices and the like, which have no bytes of their own.
    """

    members: list[Member]
    end: TarEnd
    end_offset: int
    cut_member: str | None = None
    without_data: tuple[str, ...] = ()


@dataclass
class Sample:
    """Members of one key; with `repeat` > 0 the members that repeat an (key, extension).

    Attributes:
        key: The members' common name; where the name has no key, the name.
        repeat: See above.
        members: By extension, whose last part is in lower case.
        without_data: Extensions that only a link, or another thing without bytes, has.
        has_key: Whether the name has a stem and an extension.
    """

    key: str
    repeat: int
    members: dict[str, Member] = field(default_factory=dict)
    without_data: set[str] = field(default_factory=set)
    has_key: bool = True


def split_name(name: str) -> tuple[str, str] | None:
    """Key and lower-case extension by webdataset's rule: the base name splits at its first dot.

    None for what webdataset skips: names without a dot, hidden files, `__meta__` entries.
    """
    folder, slash, base = name.rpartition("/")
    stem, dot, extension = base.partition(".")
    if not stem or not dot or (not slash and name.startswith("__") and name.endswith("__")):
        return None
    return folder + slash + stem, extension.lower()


def group_members(members: Iterable[Member], without_data: Iterable[str] = ()) -> list[Sample]:
    """Samples in the order of their first members, wherever in the tar the others are.

    The n-th member with one (key, extension) belongs to the sample with repeat n - 1. Names split
    at the first dot, as webdataset has it, but for images that are no sample that way: of
    `a.1.jpg, a.1.txt, a.2.jpg, a.2.txt` the keys are `a.1` and `a.2`. A member whose name has no
    key is a sample by itself, so that no member is lost.

    Args:
        members: Members with bytes.
        without_data: Names of those without.
    """
    samples: dict[tuple[str, int], Sample] = {}
    seen: dict[tuple[str, str], int] = {}
    is_dotted = False
    for member in members:
        parts = split_name(member.name)
        if parts is None or "." in parts[1]:
            parts = _split(member.name)
            is_dotted = is_dotted or "." in parts[1]
        repeat = seen.get(parts, 0)
        seen[parts] = repeat + 1
        key, extension = parts
        sample = samples.get((key, repeat))
        if sample is None:
            sample = samples[key, repeat] = Sample(key, repeat, has_key=bool(extension))
        sample.members[extension] = member
    found = list(samples.values())
    if is_dotted:
        found = [part for sample in found for part in _by_last_dot(sample)]
    return _with_links(found, without_data)


def _split(name: str) -> tuple[str, str]:
    """As `split_name`, but only the last part of the extension in lower case; "" without a key."""
    if (parts := split_name(name)) is None:
        return name, ""
    key, extension = parts
    if "." not in extension:
        return parts
    stem, _, last = name[len(key) + 1 :].rpartition(".")
    return key, f"{stem}.{last.lower()}"


def _by_last_dot(sample: Sample) -> list[Sample]:
    """The sample, and before it those of its images that go by the name up to the last dot.

    Where the key has an image of its own, only an image that has company: `a.mask.png` beside
    `a.jpg` is an extra of it, `a.mask.png` with `a.mask.txt` is not.
    """
    stems: dict[str, dict[str, Member]] = {}
    for extension, member in sample.members.items():
        stem, _, last = extension.rpartition(".")
        if stem:
            stems.setdefault(stem, {})[last] = member
    has_image = any(map(_is_image, sample.members))
    found: list[Sample] = []
    for stem, own in stems.items():
        if not any(map(_is_image, own)) or (has_image and all(map(_is_image, own))):
            continue
        found.append(Sample(f"{sample.key}.{stem}", sample.repeat, own))
        for last in own:
            del sample.members[f"{stem}.{last}"]
    return [*found, sample] if sample.members or not found else found


def _is_image(extension: str) -> bool:
    return extension in IMAGE_EXTENSIONS or extension in UNREAD_EXTENSIONS


def _with_links(samples: list[Sample], names: Iterable[str]) -> list[Sample]:
    by_key: dict[str, Sample] = {}
    for name in names:
        if not by_key:
            by_key = {sample.key: sample for sample in reversed(samples)}
        key, extension = _split(name)
        last_dot = name.rpartition(".")
        if last_dot[0] in by_key:
            key, extension = last_dot[0], last_dot[2].lower()
        if key not in by_key:
            by_key[key] = Sample(key, 0, has_key=bool(extension))
            samples.append(by_key[key])
        by_key[key].without_data.add(extension)
    return samples


def index_tar(file: RangeFile) -> TarIndex:
    """Index a tar by its headers; the members' bytes are not read where they are long."""
    return _Scan(file).run()


class _BadHeaderError(Exception):
    pass


class _TruncatedError(Exception):
    def __init__(self, member: str | None = None) -> None:
        super().__init__(member)
        self.member = member


class _Header(NamedTuple):
    name: bytes
    size: int
    kind: bytes


@dataclass
class _Overrides:
    """What extended headers say of the next member."""

    name: bytes | None = None
    size: int | None = None


class _Scan:
    def __init__(self, file: RangeFile) -> None:
        self._file = file
        self._window = b""
        self._window_at = 0
        self._global = _Overrides()
        self._at = 0
        self._without_data: list[str] = []

    def run(self) -> TarIndex:
        members: list[Member] = []
        end, cut = self._read_all(members)
        return TarIndex(members, end, self._at, cut, tuple(self._without_data))

    def _read_all(self, members: list[Member]) -> tuple[TarEnd, str | None]:
        try:
            for member in self._members():
                if len(members) + len(self._without_data) >= MAX_MEMBERS:
                    return "too_many_members", None
                members.append(member)
        except _BadHeaderError:
            return "bad_header", None
        except _TruncatedError as error:
            return "truncated", error.member
        return ("complete" if self._at < self._file.size else "no_end_mark"), None

    def _members(self) -> Iterator[Member]:
        overrides = _Overrides()
        while self._at < self._file.size:
            block = self._read(self._at, BLOCK)
            if not any(block):
                # Tars written one behind another, each with its end mark, are read as one.
                further = self._behind_zeros()
                if further is None:
                    return
                block = self._read(further, BLOCK)
                header, self._at = _parse_header(block), further
            else:
                header = _parse_header(block)
            data_at = self._at + BLOCK
            if header.kind in b"xgLK":
                self._extend(header, data_at, overrides)
                self._at = data_at + _padded(header.size)
                continue
            if header.kind == b"S":
                data_at = self._after_sparse_headers(block, data_at)
            member = self._member(header, data_at, overrides)
            overrides = _Overrides()
            end = data_at + member.size if header.kind not in _WITHOUT_DATA else data_at
            if end > self._file.size:
                raise _TruncatedError(member.name)
            if header.kind in b"\x0007":
                yield member
            elif header.kind not in _OF_NO_SAMPLE and len(self._without_data) < MAX_MEMBERS:
                self._without_data.append(member.name)
            self._at = data_at + _padded(end - data_at)

    def _behind_zeros(self) -> int | None:
        """Where the first block that is not empty begins; None where the file ends before."""
        at, length = self._at, self._file.readahead
        while at < self._file.size:
            if at - self._at > MAX_ZEROS:
                raise _BadHeaderError
            data = self._file.read(at, length)
            if further := data.lstrip(b"\0"):
                return (at + len(data) - len(further)) // BLOCK * BLOCK
            at += max(1, len(data))
            length = min(2 * length, 2**20)
        return None

    def _read(self, offset: int, length: int) -> bytes:
        start = offset - self._window_at
        if start < 0 or start + length > len(self._window):
            self._window = self._file.read(offset, max(length, self._file.readahead))
            self._window_at, start = offset, 0
        found = self._window[start : start + length]
        if len(found) < length:
            raise _TruncatedError
        return found

    def _extend(self, header: _Header, at: int, overrides: _Overrides) -> None:
        if header.size > (MAX_NAME_BYTES if header.kind in b"LK" else MAX_PAX_BYTES):
            raise _BadHeaderError
        data = self._read(at, header.size)
        if header.kind == b"L":
            overrides.name = data.split(b"\0", 1)[0]
        elif header.kind == b"x":
            _read_pax(data, overrides)
        elif header.kind == b"g":
            _read_pax(data, self._global)

    def _member(self, header: _Header, data_at: int, overrides: _Overrides) -> Member:
        name = overrides.name or self._global.name or header.name
        size = self._global.size if overrides.size is None else overrides.size
        size = header.size if size is None else size
        # Two names that are not UTF-8 must not become one.
        return Member(name.decode("utf-8", "backslashreplace"), data_at, size)

    def _after_sparse_headers(self, block: bytes, at: int) -> int:
        more = block[482]
        while more:
            more = self._read(at, BLOCK)[504]
            at += BLOCK
        return at


# Links, devices, folders and pipes: their size, if any, is not that of data in the tar.
_WITHOUT_DATA = b"123456"
_OF_NO_SAMPLE = b"5DV"  # folders, GNU's lists of folders, volume labels


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _parse_header(block: bytes) -> _Header:
    if not _is_sum(block, _number(block[148:156])):
        raise _BadHeaderError
    name = block[:100].split(b"\0", 1)[0]
    # GNU headers keep other fields where ustar has the prefix.
    if block[257:263] == b"ustar\0" and (prefix := block[345:500].split(b"\0", 1)[0]):
        name = prefix + b"/" + name
    kind = block[156:157]
    if kind == b"\0" and name.endswith(b"/"):
        kind = b"5"
    return _Header(name, _number(block[124:136]), kind)


def _is_sum(block: bytes, checksum: int) -> bool:
    """Whether it is that of the header's bytes, its own as spaces; old writers summed signed."""
    summed = block[:148] + b"        " + block[156:]
    # The low half of adler32 is 1 + the sum, exact for 256 bytes, and runs at the speed of C.
    total = (zlib.adler32(summed[:256]) & 0xFFFF) + (zlib.adler32(summed[256:]) & 0xFFFF) - 2
    return checksum == total or checksum == total - 256 * sum(byte > 127 for byte in summed)


def _number(field: bytes) -> int:
    """Octal digits, or GNU's base 256 where the first bit is set."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.split(b"\0", 1)[0].strip(b" ")
    # int() would take signs and underscores too.
    if digits and not digits.isdigit():
        raise _BadHeaderError
    try:
        return int(digits or b"0", 8)
    except ValueError as error:
        raise _BadHeaderError from error


def _read_pax(data: bytes, overrides: _Overrides) -> None:
    at = 0
    while at < len(data) and data[at]:
        length, space, _ = data[at : at + 20].partition(b" ")
        if (
            not space
            or not length.isdigit()
            or not len(length) + 3 <= int(length) <= len(data) - at
        ):
            raise _BadHeaderError
        keyword, equals, value = data[at + len(length) + 1 : at + int(length) - 1].partition(b"=")
        if not equals:
            raise _BadHeaderError
        if keyword in (b"path", b"GNU.sparse.name"):
            overrides.name = value[:MAX_NAME_BYTES]
        elif keyword == b"size":
            if not value.isdigit() or len(value) > 20:
                raise _BadHeaderError
            overrides.size = int(value)
        at += int(length)
