"""Histograms of scores: counts in bins of 1e-4, which add up over partitions."""

import numpy as np
import numpy.typing as npt
import polars as pl

from recap_assets.artefacts.scores import SCORE_HISTOGRAMS

Scores = npt.NDArray[np.float32]
BIN_WIDTH = 1e-4


def bins_of(scores: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """The bin of each score, `floor((score + 1) / 1e-4)` in float64."""
    wide = np.asarray(scores, np.float64)
    return np.floor((wide + 1.0) / BIN_WIDTH).astype(np.int32)


def score_histogram(scores: pl.Series | npt.NDArray[np.float32]) -> pl.DataFrame:
    """Counts of scores in bins of 1e-4; histograms of parts add up to that of the whole.

    Args:
        scores: One for each image, cosines in [-1, 1]. Nulls are no scores and do not count.

    Returns:
        `bin` and `n` of the table `score_histograms`, ascending, bins without scores left out.

    Raises:
        ValueError: If a score is not finite or is outside [-1.001, 1.001].
    """
    values = pl.Series(scores, dtype=pl.Float32).drop_nulls().to_numpy()
    if not np.all(np.abs(values) <= 1.001):
        wrong = values[~(np.abs(values) <= 1.001)][0]
        msg = f"a score is a cosine in [-1, 1], not {wrong}"
        raise ValueError(msg)
    bins = bins_of(values)
    lowest = int(bins.min()) if len(bins) else 0
    counts = np.bincount(bins - lowest)
    used = np.flatnonzero(counts)
    schema = {name: SCORE_HISTOGRAMS.schema[name] for name in ("bin", "n")}
    return pl.DataFrame({"bin": used + lowest, "n": counts[used]}, schema=schema)
