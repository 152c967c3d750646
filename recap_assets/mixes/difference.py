"""What differs between two mixes, or two versions of one, added up a part of the pool at a time.

An image is the same in both where its texts, their sources, weights and copies are. Pairs of one
source and text, which several rules of a mix may give, count as one with the sum of their weights,
as training draws them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import polars as pl

from recap_assets.artefacts import (
    BIN_WIDTH,
    CURATED_MIXES,
    has_repeats,
    score_histogram,
    uid_hashes,
)

Change = Literal["added", "removed", "recaptioned", "resourced", "reweighted"]
"""What became of an image, from before to after. recaptioned: other texts. resourced: the same
texts from other sources. reweighted: the same texts and sources with other weights or copies."""

CHANGES: tuple[Change, ...] = get_args(Change)
COMPARED = ("uid", "source", "text", "score", "weight", "copies")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

MEANINGS: Mapping[Change, str] = {
    "added": "added",
    "removed": "removed",
    "recaptioned": "with another text",
    "resourced": "with the same text from another source",
    "reweighted": "with another weight or number of copies",
}
"""What is said of the images of each change."""

_PAIR = ["uid", "source", "text"]
_SAME = ("text", "source", "weight", "copies")
_SAMPLE_SCHEMA = pl.Schema(
    {"change": pl.String, "draw": pl.UInt64, "side": pl.String}
    | {name: CURATED_MIXES.schema[name] for name in COMPARED}
)


@dataclass
class ScoreTally:
    """Scores, added up.

    Attributes:
        n: Scores.
        n_missing: Pairs without one.
        total: Sum of the scores.
    """

    n: int = 0
    n_missing: int = 0
    total: float = 0.0
    _histogram: pl.DataFrame = field(
        default_factory=lambda: score_histogram(pl.Series([], dtype=pl.Float32))
    )

    def add(self, scores: pl.Series) -> None:
        """Count more scores; null where a pair has none."""
        known = scores.drop_nulls()
        self.n += len(known)
        self.n_missing += len(scores) - len(known)
        self.total += float(known.cast(pl.Float64).sum())
        counts = pl.concat([self._histogram, score_histogram(known)])
        self._histogram = counts.group_by("bin").agg(pl.col("n").sum())

    @property
    def mean(self) -> float | None:
        """None where there is no score."""
        return self.total / self.n if self.n else None

    def quantile(self, share: float) -> float | None:
        """The smallest score that has `share` of all scores at or below it, within 0.00005.

        None where there is no score.
        """
        if not self.n:
            return None
        ascending = self._histogram.sort("bin")
        reached = ascending.filter(pl.col("n").cum_sum() >= share * self.n)
        return round((reached["bin"][0] + 0.5) * BIN_WIDTH - 1.0, 5)


@dataclass
class Side:
    """One of the two mixes, added up."""

    n_pairs: int = 0
    n_images: int = 0
    n_copies: int = 0
    n_by_source: dict[str, int] = field(default_factory=dict[str, int])
    scores: ScoreTally = field(default_factory=ScoreTally)
    changed_scores: ScoreTally = field(default_factory=ScoreTally)
    """Of the captions that only this side has, of images that both sides have."""

    def add(self, pairs: pl.DataFrame) -> None:
        """Count more pairs."""
        self.n_pairs += pairs.height
        self.n_copies += int(pairs["copies"].sum())
        uids = pairs["uid"]
        self.n_images += uids.n_unique() if has_repeats(uids) else len(uids)
        for source, n in pairs.group_by("source").len().sort("source").iter_rows():
            self.n_by_source[source] = self.n_by_source.get(source, 0) + n
        self.scores.add(pairs["score"])


@dataclass
class Comparison:
    """Two mixes, compared a part of the pool at a time.

    Attributes:
        n_samples: Images of each change that are kept as samples.
        seed: Decides which ones; neither order nor parts do.
        before: The first mix, added up.
        after: The second.
        n_same: Images that are the same in both.
        n_changed: Images by what became of them.
        samples: Pairs of the sample images: `change`, `draw`, `side` (`before` or `after`) and
            COMPARED, in the order of CHANGES and the draw.
    """

    n_samples: int = 5
    seed: int = 0
    before: Side = field(default_factory=Side)
    after: Side = field(default_factory=Side)
    n_same: int = 0
    n_changed: dict[Change, int] = field(default_factory=lambda: dict.fromkeys(CHANGES, 0))
    samples: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_SAMPLE_SCHEMA))

    def add(self, before: pl.DataFrame, after: pl.DataFrame) -> None:
        """Compare one part of the pool.

        Args:
            before: COMPARED of the first mix, in any order; all pairs of an image in one part.
            after: Of the second mix, of the same images.
        """
        self.before.add(before)
        self.after.add(after)
        changed, captions = changes_between(before, after)
        n_before = self.before.n_images
        counts = dict(changed.group_by("change").len().iter_rows())
        for change in CHANGES:
            self.n_changed[change] += counts.get(change, 0)
        self.n_same = n_before - sum(self.n_changed[c] for c in CHANGES if c != "added")
        self.before.changed_scores.add(captions.filter(side="before")["score"])
        self.after.changed_scores.add(captions.filter(side="after")["score"])
        self._keep_samples(changed, before, after)

    def _keep_samples(
        self, changed: pl.DataFrame, before: pl.DataFrame, after: pl.DataFrame
    ) -> None:
        drawn = changed.with_columns(
            draw=pl.Series(uid_hashes(self.seed, "comparison", changed["uid"]), dtype=pl.UInt64)
        )
        # Only those that can still be among the smallest draws are looked up.
        drawn = _smallest_draws(drawn, self.n_samples)
        sides = [
            pairs.select(COMPARED)
            .filter(pl.col("uid").is_in(drawn["uid"].implode()))
            .join(drawn, on="uid")
            .with_columns(side=pl.lit(side))
            for side, pairs in (("before", before), ("after", after))
        ]
        found = pl.concat([self.samples, *(side.select(_SAMPLE_SCHEMA.names()) for side in sides)])
        chosen = _smallest_draws(found.select("change", "draw", "uid").unique(), self.n_samples)
        number = pl.col("change").replace_strict({c: i for i, c in enumerate(CHANGES)})
        self.samples = found.join(chosen.select("change", "uid"), on=["change", "uid"]).sort(
            number, "draw", "uid", pl.col("side") == "after", "source", "text", "weight", "copies"
        )


def changes_between(before: pl.DataFrame, after: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Which images differ, and which captions of images that both sides have.

    Args:
        before: COMPARED, in any order.
        after: COMPARED, of the same part of the pool.

    Returns:
        `uid`, `change` of every image that differs; and `side`, `score` of every caption (source
        and text) that only one side has, though both have its image.
    """
    sides = [pairs.select(COMPARED) for pairs in (before, after)]
    repeated = [
        pairs.filter(pl.col("uid").is_duplicated()).select("uid")
        for pairs in sides
        if has_repeats(pairs["uid"])
    ]
    if not repeated:
        return _changes_of_single(*sides)
    several = pl.concat(repeated).unique()
    found = [
        _changes_of_single(*(pairs.join(several, on="uid", how="anti") for pairs in sides)),
        _changes_of_several(*(pairs.join(several, on="uid", how="semi") for pairs in sides)),
    ]
    changed, captions = zip(*found, strict=True)
    return pl.concat(changed), pl.concat(captions)


