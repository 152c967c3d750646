"""`recap mix try`."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click
import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recap_assets.artefacts.diversity import DIVERSITY_SUMMARY
from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.artefacts.sets import UID_SETS
from recap_assets.cli import terminal
from recap_assets.cli.output import echo
from recap_assets.cli.planning import print_parts
from recap_assets.cli.tracing import copy_receipts
from recap_assets.defs.session import Session
from recap_assets.graph.planner import plan
from recap_assets.graph.records import RememberedRecords
from recap_assets.mixes.copies import PATH as COPIES
from recap_assets.mixes.left_out import Planned
from recap_assets.mixes.shares import percentages
from recap_assets.mixes.stored_trial import realised, trial
from recap_assets.mixes.trial_diversity import partitions_tried, unique_trigrams_of_trial
from recap_assets.sets import assets as sets


def print_trial(session: Session, *, as_json: bool) -> None:
    """Print counts, shares, overlap and diversity of every mix; nothing is written."""
    project = session.project.fixed()
    tables = project.workspace.tables
    if tables.version(CLIP_SCORES) is None:
        msg = "there are no scores yet: run `recap build` first; `mix try` only counts"
        raise click.ClickException(msg)
    _warn_of_sets(session)
    cutoffs = realised(project)
    with ThreadPoolExecutor(1) as beside:
        diversity = beside.submit(unique_trigrams_of_trial, project, cutoffs)
        rows = trial(project, cutoffs).join(diversity.result(), on="mix", how="left")
    if as_json:
        echo(json.dumps(rows.to_dicts(), indent=2))
        return
    console = terminal.console()
    terminal.print_table(console, _table(rows), lambda: _narrow(rows))
    terminal.print_table(console, _overlap(rows), lambda: _overlap(rows, numbered=True))
    if (n := len(partitions_tried(project))) < len(project.partitions):
        words = (
            f"Trigrams are of {n} of {len(project.partitions):,} partitions; the report's of all."
        )
        console.print(words)
    sources = tables.read(DIVERSITY_SUMMARY)
    if not sources.is_empty():
        console.print(_diversity(sources))
    _say_parts(console, session)


def _say_parts(console: Console, session: Session) -> None:
    """Say over what part of the pool a source's captions are, and which are not made yet."""
    if all(one.captions_only is None for one in session.project.experiment.sources.values()):
        return
    current = plan(session.graph, RememberedRecords(copy_receipts(session)))
    planned = Planned(session.project, session.graph, {e.asset for e in current.to_build})
    print_parts(planned.parts)
    missing = Counter[str]()
    for (asset, _), counts in planned.counts.items():
        missing[asset] += counts.computed
    for asset, n in missing.items():
        if n:
            words = f"{n:,} captions of {asset} are not made yet: counted without them."
            console.print(terminal.plain(words), soft_wrap=True)


def _warn_of_sets(session: Session) -> None:
    """Say which computed sets are not as the file asks: they are counted as they were built."""
    computed = {UID_SETS.key(name) for name in sets.computed_sets(session.project)}
    if not computed:
        return
    current = plan(session.graph, RememberedRecords(copy_receipts(session)))
    stale = sorted(computed & {entry.asset for entry in current.to_build})
    if stale:
        wanted = " ".join(f"-s {asset}" for asset in stale)
        msg = f"Counted with sets as they were built last; out of date: `recap build {wanted}`"
        echo(msg, err=True)


def _table(rows: pl.DataFrame) -> Table:
    table = Table(title="Mixes, counted without writing anything", title_justify="left")
    for name in ("mix", "cut-offs", "sources"):
        table.add_column(name)
    trigrams = f"trigrams in {rows['sample_size'].max() or 0:,}"
    repeats = bool((rows["n_copies"] > rows["n_pairs"]).any())
    copies = ["copies"] if repeats else []
    for name in ("pairs", *copies, "images", "mean score", trigrams):
        table.add_column(name, justify="right")
    for row in rows.iter_rows(named=True):
        cutoffs = "\n".join(_cutoff(one) for one in row["thresholds"])
        shares = "\n".join(_shares(row))
        mean = "-" if row["mean_score"] is None else f"{row['mean_score']:.4f}"
        trigrams = f"{row['unique_trigrams'] or 0:,}"
        drawn = [f"{row['n_copies']:,}"] if repeats else []
        numbers = (f"{row['n_pairs']:,}", *drawn, f"{row['n_images']:,}", mean, trigrams)
        table.add_row(row["mix"], cutoffs, shares, *numbers, end_section=True)
    return table


def _narrow(rows: pl.DataFrame) -> Text:
    """The same below each other, a few lines for each mix."""
    lines = [Text("Mixes, counted without writing anything", "italic")]
    for row in rows.iter_rows(named=True):
        copies = f", {row['n_copies']:,} copies" if row["n_copies"] > row["n_pairs"] else ""
        mean = "" if row["mean_score"] is None else f", mean score {row['mean_score']:.4f}"
        lines += [
            Text(row["mix"], "bold"),
            Text(f"  {row['n_pairs']:,} pairs of {row['n_images']:,} images{copies}{mean}"),
            Text(f"  {', '.join(_shares(row))}; {row['unique_trigrams'] or 0:,} trigrams"),
            *(Text(f"  {_cutoff(one)}") for one in row["thresholds"]),
        ]
    lines.append(Text(f"Trigrams are those in {rows['sample_size'].max() or 0:,} captions."))
    return Text("\n").join(lines)


def _shares(row: dict[str, Any]) -> list[str]:
    parts = row["source_shares"]
    rounded = percentages([one["share"] for one in parts])
    return [f"{share:.1f} % {one['source']}" for share, one in zip(rounded, parts, strict=True)]


def _cutoff(one: dict[str, Any]) -> str:
    if one["path"] == COPIES:
        return f"one copy at {one['source']} {one['value']:.4f}"
    return f"{one['source']} >= {one['value']:.4f}"


def _overlap(rows: pl.DataFrame, *, numbered: bool = False) -> Table:
    """The table; where names are too wide for its head, each mix has a number there."""
    table = Table(title="Overlap of images (both / either)", title_justify="left")
    table.add_column("mix")
    for number, name in enumerate(rows["mix"], 1):
        table.add_column(str(number) if numbered else name, justify="right")
    for number, row in enumerate(rows.iter_rows(named=True), 1):
        shared = {other["mix"]: other["jaccard"] for other in row["overlap"]}
        cells = [f"{100 * shared[n]:.0f} %" if n in shared else "" for n in rows["mix"]]
        table.add_row(f"{number} {row['mix']}" if numbered else row["mix"], *cells)
    return table


def _diversity(summary: pl.DataFrame) -> Table:
    size = summary["sample_size"][0]
    table = Table(title=f"Diversity on {size:,} captions of each source", title_justify="left")
    columns = ("source", "words_per_caption", "unique_words", "unique_trigrams", "unique_nouns")
    for name in columns:
        table.add_column(name.replace("_", " "), justify="left" if name == "source" else "right")
    for row in summary.iter_rows(named=True):
        words = f"{row['words_per_caption']:.2f}"
        table.add_row(row["source"], words, *(f"{row[name]:,}" for name in columns[2:]))
    return table
