"""A draw with repeats: how many copies of each pair there are, as `specs.mixes.Copies` says."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import polars as pl

from recap_assets.artefacts.histograms import Scores
from recap_assets.artefacts.uids import uid_uniform
from recap_assets.mixes.one_image import OneImage
from recap_assets.mixes.spool import Spool
from recap_assets.mixes.thresholds import Cut
from recap_assets.mixes.words import distinguished
from recap_assets.specs.columns import USED, scorer_and_name
from recap_assets.specs.conditions import used_score
from recap_assets.specs.mixes import Copies, Mix
from recap_assets.untrusted.errors import RecapError

PATH = "copies"
"""Where in a mix, and in `thresholds`, the score of one expected copy is."""

COUNT = pl.Int32
_BINS = 4_096
_BISECTIONS = 64

Floats = npt.NDArray[np.float64]


class CopiesError(RecapError, ValueError):
    """As many copies as are asked for cannot be drawn; the text says how many can."""


def drawn(mix: Mix, spec: Copies, thresholds: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    """`Images.frame` with the copies of each image's pair; `accepted` where there is any.

    Args:
        mix: Whose rules took the images.
        spec: Its `copies`.
        thresholds: `path` and `value`, with that of PATH.
        frame: With `accepts.i` of each rule, and the scores that are read.

    Returns:
        It with `score_of_copies`, `expected_copies`, `copy_draw` (the number in [0, 1) that rounds)
        and `copies`, which are 0 where no rule takes the image.

    Raises:
        KeyError: If PATH has no value.
    """
    one = dict(thresholds.select("path", "value").iter_rows())[PATH]
    scores = frame.select(taken_score(mix, spec).alias("score_of_copies")).to_series()
    expected = expected_copies(spec, scores.cast(pl.Float64).fill_null(np.nan).to_numpy(), one)
    draw = uid_uniform(spec.seed, frame["uid"], "copies")
    whole = np.floor(expected)
    frame = frame.with_columns(
        scores,
        expected_copies=pl.Series(expected),
        copy_draw=pl.Series(draw),
        copies=pl.Series(whole + (draw < expected - whole)).cast(COUNT),
    )
    copies = pl.when("accepted").then("copies").otherwise(0)
    return frame.with_columns(copies.alias("copies"), (copies > 0).alias("accepted"))


def words(spec: Copies, image: OneImage) -> str:
    """How the draw for one image came out that a rule takes."""
    expected: float = image.values["expected_copies"]
    n: int = image.values["copies"]
    score: float | None = image.values["score_of_copies"]
    scored = f"{spec.of} " + ("has no score" if score is None else distinguished(score)[0])
    one = f"one copy is expected at {distinguished(image.cutoffs[PATH]['value'])[0]}"
    draw, left = distinguished(image.values["copy_draw"], expected - np.floor(expected))
    comes = f"draw {draw} {'<' if n > np.floor(expected) else '>='} {left}"
    times = "once" if n == 1 else f"{n} times"
    of = f"{expected:.4g} expected, {scored}, {one}, at most {spec.cap}, seed {spec.seed}"
    return f"{'not drawn' if n == 0 else f'drawn {times}'}: {comes} ({of})"


def taken_score(mix: Mix, spec: Copies) -> pl.Expr:
    """The score that decides the copies of each image's pair, null where there is none."""
    if scorer_and_name(spec.of)[1] != USED:
        return pl.col(f"score.{spec.of}")
    by_rule = [
        pl.when(f"accepts.{i}").then(pl.col(used_score(i, spec.of))) for i in range(len(mix.rules))
    ]
    return pl.coalesce(by_rule)


def expected_copies(spec: Copies, scores: Floats, one: float) -> Floats:
    """How many copies are expected; 0 where a score is NaN.

    Args:
        spec: The rule.
        scores: Shape (n,).
        one: The score of which one copy is expected.
    """
    of_one = log_weights(spec, np.array([one], np.float64))[0]
    return _expected(spec, log_weights(spec, scores) - of_one)


