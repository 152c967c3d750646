import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recap_assets.artefacts.histograms import BIN_WIDTH, score_histogram
from recap_assets.mixes import thresholds
from recap_assets.mixes.thresholds import (
    EmptyPopulationError,
    ScoresChangedError,
    cut_at_rank,
    cut_at_value,
    cutoff_of_batches,
    exact_cutoff,
    rank_of_fraction,
)


def datacomp_threshold(scores, fraction):
    """DataComp's baselines/utils.py, with the index that fraction 1.0 would need."""
    n = min(int(len(scores) * fraction), len(scores) - 1)
    return -np.sort(-scores)[n]


def fetch_from(scores):
    return lambda low, high: scores[(scores >= low) & (scores <= high)]


def near_bin_borders():
    """Scores on the borders of bins and one float32 step beside them."""
    border = st.integers(-10_000, 10_000).map(lambda i: np.float32(i * BIN_WIDTH))
    step = st.sampled_from([-np.inf, 0.0, np.inf])
    return st.builds(
        lambda x, to: float(np.clip(np.nextafter(x, np.float32(to)) if to else x, -1, 1)),
        border,
        step,
    )


SCORES = st.one_of(
    hnp.arrays(np.float32, st.integers(1, 300), elements=st.floats(-1, 1, width=32)),
    hnp.arrays(np.float16, st.integers(1, 300), elements=st.floats(-1, 1, width=16)).map(
        lambda a: a.astype(np.float32)
    ),
    st.lists(near_bin_borders(), min_size=1, max_size=100).map(lambda x: np.array(x, np.float32)),
)


@given(SCORES, st.floats(0.001, 1.0), st.integers(1, 5))
@settings(max_examples=300)
def test_cutoffs_are_those_of_the_sort(scores, fraction, n_parts):
    expected = datacomp_threshold(scores, fraction)
    parts = np.array_split(scores, n_parts)
    histogram = pl.concat([score_histogram(part) for part in parts])
    rank = rank_of_fraction(len(scores), fraction)
    cut = cut_at_rank(histogram, fetch_from(scores), rank)
    assert exact_cutoff(histogram, fetch_from(scores), rank) == expected
    assert cutoff_of_batches(parts, fraction) == expected
    assert (cut.population, cut.n_at_or_above, cut.n_tied) == (
        len(scores),
        np.count_nonzero(scores >= expected),
        np.count_nonzero(scores == expected),
    )


@given(SCORES, st.floats(-1, 1))
def test_counts_around_a_given_cutoff(scores, value):
    cut = cut_at_value(score_histogram(scores), fetch_from(scores), value)
    assert cut.value == np.float32(value)
    assert cut.n_at_or_above == np.count_nonzero(scores >= np.float32(value))
    assert cut.n_tied == np.count_nonzero(scores == np.float32(value))


@pytest.mark.parametrize(
    ("scores", "fraction", "value", "kept"),
    [
        ([0.5, 0.25, 0.125, 0.75], 0.5, 0.25, 3),  # n = 2, and rank 2 itself is kept
        ([0.5, 0.25, 0.25, 0.25], 0.25, 0.25, 4),  # every tie is kept
        ([0.5, 0.25, 0.125, 0.75], 0.2, 0.75, 1),  # int(0.8) = 0: the best one
        ([0.5, 0.25], 1.0, 0.25, 2),  # DataComp fails here
        ([0.5], 0.3, 0.5, 1),
        ([0.5], 1.0, 0.5, 1),
        ([-0.0, 0.0], 0.5, 0.0, 2),
    ],
)
def test_datacomps_rank_and_tie_rule(scores, fraction, value, kept):
    array = np.array(scores, np.float32)
    rank = rank_of_fraction(len(array), fraction)
    cut = cut_at_rank(score_histogram(array), fetch_from(array), rank)
    assert (cut.value, cut.n_at_or_above) == (value, kept)
    assert str(cut.value) == str(value)
    assert cutoff_of_batches([array], fraction) == value


def test_the_rank_is_cut_down_as_python_cuts_it():
    # 100 * 0.29 is 28.999999999999996 in float64, and DataComp keeps what follows from that.
    assert rank_of_fraction(100, 0.29) == 28


def test_histogram_is_the_tables_and_leaves_out_nulls():
    histogram = score_histogram(pl.Series([-1.0, 0.0, 0.0, None, 1.0], dtype=pl.Float32))
    assert histogram.rows() == [(0, 1), (10_000, 2), (20_000, 1)]
    assert histogram.schema == {"bin": pl.Int32, "n": pl.Int64}
    assert score_histogram(np.empty(0, np.float32)).height == 0


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(wrong):
    with pytest.raises(ValueError, match="finite"):
        score_histogram(np.array([0.1, wrong], np.float32))


@pytest.mark.parametrize("scale", [7.0, 1e3, 3e5, 1e30])
def test_cutoffs_of_scores_on_any_scale_are_those_of_the_sort(scale):
    generator = np.random.default_rng(1)
    scores = (scale * generator.normal(size=5_000)).astype(np.float32)
    scores[::7] = scores[0]
    histogram = pl.concat([score_histogram(part) for part in np.array_split(scores, 3)])
    assert histogram["n"].sum() == len(scores)
    for rank in (0, 10, 2_500, 4_999):
        cut = cut_at_rank(histogram, fetch_from(scores), rank)
        assert cut.value == -np.sort(-scores)[rank]
        assert cut.n_at_or_above == np.count_nonzero(scores >= np.float32(cut.value))
    assert cut_at_value(histogram, fetch_from(scores), scale).n_at_or_above == np.count_nonzero(
        scores >= np.float32(scale)
    )


def test_only_the_bin_of_the_cutoff_is_fetched():
    scores = np.random.default_rng(0).normal(0.2, 0.05, 10_000).astype(np.float32)
    asked = []

    def fetch(low, high):
        asked.append((low, high))
        return fetch_from(scores)(low, high)

    exact_cutoff(score_histogram(scores), fetch, 3_000)
    assert len(asked) == 1
    assert asked[0][1] - asked[0][0] < 4 * BIN_WIDTH


def test_scores_rewritten_since_they_were_counted_are_noticed():
    scores = np.array([0.1, 0.2, 0.3], np.float32)
    with pytest.raises(ScoresChangedError):
        exact_cutoff(score_histogram(scores), fetch_from(scores[:2]), 0)


def test_ranks_that_do_not_exist_are_refused():
    scores = np.array([0.1], np.float32)
    for rank in (-1, 1):
        with pytest.raises(IndexError):
            exact_cutoff(score_histogram(scores), fetch_from(scores), rank)


def test_batches_without_scores_and_iterators_are_refused():
    with pytest.raises(EmptyPopulationError):
        cutoff_of_batches([np.empty(0, np.float32)], 0.3)
    with pytest.raises(TypeError, match="twice"):
        cutoff_of_batches(iter([np.zeros(3, np.float32)]), 0.3)


def test_a_sample_that_misleads_is_noticed(monkeypatch):
    # Every 64th score, the ones that are sampled, lies far above all others.
    scores = np.random.default_rng(0).normal(0.1, 0.01, 64 * 500).astype(np.float32)
    scores[::64] += np.float32(0.5)
    counted = []
    monkeypatch.setattr(
        thresholds, "score_histogram", lambda s: counted.append(len(s)) or score_histogram(s)
    )
    assert cutoff_of_batches(np.array_split(scores, 7), 0.3) == datacomp_threshold(scores, 0.3)
    assert sum(counted) == len(scores)
