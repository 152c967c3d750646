"""The leaderboard on the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import cast

import click
import polars as pl
from rich.console import Console
from rich.table import Table

from recap_assets.artefacts.evaluation import CAPTION_METRICS
from recap_assets.artefacts.report import LEADERBOARD
from recap_assets.cli import terminal
from recap_assets.cli.output import print_json
from recap_assets.defs.session import Session
from recap_assets.evaluation.captions.measured import measured_sources, skipped_sources
from recap_assets.evaluation.datacomp.aggregation import aggregate, main_by_run, result_lines
from recap_assets.graph.project import Project
from recap_assets.report.results import current_results
from recap_assets.specs.datacomp import GROUPS, N_AVERAGED, TASKS
from recap_assets.storage.files import write_atomically

AVERAGE = "average"
CELL_WIDTH = 13
NAMES_WIDTH = 40
_SHORT = {"self_retrieval_recall@1": "self R@1"}


def run_leaderboard(
    session: Session,
    *,
    datacomp: bool,
    captions: bool,
    jsonl: Path | None,
    as_json: bool = False,
) -> None:
    """Print what was evaluated last, and write it where that was asked for.

    Raises:
        click.ClickException: There are no results of what was asked for.
    """
    console, project = terminal.console(stderr=as_json), session.project
    if as_json:
        print_json(_as_json(session, datacomp=datacomp, captions=captions, jsonl=jsonl))
        return
    if datacomp or jsonl:
        results = _datacomp_results(project)
        if datacomp:
            _print_aggregates(console, results)
        if jsonl:
            _write_lines(console, results, jsonl)
    if captions:
        _print_captions(console, project)
    if datacomp or captions or jsonl:
        return
    _refuse_empty(project)
    print_leaderboard(console, session)


def _as_json(
    session: Session, *, datacomp: bool, captions: bool, jsonl: Path | None
) -> dict[str, object]:
    """`cli.forms.Leaderboard`."""
    project = session.project
    form: dict[str, object] = {"mixes": [], "captions": [], "datacomp": [], "files": []}
    if datacomp or jsonl:
        results = _datacomp_results(project)
        form["datacomp"] = list(_aggregates(results)) if datacomp else []
        form["files"] = [str(path) for path in _written_lines(results, jsonl)] if jsonl else []
    if captions:
        columns = ("source", "task", "metric", "value")
        form["captions"] = _caption_rows(project).select(columns).to_dicts()
    if not (datacomp or captions or jsonl):
        _refuse_empty(project)
        form["mixes"] = list(_standings(project))
    return form


def _standings(project: Project) -> Iterator[dict[str, object]]:
    rows = project.workspace.tables.read(LEADERBOARD)
    for mix in _best_first(rows):
        for row in rows.filter(mix=mix).sort("task").iter_rows(named=True):
            yield {
                "mix": mix,
                "task": row["task"],
                "metric": row["metric"],
                "mean": row["mean"],
                "deviation": row["deviation"],
                "seeds": row["n_seeds"],
                "pairs": row["n_pairs"],
            }


def _aggregates(results: pl.DataFrame) -> Iterator[dict[str, object]]:
    runs: dict[str, dict[str, object]] = {}
    for (mix, _seed), values in main_by_run(results).items():
        found = aggregate(values)
        of_mix = runs.setdefault(mix, {"mix": mix, "groups": {}, "missing": []})
        groups = cast("dict[str, list[float]]", of_mix["groups"])
        for group, value in found.values.items():
            groups.setdefault(group, []).append(value)
        names = [*cast("list[str]", of_mix["missing"]), *found.missing]
        of_mix["missing"] = list(dict.fromkeys(names))
    yield from runs.values()


def _refuse_empty(project: Project) -> None:
    if project.workspace.tables.read(LEADERBOARD).is_empty():
        msg = "nothing was evaluated yet: `recap build` does"
        if not project.experiment.trains:
            msg = "the experiment has no `evaluation`, so nothing is trained and measured"
        raise click.ClickException(msg)


def _datacomp_results(project: Project) -> pl.DataFrame:
    if project.experiment.evaluation.datacomp is None:
        msg = "the experiment has no `evaluation.datacomp`, so there are no results of its tasks"
        raise click.ClickException(msg)
    names = project.experiment.evaluation.datacomp.names
    results = current_results(project).filter(pl.col("task").is_in(names))
    if results.is_empty():
        msg = "no mix was evaluated on DataComp's tasks yet: `recap build` does"
        raise click.ClickException(msg)
    return results


def _print_aggregates(console: Console, results: pl.DataFrame) -> None:
    """Each mix's aggregates over seeds; a group that lacks a task has none."""
    by_mix: dict[str, list[Mapping[str, float]]] = {}
    missing: dict[str, None] = {}
    for (mix, _seed), values in main_by_run(results).items():
        found = aggregate(values)
        by_mix.setdefault(mix, []).append(found.values)
        missing |= dict.fromkeys(found.missing)
    table = Table(title="DataComp: mean ± deviation over seeds", title_justify="left")
    table.add_column("mix", no_wrap=True)
    for group in GROUPS:
        table.add_column(group, justify="right")
    for mix, runs in by_mix.items():
        table.add_row(mix, *(_over_seeds([run[g] for run in runs if g in run]) for g in GROUPS))
    console.print(table)
    if missing:
        names = ", ".join(TASKS[name].dataset for name in missing)
        console.print(
            f"Partial: {N_AVERAGED - len(missing)} of {N_AVERAGED} tasks have results in every "
            f"run, so there is no average. Missing: {names}.",
            soft_wrap=True,
            markup=False,
        )


