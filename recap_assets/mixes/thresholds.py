"""Cut-offs by DataComp's rank and tie rule, exact to the last float32 bit, without a sort.

DataComp: `n = int(N * fraction); threshold = -np.sort(-scores)[n]; keep score >= threshold`. At
least n + 1 samples and every tie of the last one are kept. Where n = N (fraction 1.0), its code
fails; here everything is kept.

A histogram with bins of 1e-4, summed over partitions, names the bin that holds the cut-off; only
that bin's scores are read. Binning is monotone in the score, so this is exact.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from recap_assets.artefacts.histograms import (
    BIN_WIDTH,
    Scores,
    around_bin,
    bins_of,
    score_histogram,
)
from recap_assets.untrusted.errors import RecapError

Fetch = Callable[[float, float], Scores]
"""Scores between two numbers, ends included; more than asked for does no harm."""

_BLOCK = 1 << 16
_SAMPLE_STRIDE = 64
_SAMPLE_DEVIATIONS = 8.0


class EmptyPopulationError(RecapError, ValueError):
    """There is no scored sample to rank."""

    def __init__(self, source: str) -> None:
        self.source = source
        super().__init__(f"no sample of {source!r} has a score, so its best cannot be chosen")


class ScoresChangedError(RuntimeError):
    """Histogram and scores disagree: the scores were rewritten after they were counted."""


@dataclass(frozen=True)
class Cut:
    """A realised cut-off: keep `score >= value`, both float32.

    Attributes:
        value: The cut-off.
        population: Scored samples.
        n_at_or_above: Samples that it keeps.
        n_tied: Samples exactly at it.
    """

    value: float
    population: int
    n_at_or_above: int
    n_tied: int


def rank_of_fraction(population: int, fraction: float) -> int:
    """Zero-based rank of DataComp's cut-off among descending scores; the last one for 1.0."""
    return min(int(population * fraction), population - 1)


def exact_cutoff(histogram: pl.DataFrame, fetch: Fetch, n: int) -> float:
    """The score of zero-based rank `n` in descending order: `-np.sort(-scores)[n]`.

    Args:
        histogram: `bin`, `n`; rows of several partitions may stand below each other.
        fetch: Called once, for the scores of the bin that holds the rank.
        n: From 0 up to the number of scores, exclusive.

    Raises:
        IndexError: If there is no such rank.
        ScoresChangedError: If the bin's scores are not as many as the histogram says.
    """
    return cut_at_rank(histogram, fetch, n).value


def cut_at_rank(histogram: pl.DataFrame, fetch: Fetch, n: int) -> Cut:
    """`exact_cutoff` with the counts around it."""
    bins, counts = _descending(histogram)
    population = int(counts.sum())
    if not 0 <= n < population:
        msg = f"rank {n} of {population} scores"
        raise IndexError(msg)
    at_or_above = np.cumsum(counts)
    i = int(np.searchsorted(at_or_above, n, side="right"))
    above = int(at_or_above[i] - counts[i])
    inside = _scores_in_bin(fetch, int(bins[i]), int(counts[i]))
    value = inside[len(inside) - 1 - (n - above)]
    return _cut(value, population, above, inside)


def cut_at_value(histogram: pl.DataFrame, fetch: Fetch, value: float) -> Cut:
    """The counts around a given cut-off, which is rounded to float32 as scores are."""
    bins, counts = _descending(histogram)
    rounded = np.float32(value)
    boundary = int(bins_of(rounded))
    above = int(counts[bins > boundary].sum())
    expected = int(counts[bins == boundary].sum())
    inside = _scores_in_bin(fetch, boundary, expected) if expected else np.empty(0, np.float32)
    return _cut(rounded, int(counts.sum()), above, inside)


