"""Groups of duplicates are the connected ones, and each keeps one whatever the order."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from recap_assets.sets.kinds.unique.groups import Groups, duplicates


def plain_groups(n: int, pairs: list[tuple[int, int]]) -> list[int]:
    groups = list(range(n))
    for _ in range(n):
        for a, b in pairs:
            groups[a] = groups[b] = min(groups[a], groups[b])
    return groups


@given(st.data())
def test_groups_are_connected_components_however_the_pairs_come(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 30))
    position = st.integers(0, n - 1)
    pairs = data.draw(st.lists(st.tuples(position, position), max_size=40))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(pairs)), max_size=4)))
    groups = Groups(n)
    for some in np.split(np.array(pairs, np.int64).reshape(-1, 2), cuts):
        groups.join(some)
    expected = plain_groups(n, pairs)
    assert groups.roots(np.arange(n)).tolist() == expected
    assert np.flatnonzero(groups.is_joined).tolist() == sorted({a for pair in pairs for a in pair})
    every = np.stack(np.triu_indices(n), axis=1)
    is_apart = [expected[a] != expected[b] for a, b in every.tolist()]
    assert groups.are_apart(every).tolist() == is_apart


def test_a_long_chain_is_one_group() -> None:
    n = 100_000
    order = np.random.default_rng(0).permutation(n)
    groups = Groups(n)
    for some in np.array_split(np.stack([order[1:], order[:-1]], axis=1), 7):
        groups.join(some)
    assert not groups.roots(np.arange(n)).any()


def frame(rows: list[tuple[int, int]], groups: list[int]) -> pl.DataFrame:
    uids = [bytes([uid]) * 16 for uid, _ in rows]
    return pl.DataFrame(
        {"uid": uids, "shard": 0, "rank": [rank for _, rank in rows], "group": groups}
    )


def test_the_largest_is_kept_and_the_lowest_uid_of_equals() -> None:
    samples = frame([(3, 10), (1, 20), (2, 20), (4, 5), (5, 7)], [0, 0, 0, 3, 4])
    found = duplicates(samples).select("uid", "kept")
    assert found.rows() == [(bytes([uid]) * 16, bytes([1]) * 16) for uid in (1, 2, 3)]


@given(st.permutations(range(12)))
def test_order_changes_nothing(order: list[int]) -> None:
    samples = frame([(uid, uid % 3) for uid in range(12)], [uid // 4 for uid in range(12)])
    assert duplicates(samples[order]).equals(duplicates(samples))


def test_a_uid_that_is_there_twice_is_no_group_of_its_own() -> None:
    assert duplicates(frame([(1, 0), (1, 0), (2, 0)], [0, 0, 2])).is_empty()
