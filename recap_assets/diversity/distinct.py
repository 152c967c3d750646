"""How many distinct numbers there are, without sorting them all."""

import numpy as np

from recap_assets.artefacts import UInt64s

_MULTIPLIERS = (
    0x9E3779B97F4A7C15,
    0xD1342543DE82EF95,
    0xF1357AEA2E62A9C5,
    0xBF58476D1CE4E5B9,
    0x94D049BB133111EB,
)
"""Odd, and with the highest bit set, so that 1 has no slot in the lower half of a table."""

_MOST_SLOT_BITS = 20
"""Of a table, which is 8 MB: more slots leave less over, but are further from a processor."""

_AT_ONCE = 1 << 15
_FEW = 1 << 14
"""So many are sorted at once."""


def n_distinct(values: UInt64s) -> int:
    """How many distinct values there are; the array is used up, and its rest has no meaning.

    Each value is put into a slot of a table, where the last one stays. Those that stayed are
    counted, whatever equals them is left out, and the rest is put into other slots. Of trigrams, a
    sixth is left over: 9 to 12 ns a value, where sorting takes 11 to 54, by processor. Where a
    table helps little, since it is small beside what is distinct, the rest is sorted.
    """
    n = 0
    for multiplier in _MULTIPLIERS:
        if len(values) <= _FEW:
            break
        n_stayed, rest = _without_those_that_stayed(values, np.uint64(multiplier))
        n, left, values = n + n_stayed, len(rest) / len(values), rest
        if left > 0.5:
            break
    values.sort()
    return n + min(len(values), 1) + int(np.count_nonzero(values[1:] != values[:-1]))


def _without_those_that_stayed(values: UInt64s, multiplier: np.uint64) -> tuple[int, UInt64s]:
    """How many slots are taken, and what has another value in its slot, in the values' place."""
    bits = min(len(values).bit_length(), _MOST_SLOT_BITS)
    # No value stands for an empty slot, but one that belongs elsewhere: 0, and 1 in the slot of 0.
    table = np.zeros(1 << bits, np.uint64)
    table[0] = 1
    # Into the same memory each time, as fresh memory costs more than the arithmetic.
    slots, stayed = np.empty(_AT_ONCE, np.uint64), np.empty(_AT_ONCE, np.uint64)
    blocks = [values[i : i + _AT_ONCE] for i in range(0, len(values), _AT_ONCE)]
    for block in blocks:
        table[_slots(block, multiplier, bits, slots)] = block
    n_left = 0
    for block in blocks:
        of_block = stayed[: len(block)]
        table.take(_slots(block, multiplier, bits, slots), out=of_block, mode="wrap")
        left = block[of_block != block]
        values[n_left : n_left + len(left)] = left
        n_left += len(left)
    return int(np.count_nonzero(table[1:]) + (table[0] != 1)), values[:n_left]


def _slots(values: UInt64s, multiplier: np.uint64, bits: int, into: UInt64s) -> np.ndarray:
    """The highest bits of products, as positions."""
    slots = into[: len(values)]
    np.multiply(values, multiplier, out=slots)
    np.right_shift(slots, np.uint64(64 - bits), out=slots)
    return slots.view(np.int64)
