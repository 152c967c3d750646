"""The report: one page of HTML that needs nothing else, for a browser, a mail or a printer.

All text of the run (captions, names, reasons) is escaped by the template engine. Charts are inline
SVG, images data URIs, and a content policy in the page forbids every request.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources

import jinja2
import polars as pl

from recap_assets.mixes.shares import percentages
from recap_assets.plots.colours import KIND_COLOURS, kind_of, palette
from recap_assets.plots.layout import BOX_HEIGHT, BOX_WIDTH
from recap_assets.report.ancestry import pictures
from recap_assets.report.captioners import captioner_rows, measures_of
from recap_assets.report.charts import captioned, charts, is_wide, swept
from recap_assets.report.contents import AVERAGE, ReportData, held, ranked, shown, whole_pool
from recap_assets.report.costs import costs_of
from recap_assets.report.filters import (
    clipped,
    count,
    data_uri,
    minus,
    number,
    percent,
    points,
    unbroken,
)
from recap_assets.report.gallery_links import GALLERY, image_link, lineage_link
from recap_assets.report.headline import headline
from recap_assets.report.left_out import mix_rows
from recap_assets.report.standing import ranking

_TEMPLATE = "page.html.jinja"


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


def render(data: ReportData) -> str:
    """The page, complete: write it to a file and open it.

    Raises:
        ValueError: An example whose bytes are no image.
    """
    tasks = _tasks(data)
    rows = _rows(data, tasks)
    kinds = {row.mix: row.kind for row in rows}
    return (
        _environment()
        .get_template(_TEMPLATE)
        .render(
            data=data,
            run=data.run,
            headline=headline(
                whole_pool(data.leaderboard),
                data.runs,
                ranked(whole_pool(data.leaderboard)),
                data.baseline,
                data.chance,
            ),
            tasks=tasks,
            rows=rows,
            charts=charts(data, kinds),
            is_wide=is_wide(data),
            captioned=captioned(data),
            measures=measures_of(data.captioners),
            captioners=list(captioner_rows(data.captioners, data.leaderboard, data.tasks_shown)),
            swept=swept(data, kinds),
            costs=costs_of(data.costs, data.stages),
            pictures=pictures(data.ancestries),
            box=(BOX_WIDTH, BOX_HEIGHT),
            gallery_at=GALLERY,
            colours=palette(data.sources),
            kind_colours=KIND_COLOURS,
            data_uri=data_uri,
            left_out=list(mix_rows(data.left_out, tasks)),
            thresholds=list(_threshold_rows(whole_pool(data.thresholds))),
            rejects=data.rejects.sort(
                "n", "stage", "reason", descending=[True, False, False]
            ).rows(),
            n_reproduced=sum(claim.verdict == "reproduced" for claim in data.claims),
            sample_size=data.diversity["sample_size"].max(),
            lexicon=data.diversity["lexicon"].max(),
        )
    )


def _environment() -> jinja2.Environment:
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
        "minus": minus,
        "number": number,
        "points": points,
        "unbroken": unbroken,
    }
    environment.globals |= {"image_link": image_link, "lineage_link": lineage_link}
    return environment


def _template(name: str) -> str:
    return (resources.files("recap_assets.report") / name).read_text(encoding="utf-8")


def _tasks(data: ReportData) -> list[str]:
    """Columns: the average, retrieval, then the other tasks by name."""
    found: set[str] = set(whole_pool(data.leaderboard)["task"])
    first = [task for task in (AVERAGE, data.retrieval_task) if task and task in found]
    return [*first, *sorted(found - set(first))]


def _rows(data: ReportData, tasks: Sequence[str]) -> list[_Row]:
    board = whole_pool(data.leaderboard)
    cells = {(row["mix"], row["task"]): row for row in board.iter_rows(named=True)}
    best = {task: _leader(data, board, task) for task in tasks}
    summaries = {row["mix"]: row for row in data.mixes.iter_rows(named=True)}
    rows: list[_Row] = []
    for mix in shown(data):
        n_pairs, raw_share = held(data, mix)
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
    rounded = percentages([counted[source] / total for source in ordered])
    return tuple(
        _Share(source, per_cent / 100, colours[source])
        for source, per_cent in zip(ordered, rounded, strict=True)
    )


def _threshold_rows(thresholds: pl.DataFrame) -> Iterator[dict[str, str]]:
    for row in thresholds.sort("mix", "path").iter_rows(named=True):
        population, kept = row["population"], row["n_at_or_above"]
        yield {
            "mix": row["mix"],
            "asked": _asked(row["kind"], row["requested"]),
            "source": row["source"],
            "path": row["path"],
            "value": "none" if row["value"] is None else number(row["value"], 4),
            "kept": f"{kept:,} of {population:,}",
            "share": percent(kept / population) if population else "",
            "tied": f"{row['n_tied']:,}",
        }


def _asked(kind: str, requested: float) -> str:
    if kind == "quantile":
        return f"top {100 * requested:g} %"
    if kind == "copies":
        return f"{requested:,.0f} copies; the score of one"
    return f"best {requested:,.0f}" if kind == "size" else minus(f"score ≥ {requested:g}")
