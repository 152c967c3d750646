"""A row for every sample of one tar: an image, its text, and what its json says."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from recap_assets.artefacts.table import SHA256_BYTES
from recap_assets.shards.files import LocalFile, RangeFile, staged
from recap_assets.shards.image_headers import IMAGE_EXTENSIONS, UNREAD_EXTENSIONS
from recap_assets.shards.manifest import Shard
from recap_assets.shards.sample_rows import SampleRow, examine, made_up_uid, settle_uid
from recap_assets.shards.sample_texts import (
    FIELDS,
    MAX_JSON_BYTES,
    MAX_TEXT_BYTES,
    MEMBER,
    NO_TEXT,
    FoundText,
    clean_text,
    note_of,
    text_of_bytes,
    text_of_fields,
)
from recap_assets.shards.tar_index import Member, Sample, TarIndex, group_members, index_tar
from recap_assets.specs.pool import ImageLimits
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_text import decode_json
from recap_assets.untrusted.uid_forms import parse_uid


def rows_of_tar(
    shard: Shard, limits: ImageLimits, text_field: str | None, uids: Mapping[str, bytes]
) -> list[SampleRow]:
    """A row for every sample of one tar. Memory: one image at a time, and the rows.

    Args:
        shard: The tar.
        limits: Bounds on an image.
        text_field: Ending of the member, or field of the json, that holds the text; by default the
            `.txt` member, else the json's `caption` or `text`.
        uids: By a sample's key the uid that the metadata gives it.

    Raises:
        OSError: The tar is gone or cannot be read.
    """
    with staged(shard.url) as path:
        file = LocalFile(path)
        try:
            return list(_rows(shard, file, _Wanted(limits, text_field), uids))
        finally:
            file.close()


class _Wanted(NamedTuple):
    limits: ImageLimits
    text_field: str | None


def _rows(
    shard: Shard, file: RangeFile, wanted: _Wanted, uids_by_key: Mapping[str, bytes]
) -> Iterator[SampleRow]:
    index = index_tar(file)
    samples = group_members(index.members, index.without_data)
    cut = _cut_key(index, samples)
    keys: set[tuple[bytes, str]] = set()
    for sample in samples:
        row = _sample_row(sample, cut, file, wanted)
        row.uid = row.uid or (None if sample.repeat else uids_by_key.get(sample.key))
        if row.uid and row.reject_reason in {"bad_json", "bad_uid"}:
            row.reject_reason = None
        settle_uid(row, shard, sample.repeat, keys)
        yield row
        for number, extra in enumerate(_extra_images(sample)):
            extra.uid = made_up_uid(shard, extra.key, -1 - number)
            yield extra
    yield from _row_for_the_end(shard, index, cut, {sample.key for sample in samples})


def _sample_row(sample: Sample, cut: str | None, file: RangeFile, wanted: _Wanted) -> SampleRow:
    row = SampleRow(sample.key)
    if not sample.has_key:
        row.reject("no_key")
    elif sample.repeat:
        row.reject("duplicate_key")
    elif sample.key == cut:
        row.reject("truncated_tar")
    member = MEMBER if wanted.text_field is None else wanted.text_field.lower()
    fields = FIELDS if wanted.text_field is None else (wanted.text_field,)
    row.take_text(_member_text(sample, member, file))
    _read_json(row, sample, file, fields)
    _read_image(row, sample, file, wanted.limits)
    return row


_RANKS = {ending: rank for rank, ending in enumerate((*IMAGE_EXTENSIONS, *UNREAD_EXTENSIONS))}


def _images_of(sample: Sample) -> list[tuple[str, Member]]:
    """Extensions and members of images, that which counts first; a mask among the last."""
    found = [(e, m) for e, m in sample.members.items() if e.rpartition(".")[2] in _RANKS]
    # One with a dot has no rank; sorting leaves equal ones in their order.
    return sorted(found, key=_rank_of_image) if len(found) > 1 else found


def _rank_of_image(found: tuple[str, Member]) -> int:
    return _RANKS.get(found[0], len(_RANKS))


def _extra_images(sample: Sample) -> Iterator[SampleRow]:
    """A row for each image of a key beyond the first."""
    for _, member in _images_of(sample)[1:]:
        row = SampleRow(member.name, offset=member.offset, size=member.size)
        row.reject("extra_image")
        yield row


def _cut_key(index: TarIndex, samples: list[Sample]) -> str | None:
    """Key of the sample that a cut end has left incomplete."""
    if index.end == "complete" or (not samples and not index.cut_member):
        return None
    if index.cut_member:
        return _key_of_cut(index.cut_member, samples)
    if not index.members:
        return None
    sample = next((s for s in samples if index.members[-1] in s.members.values()), None)
    others = set(samples[0].members) - set(IMAGE_EXTENSIONS)
    return sample.key if sample and others - set(sample.members) else None


def _key_of_cut(name: str, samples: list[Sample]) -> str | None:
    (alone,) = group_members([Member(name, 0, 0)])
    keys = {sample.key for sample in samples}
    return next((key for key in (name.rpartition(".")[0], alone.key) if key in keys), alone.key)


def _row_for_the_end(
    shard: Shard, index: TarIndex, cut: str | None, keys: set[str]
) -> Iterator[SampleRow]:
    """A row for the damage itself, where no sample's row has it."""
    if index.end == "complete" or cut in keys or (index.end == "no_end_mark" and not cut):
        return
    row = SampleRow(cut or f"@{index.end_offset}")
    row.reject("truncated_tar" if index.end in {"truncated", "no_end_mark"} else "bad_tar_header")
    row.uid = made_up_uid(shard, row.key, 0)
    yield row


