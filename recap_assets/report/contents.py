"""What the report shows: all of it as frames and words, before any of it is drawn."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import polars as pl

from recap_assets.artefacts import (
    DIVERSITY_SUMMARY,
    LEADERBOARD,
    SCORE_HISTOGRAMS,
    THRESHOLDS,
    TRAINING_CURVES,
)
from recap_assets.artefacts.costs import COSTS
from recap_assets.plots.colours import RAW
from recap_assets.plots.mixes import SOURCE_SHARES
from recap_assets.plots.scores import AGAINST_RAW
from recap_assets.plots.sweeps import SWEPT
from recap_assets.report.captioners import CAPTIONERS
from recap_assets.report.left_out import LEFT_OUT
from recap_assets.report.searched import Searched
from recap_assets.report.standing import RUNS
from recap_assets.specs.recipe import Recipe

MIX_SUMMARY = pl.Schema(
    {
        "mix": pl.String,
        "description": pl.String,
        "n_copies": pl.Int64,
        "mean_score": pl.Float64,
        "unique_trigrams": pl.Int64,
    }
)
"""A row a mix: copies of all its pairs together, mean score of the pairs, distinct trigrams in an
equal-sized sample; these may be null."""

REJECTS = pl.Schema({"stage": pl.String, "reason": pl.String, "n": pl.Int64})
"""Samples or captions set aside: in which stage, why, how many."""

AVERAGE = "average"


@dataclass(frozen=True)
class RunFacts:
    """What this run is.

    Attributes:
        experiment: Its name.
        pool: What the pool is, in a few words.
        n_pool: Samples of the pool, the rejected ones included.
        n_usable: Samples that were not set aside.
        seeds: Training seeds.
        created: When the report was made, with a time zone.
        commit: Commit of the code, or empty.
        machine: Processor, cores, accelerator.
        details: Further facts, name and value.
    """

    experiment: str
    pool: str
    n_pool: int
    n_usable: int
    seeds: tuple[int, ...]
    created: datetime
    commit: str = ""
    machine: str = ""
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ClaimRow:
    """A claim as shown: see `recap_assets.report.findings`.

    Attributes:
        verdict: `reproduced`, `not reproduced`, `holds by design` or `not measured`.
    """

    name: str
    statement: str
    verdict: str
    figure: str
    note: str


@dataclass(frozen=True)
class ExampleCaption:
    """One caption of an example, and its score by the first scorer, None where there is none."""

    source: str
    text: str
    score: float | None


class Taken(NamedTuple):
    """A pair that a mix has of an image: by its rule of this number, with the text of a source."""

    mix: str
    rule: int
    source: str


@dataclass(frozen=True)
class Example:
    """An image with its captions.

    Attributes:
        image: The bytes of a JPEG, PNG, GIF or WebP file.
        captions: In the order shown.
        partition: Pool partition that it is in.
        uid: Its uid.
        taken: The pairs that mixes on all of the pool have of it.
    """

    image: bytes
    captions: tuple[ExampleCaption, ...]
    partition: str
    uid: bytes
    taken: tuple[Taken, ...] = ()


@dataclass(frozen=True)
class NearImage:
    """An image near a cut-off: a small JPEG, its score, and the text that has it."""

    partition: str
    uid: bytes
    image: bytes
    score: float
    text: str


@dataclass(frozen=True)
class Strip:
    """The images on both sides of a cut-off, the nearest first.

    Attributes:
        mixes: Those that have the cut-off.
        source: The score column that was ranked.
        value: The cut-off.
        above: Images at it or above.
        below: Images below.
    """

    mixes: tuple[str, ...]
    source: str
    value: float
    above: tuple[NearImage, ...]
    below: tuple[NearImage, ...]


class Strips(NamedTuple):
    """Those that are shown, and the number of further cut-offs."""

    shown: tuple[Strip, ...] = ()
    n_more: int = 0


@dataclass(frozen=True)
class Ancestry:
    """How a mix is built.

    Attributes:
        mix: Its name.
        reads: For the mix's asset and each that it rests on the assets that are read.
    """

    mix: str
    reads: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class ReportData:
    """All that the page shows. Any frame may be empty: its part then says so or is left out.

    Attributes:
        run: What this run is.
        sources: All caption sources, `raw` first; they keep their colours through the page.
        leaderboard: LEADERBOARD.
        runs: RUNS, which say what of the leaderboard exceeds noise.
        chance: What guessing gives on average, a fraction of one; None where it is not known.
        mixes: MIX_SUMMARY.
        shares: SOURCE_SHARES.
        rejects: REJECTS.
        claims: In the order shown.
        trains: Whether the experiment trains and measures at all; else it curates only.
        recipe: What the experiment follows, where it is a recipe.
        swept: SWEPT.
        captioners: CAPTIONERS.
        tasks_shown: Of the captioners: the average, and the tasks of the report.
        searched: The searches, in the order shown.
        left_out: LEFT_OUT.
        thresholds: THRESHOLDS.
        histograms: SCORE_HISTOGRAMS.
        diversity: DIVERSITY_SUMMARY.
        curves: TRAINING_CURVES.
        examples: In the order shown.
        strips: Images on both sides of each cut-off.
        against_raw: AGAINST_RAW.
        ancestries: How mixes are built; how many more there are is `n_more_ancestries`.
        stages: The stage of each asset, by the first part of its key, in the pipeline's order.
        discarded: Images whose raw text the filter discards, and that a mix takes by a caption.
        notes: What a reader must know, a paragraph each.
        costs: COSTS, as far as they were recorded when the page was written.
        retrieval_task: The task shown beside the average; None for none.
        baseline: The mix that the best one is compared with in the headline; None for none.
        score_is: What the first scorer's scores are.
        terms: Words that a reader may not know, and what they mean.
    """

    run: RunFacts
    sources: tuple[str, ...] = (RAW,)
    leaderboard: pl.DataFrame = field(default_factory=LEADERBOARD.empty)
    runs: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=RUNS))
    chance: float | None = None
    mixes: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=MIX_SUMMARY))
    shares: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SOURCE_SHARES))
    rejects: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REJECTS))
    claims: tuple[ClaimRow, ...] = ()
    trains: bool = True
    recipe: Recipe | None = None
    swept: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SWEPT))
    captioners: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CAPTIONERS))
    tasks_shown: tuple[str, ...] = (AVERAGE,)
    searched: tuple[Searched, ...] = ()
    left_out: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LEFT_OUT))
    thresholds: pl.DataFrame = field(default_factory=THRESHOLDS.empty)
    histograms: pl.DataFrame = field(default_factory=SCORE_HISTOGRAMS.empty)
    diversity: pl.DataFrame = field(default_factory=DIVERSITY_SUMMARY.empty)
    curves: pl.DataFrame = field(default_factory=TRAINING_CURVES.empty)
    examples: tuple[Example, ...] = ()
    discarded: tuple[Example, ...] = ()
    strips: Strips = field(default_factory=Strips)
    against_raw: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=AGAINST_RAW))
    ancestries: tuple[Ancestry, ...] = ()
    n_more_ancestries: int = 0
    stages: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()
    costs: pl.DataFrame = field(default_factory=COSTS.empty)
    retrieval_task: str | None = None
    baseline: str | None = None
    score_is: str = "score of image and caption"
    terms: Mapping[str, str] = field(default_factory=dict[str, str])


def whole_pool(of_mixes: pl.DataFrame) -> pl.DataFrame:
    """The rows of the mixes on all of the pool."""
    # Mixes on a part of the pool are points of the sweep, not rows to rank.
    return of_mixes.filter(~pl.col("mix").str.contains("@", literal=True))


def ranked(board: pl.DataFrame) -> list[str]:
    """Mixes, the best average first, those without one last."""
    means = {
        row["mix"]: row["mean"]
        for row in board.filter(pl.col("task") == AVERAGE).iter_rows(named=True)
    }
    return sorted(set(board["mix"]), key=lambda mix: (-means.get(mix, -1.0), mix))


def shown(data: ReportData) -> list[str]:
    """Mixes by rank, or all by name where nothing is trained on them."""
    if data.trains:
        return ranked(whole_pool(data.leaderboard))
    return sorted(whole_pool(data.mixes)["mix"])


def held(data: ReportData, mix: str) -> tuple[int, float]:
    """How many pairs a mix has, and the share of them with raw text."""
    for row in data.leaderboard.filter(pl.col("mix") == mix).iter_rows(named=True):
        return row["n_pairs"], row["raw_share"]
    counted = data.shares.filter(pl.col("mix") == mix)
    n_pairs = int(counted["n_pairs"].sum())
    n_raw = int(counted.filter(pl.col("source") == RAW)["n_pairs"].sum())
    return n_pairs, n_raw / max(n_pairs, 1)
