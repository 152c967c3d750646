"""What is left out of a source's captions changes no mix, whatever its rules."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest

from recap_assets.mixes.conditions.kind import Known
from recap_assets.mixes.copies import CopiesError
from recap_assets.mixes.cutoffs import realise
from recap_assets.mixes.needed import known_cutoffs
from recap_assets.mixes.needed_images import needed_uids
from recap_assets.mixes.score_view import ScoreView
from recap_assets.mixes.selection import select
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.mixes import Mix
from recap_assets.specs.needed import Needs, needs_of
from recap_assets_tests.mixes.drawn_mixes import Drawn, Scores
from recap_assets_tests.mixes.pools import uid_of
from recap_assets_tests.tiny import EXPERIMENT, tiny_experiment

N = 80
SCORES = Scores(
    known=("raw", "l.raw"), others=("a", "b", "l.a", "l.b", "used", "l.used"), ranks="l"
)
COLUMNS = ("raw", "a", "b", "l.raw", "l.a", "l.b")
Frames = Mapping[str, pl.DataFrame]
SOURCE = {**EXPERIMENT["sources"]["a"], "only": "used"}
WORDS = {"kind": "words", "measure": "words"}
MAIN = [{"use": "raw", "where": {"top": 0.3}}, {"use": "a"}]


def experiment(rules: Any) -> Experiment:
    mix = {"scorer": "m", **(rules if isinstance(rules, dict) else {"rules": rules})}
    return tiny_experiment(
        sources={"a": SOURCE, "b": SOURCE},
        scorers={"m": {"kind": "embedded", "model": "scorer"}, "l": WORDS},
        sets={"some": {"uids": "some.npy"}},
        mixes={"mix": mix},
        report={},
        evaluation={},
    )


def pool(seed: int) -> Frames:
    """Captions, two of each image by a; one text in eight is missing, and some scores are."""
    draw, found = np.random.default_rng(seed), dict[str, pl.DataFrame]()
    schema = {"uid": pl.Binary, "shard": pl.Int32, "candidate": pl.Int16, "text": pl.String}
    for column in COLUMNS:
        scorer, _, source = column.rpartition(".")
        rows = [
            (uid_of(i), i // 40, candidate,
             None if draw.random() < 0.12 else f"{source} {i} {candidate}",
             None if draw.random() < 0.06 else (20 if scorer else 1) * float(draw.random()))
            for i in range(N)
            for candidate in range(2 if source == "a" else 1)
        ]  # fmt: skip
        frame = pl.DataFrame(rows, schema={**schema, "score": pl.Float32}, orient="row")
        found[column] = frame.drop("text") if scorer else frame
    return found


SETS = {"some": pl.Series([uid_of(i) for i in range(0, N, 3)], dtype=pl.Binary)}


def view(frames: Frames, column: str) -> ScoreView:
    return ScoreView(lambda low: [frames[column].filter(pl.col("score") >= low)])


def pairs(mix: Mix, frames: Frames) -> pl.DataFrame:
    cutoffs = realise(mix, "m", lambda one: view(frames, one), lambda: [(frames, SETS)])
    return select(mix, cutoffs, frames, SETS)


def part_of(frames: Frames, found: Experiment) -> Frames:
    """The pool with the captions that `only: used` makes."""
    left = dict(frames)
    for name in found.sources:
        needs = needs_of(found, name)
        if needs is not None and not needs.whole:
            kept = needed(left, needs)
            for column in (name, f"l.{name}"):
                left[column] = left[column].filter(pl.col("uid").is_in(kept.implode()))
    return left


def needed(left: Frames, needs: Needs) -> pl.Series:
    uids = left["raw"]["uid"]
    found = pl.Series([False]).new_from_index(0, len(uids))
    for need in needs.mixes.values():
        asked = needs.reads(need)
        read = {column: left[column] for column in asked.texts | {"raw"}}
        read |= {f"{s}.{x}": left[f"{s}.{x}"] for s, x in asked.scores if s != "m"}
        paths = known_cutoffs(needs, need)
        cutoffs = realise(need.mix, "m", lambda one: view(left, one), only=paths)
        values = dict(cutoffs.select("path", "value").iter_rows())
        found |= needed_uids(needs, need, uids, read, Known(values, SETS))
    return uids.filter(found)


@pytest.mark.parametrize("seed", range(120))
def test_random_mixes_are_those_of_all_captions(seed: int) -> None:
    found, frames = experiment(Drawn(seed, SCORES).mix()), pool(seed)
    mix, part = found.mixes["mix"], part_of(frames, found)
    try:
        expected = pairs(mix, frames)
    except CopiesError:
        with pytest.raises(CopiesError):
            pairs(mix, part)
    else:
        assert pairs(mix, part).equals(expected)


@pytest.mark.parametrize(
    ("rules", "is_needed"),
    [
        (MAIN, "score < cut"),
        # A first rule that looks at the captions decides of all.
        ([{"use": "raw", "where": {"at_least": 0.3, "of": "a"}}], "has"),
        ([{"use": "raw"}, {"use": "a"}], "not has"),
        ({"rules": MAIN[::-1], "combine": "all"}, "any"),
        ([{"use": "raw", "where": {"all": [{"in_set": "some"}, {"at_least": 0.1, "of": "a"}]}}],
         "has, some"),
        ([{"use": "raw", "where": {"any": [{"in_set": "some"}, {"at_least": 0.1, "of": "a"}]}}],
         "has, not some"),
        ([{"use": {"join": ["raw", "a"]}}], "has"),
        ([{"use": "raw"}], "none"),
        ([{"use": "a", "where": {"top": 0.2}}], "any"),
    ],
)  # fmt: skip
def test_what_is_needed_is_what_the_rules_leave_open(rules: Any, is_needed: str) -> None:
    frames, found = pool(0), experiment(rules)
    raw = frames["raw"]
    cut = raw["score"].drop_nulls().sort(descending=True)[int(raw["score"].count() * 0.3)]
    has, some = raw["text"].is_not_null(), raw["uid"].is_in(SETS["some"].implode())
    expected = {
        # Where the raw text has no score, the rule that needs one does not take it.
        "score < cut": ~(has & (raw["score"] >= cut).fill_null(value=False)),
        "has": has, "not has": ~has, "any": has | ~has, "none": has & ~has,
        "has, some": has & some, "has, not some": has & ~some,
    }[is_needed]  # fmt: skip
    kept = part_of(frames, found)["a"]["uid"].unique()
    assert set(kept) == set(raw["uid"].filter(expected))