def log_weights(spec: Copies, scores: Floats) -> Floats:
    """The logarithm of each score's weight; -inf where that is 0 or there is no score."""
    if spec.weights == "softmax":
        found = scores / spec.temperature
    else:
        found = np.full(scores.shape, -np.inf)
        np.log(scores, out=found, where=scores > 0)
    return np.where(np.isnan(scores), -np.inf, found)


def _expected(spec: Copies, log_ratios: Floats) -> Floats:
    """Copies by the logarithm of the weight over that of one expected copy."""
    if spec.penalty:
        found = np.logaddexp(0, log_ratios + _log_expm1(spec.penalty)) / spec.penalty
    else:
        found = np.exp(np.minimum(log_ratios, np.log(spec.cap)))
    return np.minimum(found, spec.cap)


def _log_ratio_of_cap(spec: Copies) -> float:
    if spec.penalty:
        return _log_expm1(spec.penalty * spec.cap) - _log_expm1(spec.penalty)
    return float(np.log(spec.cap))


def _log_expm1(value: float) -> float:
    """log(exp(value) - 1), also where exp(value) is no number."""
    return float(value + np.log(-np.expm1(-value)))


def realise_copies(spec: Copies, scores: Iterable[pl.Series]) -> Cut:
    """The score of which one copy is expected where all together are `size`, and counts around it.

    It is found in bins of the weight, each 1/4096 wide in its logarithm, so that it depends on
    counts alone, and not on the order of the pairs or on how the pool is cut; the expected total
    is `size` within 0.02 %. On disk meanwhile: 4 bytes a pair.

    Args:
        spec: The rule.
        scores: Of the pairs that the rules take, a part of the pool at a time; null for none.

    Raises:
        CopiesError: The cap leaves fewer copies than `size`.
    """
    with Spool(scores) as spool:
        bins, counts = _counted(spec, spool)
        population = int(counts.sum())
        if spec.size > spec.cap * population:
            msg = (
                f"copies.size: {spec.size:,} copies are asked for, and {population:,} pairs with a "
                f"weight above 0, each at most {spec.cap:,} times, give "
                f"{spec.cap * population:,}: raise cap, lower size, or let the rules take more"
            )
            raise CopiesError(msg)
        one = _score_of(spec, _solved(spec, (bins + 0.5) / _BINS, counts))
        above = sum(int(np.count_nonzero(part >= one)) for part in spool)
        tied = sum(int(np.count_nonzero(part == one)) for part in spool)
    return Cut(float(one + np.float32(0)), population, above, tied)


def _solved(spec: Copies, weights: Floats, counts: npt.NDArray[np.int64]) -> float:
    """The log weight of one expected copy."""

    def total(at: float) -> float:
        return float(np.dot(counts, _expected(spec, weights - at)))

    low = float(weights.min()) - _log_ratio_of_cap(spec)
    high, step = float(weights.max()), 1.0
    while total(high) > spec.size:
        high, step = high + step, 2 * step
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if total(middle) > spec.size else (low, middle)
    return high


def _score_of(spec: Copies, log_weight: float) -> np.float32:
    if spec.weights == "softmax":
        return np.float32(log_weight * spec.temperature)
    return np.float32(np.exp(log_weight))


def _counted(
    spec: Copies, parts: Iterable[Scores]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Bins of the log weight and pairs in each, without those of no weight."""
    frames = [pl.DataFrame(schema={"bin": pl.Int64, "n": pl.Int64})]
    for part in parts:
        weights = log_weights(spec, part.astype(np.float64))
        kept = np.floor(weights[np.isfinite(weights)] * _BINS)
        bins, counts = np.unique(kept.astype(np.int64), return_counts=True)
        frames.append(pl.DataFrame({"bin": bins, "n": counts.astype(np.int64)}))
    total = pl.concat(frames).group_by("bin").agg(pl.col("n").sum()).sort("bin")
    return total["bin"].to_numpy(), total["n"].to_numpy()
