"""Random numbers as a pure function of a seed and a position: no state to save, no library version.

A resumed run draws what an uninterrupted one draws, and a newer numpy draws the same.
"""

import numpy as np
from numpy.typing import NDArray

_GOLDEN = 0x9E3779B97F4A7C15
_WORD = 0xFFFFFFFFFFFFFFFF


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014)."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def stream(*parts: int) -> int:
    """64 bits that name the stream of `parts`, such as (seed, epoch, purpose)."""
    state = np.zeros(1, np.uint64)
    for part in parts:
        word = np.uint64((part * _GOLDEN + _GOLDEN) & _WORD)
        state = _mix((state ^ word) + np.uint64(_GOLDEN))
    return int(state[0])


def words(key: int, positions: NDArray[np.int64]) -> NDArray[np.uint64]:
    """64 random bits at each position of the stream `key`, shape of `positions`."""
    return _mix((positions.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN) + np.uint64(key))


def uniform(key: int, positions: NDArray[np.int64]) -> NDArray[np.float64]:
    """Numbers in [0, 1) at each position of the stream `key`, shape of `positions`."""
    return (words(key, positions) >> np.uint64(11)).astype(np.float64) * 2.0**-53