def _read_json(
    row: SampleRow, sample: Sample, file: RangeFile, text_fields: tuple[str, ...]
) -> None:
    member = sample.members.get("json")
    if member is None:
        return
    try:
        if member.size > MAX_JSON_BYTES:
            row.reject("bad_json")
            return
        content, encoding = decode_json(file.read(member.offset, member.size), MAX_JSON_BYTES)
    except UntrustedError:
        row.reject("bad_json")
        return
    if not isinstance(content, dict):
        row.reject("bad_json")
        return
    found = text_of_fields(content, text_fields)
    row.take_text(
        found if found.note or not found.text else FoundText(found.text, note_of(encoding))
    )
    row.url = clean_text(_string(content, "url"))
    row.original_sha256 = _parse_hex(content.get("sha256"), SHA256_BYTES)
    row.original_width = _pixels(content.get("original_width"))
    row.original_height = _pixels(content.get("original_height"))
    if content.get("uid") is not None:
        row.uid = parse_uid(content["uid"])
        if row.uid is None:
            row.reject("bad_uid")


def _member_text(sample: Sample, extension: str, file: RangeFile) -> FoundText:
    member = sample.members.get(extension)
    if member is None:
        return FoundText(None, "text_is_link") if extension in sample.without_data else NO_TEXT
    data = file.read(member.offset, min(member.size, MAX_TEXT_BYTES))
    return text_of_bytes(data, is_cut=member.size > MAX_TEXT_BYTES)


def _read_image(row: SampleRow, sample: Sample, file: RangeFile, limits: ImageLimits) -> None:
    images = _images_of(sample)
    if not images:
        row.reject("missing_image")
        return
    extension, member = images[0]
    row.offset, row.size = member.offset, member.size
    examine(row, file, limits, UNREAD_EXTENSIONS.get(extension))


def _parse_hex(digits: object, n_bytes: int) -> bytes | None:
    if not isinstance(digits, str) or len(digits) != 2 * n_bytes:
        return None
    try:
        parsed = bytes.fromhex(digits)
    except ValueError:
        return None
    return parsed if len(parsed) == n_bytes else None


def _string(content: Mapping[str, object], name: str) -> str | None:
    value = content.get(name)
    return value if isinstance(value, str) else None


def _pixels(value: object) -> int | None:
    return value if type(value) is int and 0 < value < 2**31 else None
