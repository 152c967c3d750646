"""A field of the jsons of one tar, sample by sample; no image is read."""

from collections.abc import Iterator

from recap_assets.shards.files import LocalFile, RangeFile, staged
from recap_assets.shards.manifest import Shard
from recap_assets.shards.sample_texts import MAX_JSON_BYTES, value_of
from recap_assets.shards.tar_index import Member, group_members, index_tar
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_text import decode_json


def values_of_tar(shard: Shard, field: str) -> Iterator[tuple[str, object]]:
    """The value of a field (`a.b` for b of a) by key, of each sample whose json has it.

    Raises:
        OSError: The tar is gone or cannot be read.
    """
    with staged(shard.url) as path:
        file = LocalFile(path)
        try:
            index = index_tar(file)
            for sample in group_members(index.members, index.without_data):
                member = sample.members.get("json")
                if member is not None and not sample.repeat:
                    yield sample.key, _value_in(file, member, field)
        finally:
            file.close()


def _value_in(file: RangeFile, member: Member, field: str) -> object:
    if member.size > MAX_JSON_BYTES:
        return None
    try:
        content, _ = decode_json(file.read(member.offset, member.size), MAX_JSON_BYTES)
    except UntrustedError:
        return None
    return value_of(content, field) if isinstance(content, dict) else None
