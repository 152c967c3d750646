"""Groups of duplicates are the connected ones, and each keeps one whatever the order."""

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from recap_assets.sets.kinds.unique.groups import duplicates, groups_of


def plain_groups(n: int, pairs: list[tuple[int, int]]) -> list[int]:
    groups = list(range(n))
    for _ in range(n):
        for a, b in pairs:
            groups[a] = groups[b] = min(groups[a], groups[b])
    return groups


@settings(deadline=None)  # other work on the machine fails no test
@given(st.data())
def test_groups_are_connected_components(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 30))
    position = st.integers(0, n - 1)
    pairs = data.draw(st.lists(st.tuples(position, position), max_size=40))
    found = groups_of(n, np.array(pairs, np.int64).reshape(-1, 2))
    assert found.tolist() == plain_groups(n, pairs)


def frame(rows: list[tuple[int, int]]) -> pl.DataFrame:
    uids = [bytes([uid]) * 16 for uid, _ in rows]
    return pl.DataFrame({"uid": uids, "rank": [rank for _, rank in rows]})


def test_the_largest_is_kept_and_the_lowest_uid_of_equals() -> None:
    samples = frame([(3, 10), (1, 20), (2, 20), (4, 5), (5, 7)])
    found = duplicates(samples, np.array([0, 0, 0, 3, 4]))
    assert found.rows() == [(bytes([uid]) * 16, bytes([1]) * 16) for uid in (1, 2, 3)]


@settings(deadline=None)  # other work on the machine fails no test
@given(st.permutations(range(12)))
def test_order_changes_nothing(order: list[int]) -> None:
    rows = [(uid, uid % 3) for uid in range(12)]
    groups = np.array([uid // 4 for uid in range(12)])
    expected = duplicates(frame(rows), groups)
    assert duplicates(frame([rows[i] for i in order]), groups[order]).equals(expected)


def test_a_uid_that_is_there_twice_is_no_group_of_its_own() -> None:
    assert duplicates(frame([(1, 0), (1, 0), (2, 0)]), np.array([0, 0, 2])).is_empty()
