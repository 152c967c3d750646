"""Histograms of scores: counts in bins of 1e-4, which add up over partitions."""

import numpy as np
import numpy.typing as npt
import polars as pl

from recap_assets.artefacts.scores import SCORE_HISTOGRAMS

Scores = npt.NDArray[np.float32]
BIN_WIDTH = 1e-4

LAST_BIN = 2**31 - 1
"""What the column holds: a score above 214,747 is in this bin, one far below 0 in its negative."""

_COUNTED_BY_PLACE = 1 << 22
"""Bins from the lowest to the highest that are counted in an array; beyond, scores are sorted."""


def bins_of(scores: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """The bin of each score, `floor((score + 1) / 1e-4)` in float64; the last ones have no end."""
    wide = np.asarray(scores, np.float64)
    return np.clip(np.floor((wide + 1.0) / BIN_WIDTH), -LAST_BIN, LAST_BIN).astype(np.int32)


def around_bin(number: int) -> tuple[float, float]:
    """Two numbers that all scores of a bin are between, a whole bin more on either side."""
    low, high = (number - 1) * BIN_WIDTH - 1.0, (number + 2) * BIN_WIDTH - 1.0
    return (low if number > -LAST_BIN else -np.inf, high if number < LAST_BIN else np.inf)


def score_histogram(scores: pl.Series | npt.NDArray[np.float32]) -> pl.DataFrame:
    """Counts of scores in bins of 1e-4; histograms of parts add up to that of the whole.

    Args:
        scores: One for each image. Nulls are no scores and do not count.

    Returns:
        `bin` and `n` of the table `score_histograms`, ascending, bins without scores left out.

    Raises:
        ValueError: If a score is not finite.
    """
    values = pl.Series(scores, dtype=pl.Float32).drop_nulls().to_numpy()
    if not np.isfinite(values).all():
        msg = f"a score is a finite number, not {values[~np.isfinite(values)][0]}"
        raise ValueError(msg)
    used, counts = _counted(bins_of(values))
    schema = {name: SCORE_HISTOGRAMS.schema[name] for name in ("bin", "n")}
    return pl.DataFrame({"bin": used, "n": counts}, schema=schema)


def _counted(
    bins: npt.NDArray[np.int32],
) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]]:
    lowest, highest = (int(bins.min()), int(bins.max())) if len(bins) else (0, 0)
    if highest - lowest > _COUNTED_BY_PLACE:
        return np.unique(bins, return_counts=True)
    counts = np.bincount(bins - lowest)
    used = np.flatnonzero(counts)
    return used + lowest, counts[used]
