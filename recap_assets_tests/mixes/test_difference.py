import hashlib
import statistics

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.mixes.difference import (
    CHANGES,
    COMPARED,
    Comparison,
    ScoreTally,
    changes_between,
)
from recap_assets_tests.mixes.pools import uid_of

SCHEMA = {name: CURATED_MIXES.schema[name] for name in COMPARED}


def frame(rows):
    full = [(uid_of(i), *rest) if len(rest) == 5 else (uid_of(i), *rest, 1) for i, *rest in rows]
    return pl.DataFrame(full, schema=SCHEMA, orient="row")


def score_of(source, text):
    """One score for a caption, as a scorer gives it."""
    digest = hashlib.blake2b(f"{source} {text}".encode(), digest_size=2).digest()
    return float(np.float16(int.from_bytes(digest) / 2**17))


def mixes(max_pairs):
    """Rows of a mix: up to so many pairs an image, few texts, sources, weights and copies."""
    caption = st.tuples(
        st.sampled_from(["raw", "a"]),
        st.sampled_from(["x", "y"]),
        st.sampled_from([1.0, 2.0, 3.0]),
        st.sampled_from([1, 1, 2]),
    )
    images = st.dictionaries(
        st.integers(0, 6), st.lists(caption, min_size=1, max_size=max_pairs), max_size=6
    )
    return images.map(
        lambda by_image: [
            (i, source, text, score_of(source, text), weight, copies)
            for i, captions in by_image.items()
            for source, text, weight, copies in captions
        ]
    )


def summed(rows):
    """The weight and the copies of each source and text, by image."""
    found = {}
    for i, source, text, _, weight, copies in rows:
        captions = found.setdefault(uid_of(i), {})
        before = captions.get((source, text), (0.0, 0))
        captions[source, text] = (before[0] + weight, before[1] + copies)
    return found


def change_of(before, after):
    if before is None:
        return "added"
    if after is None:
        return "removed"
    if {text for _, text in before} != {text for _, text in after}:
        return "recaptioned"
    if before.keys() != after.keys():
        return "resourced"
    return None if before == after else "reweighted"


def test_samples_that_differ_in_copies_alone_have_an_order():
    pairs = [(0, "a", "y", 0.5, 2.0, 1), (0, "a", "y", 0.5, 2.0, 2)]
    found = []
    for order in (pairs, pairs[::-1]):
        comparison = Comparison()
        comparison.add(frame(order), frame([]))
        found.append(comparison.samples["copies"].to_list())
    assert found == [[1, 2], [1, 2]]


@pytest.mark.parametrize("max_pairs", [1, 3])
@given(data=st.data(), n_parts=st.integers(1, 3), seed=st.integers(0, 5))
@settings(max_examples=40)
def test_every_image_is_told_by_its_set_of_source_text_weight_and_copies(
    max_pairs, data, n_parts, seed
):
    rows = [data.draw(mixes(max_pairs)) for _ in range(2)]
    before, after = (frame(side).sample(fraction=1.0, shuffle=True, seed=seed) for side in rows)
    old, new = (summed(side) for side in rows)
    uids = old.keys() | new.keys()
    expected = {uid: change_of(old.get(uid), new.get(uid)) for uid in uids}
    changed, captions = changes_between(before, after)
    assert dict(changed.iter_rows()) == {uid: c for uid, c in expected.items() if c}
    assert changed.height == changed["uid"].n_unique()
    both = old.keys() & new.keys()
    for side, mine, other in (("before", old, new), ("after", new, old)):
        scores = [score_of(*c) for uid in both for c in mine[uid].keys() - other[uid].keys()]
        assert sorted(captions.filter(side=side)["score"]) == sorted(scores)
    comparison = Comparison(n_samples=2, seed=seed)
    for part in range(n_parts):
        mine = [uid_of(i) for i in range(7) if i % n_parts == part]
        in_part = pl.col("uid").is_in(pl.Series(mine).implode())
        comparison.add(before.filter(in_part), after.filter(in_part))
    assert comparison.n_same == sum(change is None for change in expected.values())
    assert comparison.n_changed == {
        change: sum(found == change for found in expected.values()) for change in CHANGES
    }
    whole = Comparison(n_samples=2, seed=seed)
    whole.add(before, after)
    assert comparison.samples.equals(whole.samples)
    for side, pairs in ((comparison.before, before), (comparison.after, after)):
        assert side.n_pairs == pairs.height
        assert side.n_images == pairs["uid"].n_unique()
        assert side.n_copies == pairs["copies"].sum()
        assert side.n_by_source == dict(pairs.group_by("source").len().iter_rows())


def test_samples_are_whole_images_drawn_by_uid_and_seed():
    before = frame([(i, "raw", f"r{i}", 0.2, 1.0) for i in range(50)])
    after = frame(
        [(i, source, f"{source}{i}", 0.3, 1.0) for i in range(25) for source in ("raw", "a")]
    )

    def samples(seed):
        comparison = Comparison(n_samples=3, seed=seed)
        comparison.add(before, after)
        return comparison.samples

    found = samples(0)
    assert found.select("change", "side").unique().sort("change", "side").rows() == [
        ("recaptioned", "after"),
        ("recaptioned", "before"),
        ("removed", "before"),
    ]
    assert found.filter(change="recaptioned", side="after").height == 6
    assert found.group_by("change").agg(pl.col("uid").n_unique())["uid"].to_list() == [3, 3]
    assert samples(0).equals(found)
    assert set(samples(1)["uid"]) != set(found["uid"])


def test_no_samples_are_kept_where_none_are_wanted():
    comparison = Comparison(n_samples=0)
    comparison.add(frame([(0, "raw", "r", 0.2, 1.0)]), frame([]))
    assert comparison.samples.is_empty()
    assert comparison.n_changed["removed"] == 1


@given(
    scores=st.lists(st.none() | st.floats(-1, 1, width=16), max_size=40),
    parts=st.integers(1, 4),
    share=st.sampled_from([0.05, 0.25, 0.5, 0.95, 1.0]),
)
@settings(max_examples=40)
def test_scores_add_up_over_parts(scores, parts, share):
    tally = ScoreTally()
    for part in range(parts):
        tally.add(pl.Series(scores[part::parts], dtype=pl.Float32))
    known = sorted(score for score in scores if score is not None)
    assert (tally.n, tally.n_missing) == (len(known), len(scores) - len(known))
    if not known:
        assert tally.mean is None
        assert tally.quantile(share) is None
        return
    assert tally.mean == pytest.approx(statistics.fmean(known), abs=1e-6)
    rank = max(int(np.ceil(share * len(known) - 1e-9)), 1) - 1
    assert tally.quantile(share) == pytest.approx(known[rank], abs=6e-5)


def test_two_empty_mixes_do_not_differ():
    comparison = Comparison()
    comparison.add(frame([]), frame([]))
    assert comparison.n_same == 0
    assert not any(comparison.n_changed.values())
    assert comparison.before.scores.mean is None