def cutoff_of_batches(batches: Iterable[npt.NDArray[np.floating]], fraction: float) -> float:
    """DataComp's cut-off of scores that arrive in batches, exact, with memory for one batch.

    The first pass counts, and takes every 64th score; these give a narrow bracket around the
    cut-off. The second counts what is above the bracket and keeps what is inside. Should the
    cut-off be outside after all, histograms find it in two more passes.

    Args:
        batches: Arrays of scores; it is iterated over at least twice, so it cannot be an iterator.
        fraction: In (0, 1].

    Raises:
        EmptyPopulationError: If there are no scores.
        TypeError: If `batches` is an iterator, which could be read only once.
    """
    if iter(batches) is batches:
        msg = "the batches are read twice: give something that can be iterated over again"
        raise TypeError(msg)
    population, sample = _count_and_sample(batches)
    if not population:
        raise EmptyPopulationError("the batches")
    rank = rank_of_fraction(population, fraction)
    low, high = _bracket(sample, rank / population)
    above, inside = _above_and_inside(batches, float(low), float(high))
    if above <= rank < above + len(inside):
        at = len(inside) - 1 - (rank - above)
        return float(np.partition(inside, at)[at] + np.float32(0))
    histogram = pl.concat([score_histogram(np.asarray(batch, np.float32)) for batch in batches])
    return exact_cutoff(histogram, lambda lo, hi: _above_and_inside(batches, lo, hi)[1], rank)


def _descending(histogram: pl.DataFrame) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    total = histogram.group_by("bin").agg(pl.col("n").sum()).sort("bin", descending=True)
    return total["bin"].to_numpy().astype(np.int64), total["n"].to_numpy().astype(np.int64)


def _scores_in_bin(fetch: Fetch, number: int, expected: int) -> Scores:
    # A whole bin more on either side: whatever arithmetic the fetching engine compares with, no
    # score of this bin is missed, and the same function as in the counting decides.
    near = np.asarray(fetch(*around_bin(number)), np.float32)
    inside = np.sort(near[bins_of(near) == number])
    if len(inside) != expected:
        near_to = number * BIN_WIDTH - 1.0
        msg = f"{expected} scores were counted near {near_to:.4f}, {len(inside)} are there now"
        raise ScoresChangedError(msg)
    return inside


def _cut(value: np.float32, population: int, above: int, inside: Scores) -> Cut:
    kept = int(np.count_nonzero(inside >= value))
    tied = int(np.count_nonzero(inside == value))
    # -0.0 and 0.0 are one cut-off and have to be one value in the table.
    return Cut(float(value + np.float32(0)), population, above + kept, tied)


def _count_and_sample(batches: Iterable[npt.NDArray[np.floating]]) -> tuple[int, Scores]:
    population, parts = 0, [np.empty(0, np.float32)]
    for batch in batches:
        # The stride runs on across batches, so that tiny batches are not sampled whole.
        parts.append(batch[-population % _SAMPLE_STRIDE :: _SAMPLE_STRIDE].astype(np.float32))
        population += len(batch)
    return population, np.sort(np.concatenate(parts))


def _bracket(sample: Scores, fraction: float) -> tuple[np.float32, np.float32]:
    n = len(sample)
    centre = n * (1.0 - fraction)
    margin = _SAMPLE_DEVIATIONS * np.sqrt(n * fraction * (1.0 - fraction)) + 1.0
    below, above = int(centre - margin), int(centre + margin)
    low = sample[below] if below >= 0 else np.float32(-np.inf)
    high = sample[above] if above < n else np.float32(np.inf)
    return low, high


def _above_and_inside(
    batches: Iterable[npt.NDArray[np.floating]], low: float, high: float
) -> tuple[int, Scores]:
    above, parts = 0, [np.empty(0, np.float32)]
    low32, high32 = np.float32(low), np.float32(high)
    for batch in batches:
        for start in range(0, len(batch), _BLOCK):
            block = batch[start : start + _BLOCK].astype(np.float32, copy=False)
            too_high = block > high32
            above += int(np.count_nonzero(too_high))
            parts.append(block[(block >= low32) & ~too_high])
    return above, np.concatenate(parts)
