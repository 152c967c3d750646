"""Any tar gives rows: no exception, no endless loop, and no member without a row."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from recap_assets.shards.tar_index import group_members, index_tar
from recap_assets_tests.fuzzing.damage import Damage, damages
from recap_assets_tests.shards.building import tar_of

NAMES = st.text("aAbé.\\/jpgtx_ \xff", max_size=12) | st.sampled_from(
    ["a.jpg", "a.txt", "a.1.jpg", "a.1.txt", "a.2.JPG", ".jpg", "__m__", "b/a.png", "README"]
)


class Bytes:
    """A file in memory."""

    readahead = 64

    def __init__(self, data: bytes) -> None:
        self.data, self.size = data, len(data)

    def read(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]

    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes | None]:
        return [self.read(*one) for one in ranges]

    def close(self) -> None:
        pass


@given(st.lists(st.lists(NAMES, max_size=6), min_size=1, max_size=3), damages())
def test_every_member_is_in_one_sample(tars: list[list[str]], damage: Damage) -> None:
    data = b"".join(tar_of((name, name.encode()) for name in names) for names in tars)
    for content in (data, damage(data)):
        index = index_tar(Bytes(content))
        grouped = [m for s in group_members(index.members) for m in s.members.values()]
        assert sorted(grouped) == sorted(index.members)
        assert all(0 <= m.offset <= m.offset + m.size <= len(content) for m in index.members)
        assert 0 <= index.end_offset <= len(content)


@given(st.lists(st.lists(NAMES.filter(bool), max_size=6), min_size=1, max_size=4))
def test_tars_behind_one_another_hold_what_each_holds(tars: list[list[str]]) -> None:
    parts = [tar_of((name, b"x") for name in names) for names in tars]
    alone = [member.name for part in parts for member in index_tar(Bytes(part)).members]
    index = index_tar(Bytes(b"".join(parts)))
    assert [member.name for member in index.members] == alone
    assert index.end == "complete"


@given(st.lists(NAMES, max_size=10), st.lists(NAMES, max_size=4))
def test_links_lose_no_member_and_samples_keep_their_keys_apart(
    names: list[str], links: list[str]
) -> None:
    members = index_tar(Bytes(tar_of((name, b"x") for name in names))).members
    samples = group_members(members, links)
    assert len({(sample.key, sample.repeat) for sample in samples}) == len(samples)
    assert sum(len(sample.members) for sample in samples) == len(members)