def _over_seeds(values: Sequence[float]) -> str:
    if not values:
        return "-"
    mean = f"{fmean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ± {stdev(values):.3f}"


def _write_lines(console: Console, results: pl.DataFrame, folder: Path) -> None:
    for path in _written_lines(results, folder):
        console.print(f"Wrote {path}", soft_wrap=True, markup=False, highlight=False)


def _written_lines(results: pl.DataFrame, folder: Path) -> Iterator[Path]:
    for (mix, seed), of_run in results.group_by("mix", "seed", maintain_order=True):
        path = folder / str(mix) / str(seed) / "eval_results.jsonl"
        write_atomically(path, result_lines(of_run).encode())
        yield path


def _caption_rows(project: Project) -> pl.DataFrame:
    sources = measured_sources(project)
    rows = project.workspace.tables.read(CAPTION_METRICS).filter(pl.col("source").is_in(sources))
    if rows.is_empty():
        msg = "no captioner was measured: name sets in `evaluation.captions` and build"
        raise click.ClickException(msg)
    return rows


def _print_captions(console: Console, project: Project) -> None:
    rows = _caption_rows(project)
    metrics: list[str] = rows["metric"].unique(maintain_order=True).to_list()
    title = "Captioners against references of people"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1))
    table.add_column("source", no_wrap=True)
    table.add_column("set", no_wrap=True)
    for metric in metrics:
        table.add_column(_SHORT.get(metric) or metric, justify="right", no_wrap=True)
    for (source, task), own in rows.group_by("source", "task", maintain_order=True):
        values = dict(own.select("metric", "value").rows())
        table.add_row(str(source), str(task), *(f"{values[name]:.3f}" for name in metrics))
    console.print(table)
    for name, reason in skipped_sources(project).items():
        console.print(f"{name} is not measured: {reason}.", soft_wrap=True, markup=False)


def print_leaderboard(console: Console, session: Session) -> None:
    """Print every mix side by side, in per cent, the best on average first.

    A narrow terminal gets the average and the report's two tasks; a wide one every task.
    """
    rows = session.project.workspace.tables.read(LEADERBOARD)
    if rows.is_empty():
        return
    report = session.project.experiment.report
    chosen = [task for task in (report.fine_task, report.retrieval_task) if task]
    others = [task for task in rows["task"].unique() if task not in (*chosen, AVERAGE)]
    n_cells = max((console.width - NAMES_WIDTH) // CELL_WIDTH - 1, 1)
    tasks = [AVERAGE, *[*chosen, *sorted(others)][:n_cells]]
    table = Table(title="Leaderboard: per cent, mean ± deviation over seeds", title_justify="left")
    table.add_column("mix", no_wrap=True)
    table.add_column("pairs", justify="right", no_wrap=True)
    for task in tasks:
        table.add_column(task, justify="right", no_wrap=True)
    for mix in _best_first(rows):
        of_mix = {row["task"]: row for row in rows.filter(mix=mix).iter_rows(named=True)}
        n_pairs = next(iter(of_mix.values()))["n_pairs"]
        table.add_row(mix, f"{n_pairs:,}", *(_cell(of_mix.get(task)) for task in tasks))
    console.print(table)


def _best_first(rows: pl.DataFrame) -> list[str]:
    ranked = rows.filter(pl.col("task") == AVERAGE).sort("mean", descending=True)["mix"].to_list()
    return ranked + sorted(set(rows["mix"]) - set(ranked))


def _cell(row: dict[str, float] | None) -> str:
    if row is None:
        return "-"
    mean = f"{100 * row['mean']:.1f}"
    return mean if row["deviation"] is None else f"{mean} ± {100 * row['deviation']:.1f}"
