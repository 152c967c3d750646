"""No pair of near hashes is missed, none is found that is not near, and none twice."""

from collections.abc import Iterator

import numpy as np
import pytest

from recap_assets.sets.kinds.unique import hashes as module
from recap_assets.sets.kinds.unique.hashes import Order, cheapest_blocks, near_pairs


def near_hashes(seed: int, n: int = 400) -> np.ndarray:
    """Hashes, of which a third are others with up to 16 flipped bits."""
    random = np.random.default_rng(seed)
    hashes = random.integers(0, 2**64, n, dtype=np.uint64)
    near = hashes[random.integers(0, n, n // 2)]
    for i in range(len(near)):
        for bit in random.choice(64, i % 17, replace=False):
            near[i] ^= np.uint64(1) << np.uint64(bit)
    return np.unique(np.concatenate([hashes, near]))


def every_pair(hashes: np.ndarray, distance: int) -> list[tuple[int, int]]:
    apart = np.bitwise_count(hashes[:, None] ^ hashes)
    return list(map(tuple, np.argwhere(np.triu(apart <= distance, k=1))))


def found(hashes: np.ndarray, distance: int) -> list[tuple[int, int]]:
    return sorted((int(a), int(b)) for some in near_pairs(hashes, distance) for a, b in some)


@pytest.mark.parametrize("distance", [1, 3, 4, 6, 8, 11, 15])
def test_pairs_are_those_of_comparing_every_pair(distance: int) -> None:
    hashes = near_hashes(distance)
    expected = every_pair(hashes, distance)
    assert len(expected) > 10
    assert found(hashes, distance) == expected


@pytest.mark.parametrize("blocks", [3, 4, 5, 6, 9])
@pytest.mark.parametrize("in_cache", [1 << 18, 64, 4])
def test_neither_blocks_nor_cuts_change_a_pair(
    blocks: int, in_cache: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where hashes agree in whole blocks, so that a cut must keep long runs together."""
    monkeypatch.setattr(module, "cheapest_blocks", lambda *_: blocks)
    monkeypatch.setattr(module, "IN_CACHE", in_cache)
    monkeypatch.setattr(module, "_PLACED_AT_ONCE", 150)
    random = np.random.default_rng(1)
    dense = random.integers(0, 2**12, 150, dtype=np.uint64) << np.uint64(7)
    hashes = np.unique(np.concatenate([near_hashes(1, 200), dense, ~dense]))
    expected = every_pair(hashes, 3)
    assert len(expected) > 1_000
    assert found(hashes, 3) == expected


def test_long_runs_are_compared_whole_without_those_that_are_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One dense group among hashes that are alone is compared without those."""
    monkeypatch.setattr(module, "cheapest_blocks", lambda *_: 4)
    random = np.random.default_rng(2)
    dense = random.choice(2**16, 300, replace=False).astype(np.uint64)
    hashes = np.unique(np.concatenate([random.integers(0, 2**64, 3_000, dtype=np.uint64), dense]))
    assert found(hashes, 2) == every_pair(hashes, 2)


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_compare(n: int) -> None:
    assert found(np.zeros(n, np.uint64), 6) == []


def test_equal_hashes_alone_are_within_no_bits() -> None:
    assert found(near_hashes(0), 0) == []


def test_more_hashes_are_compared_in_more_blocks() -> None:
    """So that the work grows with the hashes, and not with their pairs."""
    random = np.random.default_rng(0)
    few, many = (np.unique(random.integers(0, 2**64, n, dtype=np.uint64)) for n in (400, 10**6))
    assert cheapest_blocks(few, 6) < cheapest_blocks(many, 6) <= 18


def orders() -> Iterator[Order]:
    yield Order((64,), ())
    yield Order((22, 21, 21), (1,))
    yield Order((13, 13, 13, 13, 12), (0, 2, 3))
    yield Order((16,) * 4, (0, 1, 2, 3))


@pytest.mark.parametrize("order", list(orders()))
def test_keys_are_the_bits_of_the_blocks_in_front(order: Order) -> None:
    hashes = np.random.default_rng(0).integers(0, 2**64, 1_000, dtype=np.uint64)
    keys = order.keys(hashes)
    front = sum(int(order.masks[block]) for block in order.front)
    assert int(order.front_mask) == front
    for one, key in zip(hashes.tolist(), keys.tolist(), strict=True):
        bits = zip(f"{one:064b}", f"{front:064b}", strict=True)
        wanted = "".join(bit for bit, is_front in bits if is_front == "1")
        assert key == int(wanted or "0", 2)
