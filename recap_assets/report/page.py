"""The report: one page of HTML that needs nothing else, for a browser, a mail or a printer.

All text of the run (captions, names, reasons) is escaped by the template engine. Charts are inline
SVG, images data URIs, and a content policy in the page forbids every request.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources

import jinja2
import polars as pl
from markupsafe import Markup

from recap_assets.artefacts import (
    DIVERSITY_SUMMARY,
    LEADERBOARD,
    SCORE_HISTOGRAMS,
    THRESHOLDS,
    TRAINING_CURVES,
)
from recap_assets.plots.colours import KIND_COLOURS, RAW, kind_of, palette
from recap_assets.plots.diversity import diversity_bars, rarefaction_curves
from recap_assets.plots.frontier import frontier_chart
from recap_assets.plots.libraries import alt
from recap_assets.plots.mixes import (
    SOURCE_SHARES,
    gain_over_pool,
    leaderboard_chart,
    left_out_chart,
    source_shares,
    sweep_points,
)
from recap_assets.plots.rendering import chart_svg
from recap_assets.plots.scores import score_histograms
from recap_assets.plots.sweeps import SWEPT, swept_chart
from recap_assets.plots.training import training_curves
from recap_assets.report.filters import clipped, count, data_uri, percent, points
from recap_assets.report.headline import headline
from recap_assets.report.left_out import LEFT_OUT, mix_rows
from recap_assets.report.searched import Searched
from recap_assets.report.standing import RUNS, ranking
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
_TEMPLATE = "page.html.jinja"


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


@dataclass(frozen=True)
class Example:
    """An image with its captions.

    Attributes:
        image: The bytes of a JPEG, PNG, GIF or WebP file.
        captions: In the order shown.
    """

    image: bytes
    captions: tuple[ExampleCaption, ...]


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
        searched: The searches, in the order shown.
        left_out: LEFT_OUT.
        thresholds: THRESHOLDS.
        histograms: SCORE_HISTOGRAMS.
        diversity: DIVERSITY_SUMMARY.
        curves: TRAINING_CURVES.
        examples: In the order shown.
        discarded: Images whose raw text the filter discards, and that a mix takes by a caption.
        notes: What a reader must know, a paragraph each.
        retrieval_task: The task shown beside the average; None for none.
        baseline: The mix that the best one is compared with in the headline; None for none.
        score_is: What the first scorer's scores are.
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
    searched: tuple[Searched, ...] = ()
    left_out: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LEFT_OUT))
    thresholds: pl.DataFrame = field(default_factory=THRESHOLDS.empty)
    histograms: pl.DataFrame = field(default_factory=SCORE_HISTOGRAMS.empty)
    diversity: pl.DataFrame = field(default_factory=DIVERSITY_SUMMARY.empty)
    curves: pl.DataFrame = field(default_factory=TRAINING_CURVES.empty)
    examples: tuple[Example, ...] = ()
    discarded: tuple[Example, ...] = ()
    notes: tuple[str, ...] = ()
    retrieval_task: str | None = None
    baseline: str | None = None
    score_is: str = "score of image and caption"


@dataclass(frozen=True)
class _Cell:
    mean: float | None
    deviation: float | None
    is_best: bool


@dataclass(frozen=True)
class _Share:
    source: str
    fraction: float
    colour: str


@dataclass(frozen=True)
class _Row:
    mix: str
    description: str
    kind: str
    cells: tuple[_Cell, ...]
    n_pairs: int
    shares: tuple[_Share, ...]
    n_copies: int | None
    mean_score: float | None
    unique_trigrams: int | None


@dataclass(frozen=True)
class _Swept:
    path: str
    task: str
    chart: Markup


def render(data: ReportData) -> str:
    """The page, complete: write it to a file and open it.

    Raises:
        ValueError: An example whose bytes are no image.
    """
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(_template),
    )
    environment.filters |= {
        "percent": percent,
        "count": count,
        "clipped": clipped,
        "points": points,
    }
    tasks = _tasks(data)
    rows = _rows(data, tasks)
    return environment.get_template(_TEMPLATE).render(
        data=data,
        run=data.run,
        headline=headline(
            _whole_pool(data.leaderboard),
            data.runs,
            _ranked(_whole_pool(data.leaderboard)),
            data.baseline,
            data.chance,
        ),
        tasks=tasks,
        rows=rows,
        charts=_charts(data, rows),
        swept=_swept(data, rows),
        colours=palette(data.sources),
        kind_colours=KIND_COLOURS,
        data_uri=data_uri,
        left_out=list(mix_rows(data.left_out, tasks)),
        thresholds=list(_threshold_rows(_whole_pool(data.thresholds))),
        rejects=data.rejects.sort("n", "stage", "reason", descending=[True, False, False]).rows(),
        n_reproduced=sum(claim.verdict == "reproduced" for claim in data.claims),
        sample_size=data.diversity["sample_size"].max(),
        lexicon=data.diversity["lexicon"].max(),
    )


def _template(name: str) -> str:
    return (resources.files("recap_assets.report") / name).read_text(encoding="utf-8")


def _tasks(data: ReportData) -> list[str]:
    """Columns: the average, retrieval, then the other tasks by name."""
    found: set[str] = set(_whole_pool(data.leaderboard)["task"])
    first = [task for task in (AVERAGE, data.retrieval_task) if task and task in found]
    return [*first, *sorted(found - set(first))]


def _whole_pool(of_mixes: pl.DataFrame) -> pl.DataFrame:
    # Mixes on a part of the pool are points of the sweep, not rows to rank.
    return of_mixes.filter(~pl.col("mix").str.contains("@", literal=True))


def _ranked(board: pl.DataFrame) -> list[str]:
    """Mixes, the best average first, those without one last."""
    means = {
        row["mix"]: row["mean"]
        for row in board.filter(pl.col("task") == AVERAGE).iter_rows(named=True)
    }
    return sorted(set(board["mix"]), key=lambda mix: (-means.get(mix, -1.0), mix))


def _rows(data: ReportData, tasks: Sequence[str]) -> list[_Row]:
    board = _whole_pool(data.leaderboard)
    cells = {(row["mix"], row["task"]): row for row in board.iter_rows(named=True)}
    best = {task: _leader(data, board, task) for task in tasks}
    summaries = {row["mix"]: row for row in data.mixes.iter_rows(named=True)}
    rows: list[_Row] = []
    for mix in _shown(data):
        n_pairs, raw_share = _held(data, mix)
        summary = summaries.get(mix, {})
        rows.append(
            _Row(
                mix=mix,
                description=summary.get("description") or "",
                kind=kind_of(raw_share),
                cells=tuple(_cell(cells.get((mix, task)), best[task] == mix) for task in tasks),
                n_pairs=n_pairs,
                shares=_shares(data, mix),
                n_copies=summary.get("n_copies"),
                mean_score=summary.get("mean_score"),
                unique_trigrams=summary.get("unique_trigrams"),
            )
        )
    return rows


def _shown(data: ReportData) -> list[str]:
    """Mixes by rank, or all by name where nothing is trained on them."""
    if data.trains:
        return _ranked(_whole_pool(data.leaderboard))
    return sorted(_whole_pool(data.mixes)["mix"])


def _held(data: ReportData, mix: str) -> tuple[int, float]:
    """How many pairs a mix has, and the share of them with raw text."""
    for row in data.leaderboard.filter(pl.col("mix") == mix).iter_rows(named=True):
        return row["n_pairs"], row["raw_share"]
    counted = data.shares.filter(pl.col("mix") == mix)
    n_pairs = int(counted["n_pairs"].sum())
    n_raw = int(counted.filter(pl.col("source") == RAW)["n_pairs"].sum())
    return n_pairs, n_raw / max(n_pairs, 1)


def _leader(data: ReportData, board: pl.DataFrame, task: str) -> str | None:
    """The mix whose lead over each other one exceeds its deviation; None where none has one."""
    means = board.filter(pl.col("task") == task).sort("mean", "mix", descending=[True, False])
    found = ranking(data.runs.filter(pl.col("task") == task), means["mix"].to_list())
    return found.best if found.standing == "leads" else None


def _cell(row: dict[str, float | None] | None, is_best: bool) -> _Cell:  # noqa: FBT001
    return _Cell(row["mean"], row["deviation"], is_best) if row else _Cell(None, None, is_best)


def _shares(data: ReportData, mix: str) -> tuple[_Share, ...]:
    own = data.shares.filter(pl.col("mix") == mix)
    total = own["n_pairs"].sum()
    colours = palette([*data.sources, *sorted(set(data.shares["source"]))])
    counted = dict(own.select("source", "n_pairs").rows())
    ordered = [source for source in colours if counted.get(source)]
    return tuple(_Share(s, counted[s] / total, colours[s]) for s in ordered)


def _swept(data: ReportData, rows: Sequence[_Row]) -> list[_Swept]:
    kinds = {row.mix: row.kind for row in rows}
    found = data.swept.partition_by("sweep", "task", maintain_order=True)
    drawn: list[_Swept] = []
    for number, part in enumerate(found):
        path, task = part["sweep"].item(0), part["task"].item(0)
        svg = chart_svg(swept_chart(part, path, kinds), f"swept{number}")
        drawn.append(_Swept(path, task, Markup(svg)))  # noqa: S704 - the renderer escapes text
    return drawn


def _charts(data: ReportData, rows: Sequence[_Row]) -> dict[str, Markup]:
    """Those charts for which there is something to draw, by name."""
    board = _whole_pool(data.leaderboard)
    sweep = sweep_points(data.leaderboard, data.run.n_usable)
    frontier = _frontier(data)
    scored = data.histograms.filter(pl.col("n") > 0)
    shares, curves = _whole_pool(data.shares), _whole_pool(data.curves)
    cuts = _whole_pool(data.thresholds)
    left_out = data.left_out.filter(pl.col("task") == AVERAGE)
    kinds = {row.mix: row.kind for row in rows}
    drawn: dict[str, tuple[pl.DataFrame, alt.TopLevelMixin]] = {
        "leaderboard": (
            board.filter(pl.col("task") == AVERAGE),
            leaderboard_chart(board),
        ),
        "left_out": (left_out, left_out_chart(left_out, data.sources)),
        "sweep": (sweep, gain_over_pool(sweep, kinds)),
        "scores": (scored, score_histograms(scored, cuts, data.sources, data.score_is)),
        "diversity": (data.diversity, diversity_bars(data.diversity, data.sources)),
        "rarefaction": (
            data.diversity.filter(pl.col("rarefaction").list.len() > 0),
            rarefaction_curves(data.diversity, data.sources),
        ),
        "frontier": (frontier, frontier_chart(frontier)),
        "shares": (shares, source_shares(shares, _shown(data), data.sources)),
        "curves": (curves, training_curves(curves, kinds)),
    }
    return {
        name: Markup(chart_svg(chart, name))  # noqa: S704 - SVG made here, its text escaped
        for name, (frame, chart) in drawn.items()
        if not frame.is_empty()
    }


def _frontier(data: ReportData) -> pl.DataFrame:
    board = _whole_pool(data.leaderboard).filter(pl.col("task") == AVERAGE)
    return (
        data.mixes.join(board, on="mix")
        .select(
            "mix",
            kind=pl.col("raw_share").map_elements(kind_of, return_dtype=pl.String),
            unique_trigrams=pl.col("unique_trigrams").cast(pl.Float64),
            mean_score="mean_score",
            average="mean",
        )
        .drop_nulls(["unique_trigrams", "mean_score"])
    )


def _threshold_rows(thresholds: pl.DataFrame) -> Iterator[dict[str, str]]:
    for row in thresholds.sort("mix", "path").iter_rows(named=True):
        population, kept = row["population"], row["n_at_or_above"]
        yield {
            "mix": row["mix"],
            "asked": _asked(row["kind"], row["requested"]),
            "source": row["source"],
            "path": row["path"],
            "value": "none" if row["value"] is None else f"{row['value']:.4f}",
            "kept": f"{kept:,} of {population:,}",
            "share": percent(kept / population) if population else "",
            "tied": f"{row['n_tied']:,}",
        }


def _asked(kind: str, requested: float) -> str:
    if kind == "quantile":
        return f"top {100 * requested:g} %"
    if kind == "copies":
        return f"{requested:,.0f} copies; the score of one"
    return f"best {requested:,.0f}" if kind == "size" else f"score ≥ {requested:g}"