def _changes_of_single(
    before: pl.DataFrame, after: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`changes_between` where no image has two pairs: several times as fast."""
    joined = before.join(after, on="uid", how="full", coalesce=True, suffix=".after")
    is_before, is_after = (pl.col(name).is_not_null() for name in ("weight", "weight.after"))
    same = {name: pl.col(name) == pl.col(f"{name}.after") for name in _SAME}
    differing = joined.filter(~pl.all_horizontal(same.values()).fill_null(value=False))
    differing = differing.with_columns(
        change=_change(is_before, is_after, same["text"], same["source"])
    )
    others = differing.filter(pl.col("change").is_in(["recaptioned", "resourced"]))
    captions = pl.concat(
        [
            others.select(side=pl.lit("before"), score="score"),
            others.select(side=pl.lit("after"), score="score.after"),
        ]
    )
    return differing.select("uid", "change"), captions


def _changes_of_several(
    before: pl.DataFrame, after: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`changes_between` for any number of pairs an image."""
    sides = _captions(before), _captions(after)
    joined = sides[0].join(sides[1], on=_PAIR, how="full", coalesce=True, suffix=".after")
    joined = joined.with_columns(
        is_before=pl.col("weight").is_not_null(), is_after=pl.col("weight.after").is_not_null()
    )
    has = pl.col("is_before"), pl.col("is_after")
    equal = (pl.col(name) == pl.col(f"{name}.after") for name in ("weight", "copies"))
    is_same = pl.all_horizontal(equal).fill_null(value=False)
    by_text = joined.group_by("uid", "text").agg(same_text=pl.all_horizontal(*_any(*has)))
    images = (
        joined.group_by("uid")
        .agg(*_any(*has), same_captions=(has[0] & has[1]).all(), is_same=is_same.all())
        .join(by_text.group_by("uid").agg(pl.col("same_text").all()), on="uid")
    )
    change = _change(*has, pl.col("same_text"), pl.col("same_captions"))
    changed = images.filter(~pl.col("is_same")).select("uid", change=change)
    in_both = images.filter(pl.all_horizontal(*has)).select("uid")
    alone = joined.filter(~pl.all_horizontal(*has)).join(in_both, on="uid", how="semi")
    captions = alone.select(
        side=pl.when(has[0]).then(pl.lit("before")).otherwise(pl.lit("after")),
        score=pl.when(has[0]).then("score").otherwise("score.after"),
    )
    return changed, captions


def _captions(pairs: pl.DataFrame) -> pl.DataFrame:
    """A row for each source and text of an image, with its pairs' weights and copies summed."""
    return pairs.group_by(_PAIR).agg(
        pl.col("weight").cast(pl.Float64).sum(), pl.col("copies").sum(), pl.col("score").max()
    )


def _any(*columns: pl.Expr) -> list[pl.Expr]:
    return [column.any() for column in columns]


def _change(
    is_before: pl.Expr, is_after: pl.Expr, same_texts: pl.Expr, same_captions: pl.Expr
) -> pl.Expr:
    def named(change: Change) -> pl.Expr:
        return pl.lit(change)

    return (
        pl.when(~is_before)
        .then(named("added"))
        .when(~is_after)
        .then(named("removed"))
        .when(~same_texts)
        .then(named("recaptioned"))
        .when(~same_captions)
        .then(named("resourced"))
        .otherwise(named("reweighted"))
    )


def _smallest_draws(drawn: pl.DataFrame, n: int) -> pl.DataFrame:
    """The n rows of each change with the smallest draws."""
    parts = [drawn.filter(change=change).bottom_k(n, by=["draw", "uid"]) for change in CHANGES]
    return pl.concat(parts)
