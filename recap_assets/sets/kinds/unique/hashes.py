"""Pairs of 64-bit hashes that differ in few bits: each pair once, in memory for two copies.

Hashes are cut into blocks. Two that differ in at most d bits differ in at most d blocks, so of b
blocks they agree in b - d at least. For each choice of b - d blocks, the hashes are put in the
order of these, and those that agree there are compared. More blocks mean more orders and fewer
comparisons; a sample of the hashes says how many blocks cost least. A hash is moved bit by bit to
where the order wants it, so no order needs more than the hashes themselves. Source: Manku, Jain,
Das Sarma, Detecting near-duplicates for web crawling (2007), section 3.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, combinations, groupby, pairwise
from math import comb

import numpy as np
from numpy.typing import NDArray

from recap_assets.artefacts import UInt64s

HASH_BITS = 64
FURTHER_BLOCKS = 12
"""How many more blocks than differing bits are considered."""

IN_CACHE = 1 << 18
"""Hashes that are sorted at once where that can be helped: two megabytes."""

_SAMPLE = 1 << 16
_ORDERS_SAMPLED = 6
_MOVED_AT_ONCE = 1 << 15

_GATHERING = 24
"""How much longer two hashes take that are picked out than two that are compared in passing."""

_SECONDS_A_HASH, _SECONDS_A_PAIR, _SECONDS_AN_ORDER = 20e-9, 2.5e-9, 100e-6
"""To put a hash in order, to compare a pair, and what an order takes beside; only ratios matter."""

Pairs = NDArray[np.int64]


@dataclass(frozen=True)
class Order:
    """Hashes with some blocks in front, in which those agree that are compared.

    Attributes:
        widths: Bits of all blocks, the highest bits' first.
        front: Numbers of the blocks in front, ascending.
    """

    widths: tuple[int, ...]
    front: tuple[int, ...]

    @cached_property
    def front_bits(self) -> int:
        """Bits of the blocks in front."""
        return sum(self.widths[block] for block in self.front)

    @cached_property
    def _lowest(self) -> tuple[int, ...]:
        """The lowest bit of each block in a hash."""
        return tuple(HASH_BITS - end for end in accumulate(self.widths))

    @cached_property
    def masks(self) -> UInt64s:
        """The bits of each block in a hash."""
        bits = zip(self.widths, self._lowest, strict=True)
        return np.array([((1 << width) - 1) << lowest for width, lowest in bits], np.uint64)

    @cached_property
    def moves(self) -> tuple[tuple[np.uint64, int], ...]:
        """Bits of a hash that move together, and how far up they do."""
        left, found = HASH_BITS, []
        rest = [block for block in range(len(self.widths)) if block not in self.front]
        for _, run in groupby(enumerate((*self.front, *rest)), lambda at: at[1] - at[0]):
            blocks = [block for _, block in run]
            bits = sum(self.widths[block] for block in blocks)
            left -= bits
            lowest = self._lowest[blocks[-1]]
            found.append((np.uint64(((1 << bits) - 1) << lowest), left - lowest))
        return tuple(found)

    def moved(self, hashes: UInt64s) -> UInt64s:
        """Hashes with the blocks in front, not sorted."""
        return _moved(hashes, self.moves, np.empty_like(hashes))

    def restore(self, moved: UInt64s) -> UInt64s:
        """Put moved hashes back into their own bits, in place."""
        back = [(_shifted(np.array([mask]), by)[0], -by) for mask, by in self.moves]
        return _moved(moved, back, moved)

    @cached_property
    def earlier(self) -> Sequence[np.uint64]:
        """Of moved hashes, the bits of each block before the last in front that is not there."""
        before = set(range(self.front[-1] if self.front else 0)) - set(self.front)
        return [self.moved(self.masks[[block]])[0] for block in sorted(before)]

    def comes_first(self, differing: UInt64s) -> NDArray[np.bool_]:
        """Whether moved pairs with these differing bits agree in no earlier choice of blocks."""
        return np.logical_and.reduce(
            [np.ones(len(differing), np.bool_), *((differing & mask) != 0 for mask in self.earlier)]
        )


def _shifted(values: UInt64s, by: int) -> UInt64s:
    return values << np.uint64(by) if by >= 0 else values >> np.uint64(-by)


def _moved(hashes: UInt64s, moves: Sequence[tuple[np.uint64, int]], into: UInt64s) -> UInt64s:
    # In blocks: memory beside the hashes costs more than the arithmetic.
    for start in range(0, len(hashes), _MOVED_AT_ONCE):
        block = hashes[start : start + _MOVED_AT_ONCE]
        found = np.zeros_like(block)
        for mask, by in moves:
            found |= _shifted(block & mask, by)
        into[start : start + _MOVED_AT_ONCE] = found
    return into


def near_pairs(hashes: UInt64s, bits: int) -> Iterator[Pairs]:
    """Pairs of hashes that differ in at most `bits` bits, each once, some at a time.

    Memory: a further copy of the hashes, and some megabytes; the pairs are up to the caller.

    Args:
        hashes: Distinct and ascending, shape (n,).
        bits: 0 to 63.

    Yields:
        Shape (n_pairs, 2): positions, the smaller one first.
    """
    if len(hashes) < 2 or not bits:
        return
    widths = _widths(cheapest_blocks(hashes, bits))
    for order, some in _agreeing(hashes, Order(widths, ()), len(widths) - bits):
        for ones, others in _compared(order, some, bits):
            places = np.searchsorted(hashes, np.concatenate([ones, others])).reshape(2, -1)
            yield np.sort(places.T, axis=1)


def cheapest_blocks(hashes: UInt64s, bits: int) -> int:
    """The number of blocks with which comparing takes least, by a sample of the hashes."""
    sample = np.random.default_rng(0).choice(hashes, min(_SAMPLE, len(hashes)), replace=False)
    most = min(bits + FURTHER_BLOCKS, HASH_BITS)
    return min(range(bits, most + 1), key=lambda n: _seconds(sample, len(hashes), n, bits))


def _seconds(sample: UInt64s, n: int, blocks: int, bits: int) -> float:
    widths, in_front = _widths(blocks), blocks - bits
    fronts = _spread(blocks, in_front)
    pairs = sum(_pairs_in(sample, Order(widths, front)) for front in fronts) / len(fronts)
    compared = pairs * (n / len(sample)) ** 2
    of_order = n * _SECONDS_A_HASH + compared * _SECONDS_A_PAIR + _SECONDS_AN_ORDER
    return comb(blocks, in_front) * of_order


def _widths(blocks: int) -> tuple[int, ...]:
    return tuple(HASH_BITS // blocks + (i < HASH_BITS % blocks) for i in range(blocks))


def _spread(blocks: int, in_front: int) -> list[tuple[int, ...]]:
    """Some of the choices of blocks, drawn with the same outcome each time."""
    draw = np.random.default_rng(0)
    some = min(_ORDERS_SAMPLED, comb(blocks, in_front))
    drawn = (draw.choice(blocks, in_front, replace=False) for _ in range(some))
    return [tuple(sorted(map(int, front))) for front in drawn]


def _pairs_in(sample: UInt64s, order: Order) -> float:
    """Pairs of a sample that agree in front."""
    mask = np.bitwise_or.reduce([np.uint64(0), *(order.masks[block] for block in order.front)])
    counts = np.unique(sample & mask, return_counts=True)[1].astype(np.float64)
    return float((counts * (counts - 1)).sum() / 2)


def _agreeing(some: UInt64s, within: Order, more: int) -> Iterator[tuple[Order, UInt64s]]:
    """Each choice of `more` blocks after those in front, with the hashes to be sorted by it.

    Hashes that agree in front of the order are beside each other, and all of them are there. Many
    are cut by one block more, and so on, until they fit into a processor's cache.
    """
    n_blocks, first = len(within.widths), within.front[-1] + 1 if within.front else 0
    if not more or len(some) <= IN_CACHE:
        for rest in combinations(range(first, n_blocks), more):
            yield Order(within.widths, within.front + rest), some
        return
    for block in range(first, n_blocks - more + 1):
        order = Order(within.widths, (*within.front, block))
        ordered = order.moved(some)
        ordered.sort()
        cuts = _cuts(ordered, order.front_bits)
        ordered = order.restore(ordered)
        for start, end in pairwise(cuts):
            yield from _agreeing(ordered[start:end], order, more - 1)
        del ordered  # before the next one is made


def _cuts(ordered: UInt64s, front_bits: int) -> list[int]:
    """Where to cut sorted hashes so that none is parted from those with its leading bits."""
    cuts, shift = [0], np.uint64(HASH_BITS - front_bits)
    while cuts[-1] < len(ordered):
        last = ordered[min(cuts[-1] + IN_CACHE // 2, len(ordered) - 1)]
        after = last | ((np.uint64(1) << shift) - np.uint64(1))
        cuts.append(int(np.searchsorted(ordered, after, side="right")))
    return cuts


def _compared(order: Order, some: UInt64s, bits: int) -> Iterator[tuple[UInt64s, UInt64s]]:
    """Pairs among hashes that agree in front and are near, unless an earlier order has them."""
    moved = order.moved(some)
    moved.sort()
    for near, lag in _near(moved, order.front_bits, bits):
        at = near[order.comes_first(moved[near] ^ moved[near + lag])]
        if len(at):
            yield order.restore(moved[at]), order.restore(moved[at + lag])


def _near(ordered: UInt64s, front_bits: int, bits: int) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Where sorted hashes are near the one that follows at some distance, and agree in front."""
    shift = np.uint64(HASH_BITS - max(front_bits, 1))
    above = (ordered[1:] ^ ordered[:-1]) >> shift if front_bits else np.zeros(len(ordered) - 1)
    starts = np.flatnonzero(np.append(True, above != 0))
    lengths = np.diff(np.append(starts, len(ordered)))
    for lag in range(1, int(lengths.max())):
        is_longer = lengths > lag
        starts, lengths = starts[is_longer], lengths[is_longer]
        n_compared = int((lengths - lag).sum())
        if n_compared * _GATHERING > len(ordered):
            # All at once, those of other fronts too, is sooner done than to pick them out.
            differing = ordered[lag:] ^ ordered[:-lag]
            near = np.flatnonzero(np.bitwise_count(differing) <= bits)
            if front_bits:
                near = near[differing[near] >> shift == 0]
        else:
            sizes = lengths - lag
            within = np.arange(n_compared) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            at = np.repeat(starts, sizes) + within
            near = at[np.bitwise_count(ordered[at] ^ ordered[at + lag]) <= bits]
        yield near, lag
