"""Where the texts of a pool may be, as found from its first samples."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice

from recap_assets.shards.files import RangeFile, open_range_file
from recap_assets.shards.image_headers import IMAGE_EXTENSIONS, UNREAD_EXTENSIONS
from recap_assets.shards.manifest import ShardFile
from recap_assets.shards.sample_texts import (
    FIELDS,
    MAX_JSON_BYTES,
    MAX_TEXT_BYTES,
    MEMBER,
    text_of_bytes,
    text_of_fields,
)
from recap_assets.shards.tar_index import Sample, group_members, index_tar
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_text import parse_json
from recap_assets.untrusted.showing import one_line

SAMPLES = 200
MAX_NAMED = 12
"""Fields, and endings, that are named at most."""

_NO_TEXTS = {"json", *IMAGE_EXTENSIONS, *UNREAD_EXTENSIONS}


def places_of_texts(text_field: str | None, shards: Sequence[ShardFile]) -> str | None:
    """What to do where most of the first samples have no text; None where most have one.

    Says which members and which fields of the json hold something.

    Args:
        text_field: The place that is named; None for the usual ones.
        shards: The tars, of which the first is looked into.

    Raises:
        OSError: The first shard cannot be read.
    """
    if not shards:
        return None
    file = open_range_file(shards[0].url)
    try:
        samples = list(islice(group_members(index_tar(file).members), SAMPLES))
        fields: Counter[str] = Counter()
        endings: Counter[str] = Counter()
        n_with_text = sum(
            _look_into(file, sample, text_field, fields, endings) for sample in samples
        )
    finally:
        file.close()
    if not samples or 2 * n_with_text >= len(samples):
        return None
    n_without = len(samples) - n_with_text
    return (
        f"pool.text_field: {n_without} of the first {len(samples)} samples have no text. Their "
        f"json has {_named(fields)}; other members: {_named(endings)}. Name the field or ending "
        "that holds the text, such as `text_field: caption`"
    )


def _look_into(
    file: RangeFile,
    sample: Sample,
    text_field: str | None,
    fields: Counter[str],
    endings: Counter[str],
) -> bool:
    """Count what a sample has; whether its text is found."""
    endings.update(set(sample.members) - _NO_TEXTS - {""})
    member = sample.members.get(text_field or MEMBER)
    if member and text_of_bytes(file.read(member.offset, min(member.size, MAX_TEXT_BYTES))).text:
        return True
    content = _json_of(file, sample)
    fields.update(name for name, value in content.items() if isinstance(value, str | list | dict))
    wanted = (text_field,) if text_field else FIELDS
    return text_of_fields(content, wanted).text is not None


def _json_of(file: RangeFile, sample: Sample) -> dict[str, object]:
    member = sample.members.get("json")
    if member is None or member.size > MAX_JSON_BYTES:
        return {}
    try:
        content = parse_json(file.read(member.offset, member.size), MAX_JSON_BYTES)
    except UntrustedError:
        return {}
    return content if isinstance(content, dict) else {}


def _named(counts: Counter[str]) -> str:
    named = ", ".join(f"{one_line(name, 40)} ({n})" for name, n in counts.most_common(MAX_NAMED))
    return named or "none"
