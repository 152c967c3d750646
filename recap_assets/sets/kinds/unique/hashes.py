"""Pairs of 64-bit hashes that differ in few bits: each pair once, in memory for two copies.

Hashes are cut into blocks. Two that differ in at most d bits differ in at most d blocks, so of b
blocks they agree in b - d at least. For each choice of b - d blocks, the hashes are put in the
order of these, and those that agree there are compared. More blocks mean more orders and fewer
comparisons; a sample of the hashes says how many blocks cost least. Many hashes are parted by one
block of a choice after the other until a part fits into a processor's cache. Source: Manku, Jain,
Das Sarma, Detecting near-duplicates for web crawling (2007), section 3.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import accumulate, combinations, pairwise
from math import comb, inf

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

_DIGIT_BITS = 16
"""Numbers of 16 bits are sorted by counting, 5 ns a hash in a processor's cache.

Whole hashes take 10, and 40 where AVX-512 stores some lanes of a register slowly (Zen 4).
"""

_PLACED_AT_ONCE = 1 << 18
"""Hashes that are sorted before they are put into their parts, so that most go beside another."""

_SECONDS_A_HASH, _SECONDS_A_PAIR, _SECONDS_AN_ORDER = 20e-9, 2.5e-9, 100e-6
"""To put a hash in order, to compare a pair, and what an order takes beside; only ratios matter."""

Pairs = NDArray[np.int64]


@dataclass(frozen=True)
class Order:
    """The order of hashes by some of their blocks, in which those agree that are compared.

    Attributes:
        widths: Bits of all blocks, the highest bits' first.
        front: Numbers of the blocks that the order goes by, ascending.
    """

    widths: tuple[int, ...]
    front: tuple[int, ...]

    @cached_property
    def front_bits(self) -> int:
        """Bits of the blocks that the order goes by."""
        return sum(self.widths[block] for block in self.front)

    @cached_property
    def lowest(self) -> tuple[int, ...]:
        """The lowest bit of each block in a hash."""
        return tuple(HASH_BITS - end for end in accumulate(self.widths))

    @cached_property
    def masks(self) -> UInt64s:
        """The bits of each block in a hash."""
        bits = zip(self.widths, self.lowest, strict=True)
        return np.array([((1 << width) - 1) << lowest for width, lowest in bits], np.uint64)

    @cached_property
    def front_mask(self) -> np.uint64:
        """The bits of a hash that the order goes by."""
        return np.bitwise_or.reduce(self.masks[list(self.front)], initial=np.uint64(0))

    def keys(self, hashes: UInt64s) -> UInt64s:
        """The bits that the order goes by, those of one block beside those of the next."""
        keys = np.zeros_like(hashes)
        for block in self.front:
            bits = (hashes & self.masks[block]) >> np.uint64(self.lowest[block])
            keys <<= np.uint64(self.widths[block] % HASH_BITS)
            keys |= bits
        return keys

    @cached_property
    def earlier(self) -> Sequence[np.uint64]:
        """The bits of each block before the last of the order that it does not go by."""
        before = set(range(self.front[-1] if self.front else 0)) - set(self.front)
        return [self.masks[block] for block in sorted(before)]

    def comes_first(self, differing: UInt64s) -> NDArray[np.bool_]:
        """Whether pairs with these differing bits agree in no earlier choice of blocks."""
        return np.logical_and.reduce(
            [np.ones(len(differing), np.bool_), *((differing & mask) != 0 for mask in self.earlier)]
        )


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
    cheapest, least = bits, inf
    for blocks in range(bits, min(bits + FURTHER_BLOCKS, HASH_BITS) + 1):
        if _seconds_of_orders(len(hashes), blocks, bits) >= least:
            break  # and more blocks have more orders still
        seconds = _seconds(sample, len(hashes), blocks, bits)
        if seconds < least:
            cheapest, least = blocks, seconds
    return cheapest


def _seconds_of_orders(n: int, blocks: int, bits: int) -> float:
    """To put the hashes in all orders."""
    return comb(blocks, bits) * (n * _SECONDS_A_HASH + _SECONDS_AN_ORDER)


def _seconds(sample: UInt64s, n: int, blocks: int, bits: int) -> float:
    """To put the hashes in all orders, and to compare them."""
    widths, in_front = _widths(blocks), blocks - bits
    fronts = _spread(blocks, in_front)
    pairs = sum(_pairs_in(sample, Order(widths, front)) for front in fronts) / len(fronts)
    compared = pairs * (n / len(sample)) ** 2 * comb(blocks, bits)
    return _seconds_of_orders(n, blocks, bits) + compared * _SECONDS_A_PAIR


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
    lengths = _ordered(order, sample)[1].astype(np.float64)
    return float((lengths * (lengths - 1)).sum() / 2)


def _agreeing(some: UInt64s, within: Order, more: int) -> Iterator[tuple[Order, UInt64s]]:
    """Each choice of `more` blocks after those in front, with the hashes to be compared by it.

    All hashes that agree in front of an order are among those that come with it. Many are parted by
    one block more, and so on, until they fit into a processor's cache.
    """
    n_blocks, first = len(within.widths), within.front[-1] + 1 if within.front else 0
    if not more or len(some) <= IN_CACHE:
        for rest in combinations(range(first, n_blocks), more):
            yield Order(within.widths, within.front + rest), some
        return
    for block in range(first, n_blocks - more + 1):
        order = Order(within.widths, (*within.front, block))
        parted, cuts = _parted(some, order.widths[block], order.lowest[block])
        for start, end in pairwise(cuts):
            yield from _agreeing(parted[start:end], order, more - 1)
        del parted  # before the next one is made


def _parted(some: UInt64s, width: int, lowest: int) -> tuple[UInt64s, list[int]]:
    """Hashes by the leading bits of a block, and where to cut them between two of these."""
    bits = min(width, _DIGIT_BITS)
    shift, mask = np.uint64(lowest + width - bits), np.uint64((1 << bits) - 1)
    blocks = [some[i : i + _PLACED_AT_ONCE] for i in range(0, len(some), _PLACED_AT_ONCE)]
    digits_of = partial(_digits, shift=shift, mask=mask)
    counts = sum(np.bincount(digits_of(block), minlength=1 << bits) for block in blocks)
    parted, ends = np.empty_like(some), np.cumsum(counts)
    places = ends - counts
    for block in blocks:
        digits = digits_of(block)
        at = np.argsort(digits, kind="stable")
        n = np.bincount(digits, minlength=1 << bits)
        to = np.arange(len(block)) + np.repeat(places - (np.cumsum(n) - n), n)
        parted[to] = block.take(at)
        places += n
    return parted, _cuts(ends)


def _digits(hashes: UInt64s, shift: np.uint64, mask: np.uint64) -> NDArray[np.uint16]:
    return ((hashes >> shift) & mask).astype(np.uint16)


def _cuts(ends: NDArray[np.int64]) -> list[int]:
    """Where to cut, of all places where that may be, so that parts have half of `IN_CACHE`."""
    cuts = [0]
    while cuts[-1] < ends[-1]:
        wanted = min(cuts[-1] + IN_CACHE // 2, int(ends[-1]))
        cuts.append(int(ends[np.searchsorted(ends, wanted)]))
    return cuts


def _compared(order: Order, some: UInt64s, bits: int) -> Iterator[tuple[UInt64s, UInt64s]]:
    """Pairs among hashes that agree in front and are near, unless an earlier order has them."""
    for ones, others in _near(*_ordered(order, some), order.front_mask, bits):
        is_first = order.comes_first(ones ^ others)
        if is_first.any():
            yield ones[is_first], others[is_first]


def _ordered(order: Order, some: UInt64s) -> tuple[UInt64s, NDArray[np.int64]]:
    """Hashes in an order, and how many each time agree in front."""
    keys = order.keys(some)
    for lowest in range(0, order.front_bits, _DIGIT_BITS):
        at = np.argsort((keys >> np.uint64(lowest)).astype(np.uint16), kind="stable")
        keys, some = keys.take(at), some.take(at)
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    return some, np.diff(np.append(starts, len(keys)))


def _near(
    ordered: UInt64s, lengths: NDArray[np.int64], front: np.uint64, bits: int
) -> Iterator[tuple[UInt64s, UInt64s]]:
    """Pairs of near hashes within runs that agree in front, of the lengths given."""
    in_longer = len(ordered) - np.cumsum(np.bincount(lengths) * np.arange(lengths.max() + 1))
    for lag in range(1, len(in_longer) - 1):
        if 2 * in_longer[lag] <= len(ordered):
            is_longer = lengths > lag
            ordered, lengths = ordered[np.repeat(is_longer, lengths)], lengths[is_longer]
        # Those of two runs, too: that is sooner done than to pick out the others.
        differing = ordered[lag:] ^ ordered[:-lag]
        near = np.flatnonzero(np.bitwise_count(differing) <= bits)
        near = near[differing[near] & front == 0]
        if len(near):
            yield ordered[near], ordered[near + lag]
