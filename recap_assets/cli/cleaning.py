"""`recap gc`: what nothing needs any more goes, what receipts pin stays."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recap_assets.artefacts.catalogue import all_tables
from recap_assets.assembly.cleaning import (
    Leftover,
    leftovers,
    old_replies,
    remove,
    remove_old_replies,
    resumable_fingerprints,
)
from recap_assets.cli import terminal
from recap_assets.cli.output import print_json
from recap_assets.defs.session import Session
from recap_assets.graph.parts import all_parts
from recap_assets.storage.pins import Pins, pinned_versions
from recap_assets.storage.retention import Collected, collect

PINS_SHOWN = 40

_LEFT_BY = {
    "scratch": "finished shards of partitions that would now be built otherwise",
    "parts": "the same, of workers, beside the tables",
    "temporary": "half-written files and folders of processes that died",
    "checkpoint": "checkpoints of training runs that are finished",
    "images": "images of evaluation sets that no evaluation has read for a week",
    "replies": "replies of captioning servers, of all experiments",
}


@dataclass(frozen=True)
class Ages:
    """How old what goes is, in days.

    Attributes:
        keep_days: Replaced files and orphans stay so long.
        replies_days: Replies of captioning servers stay so long; None: all stay.
    """

    keep_days: int
    replies_days: int | None = None


def run_gc(session: Session, ages: Ages, *, ask: bool, dry_run: bool, as_json: bool = False) -> int:
    """Show what would go and, once that is agreed, remove it; 1 where a table was refused."""
    console = terminal.console(stderr=as_json)
    workspace = session.project.workspace
    pins = pinned_versions(workspace.receipts)
    keep_days = ages.keep_days
    keep = timedelta(days=keep_days)
    collected = collect(workspace.tables, all_tables().values(), pins, dry_run=True, keep=keep)
    left = _leftovers(session)
    replies = old_replies(workspace, ages.replies_days)
    _print_pins(console, pins)
    _print_all(console, collected, [*left, *replies], keep_days=keep_days, title="Would go")
    nothing = dry_run or not (_any(collected, left) or replies)
    if not nothing and ask and not _agreed():
        console.print("Nothing was removed.")
        nothing = True
    if nothing:
        if as_json:
            print_json(_as_json(pins, collected, [*left, *replies], removed=False))
        return _refused(console, collected)
    collected = collect(workspace.tables, all_tables().values(), pins, dry_run=False, keep=keep)
    remove(left)
    remove_old_replies(workspace, ages.replies_days)
    _print_all(console, collected, [*left, *replies], keep_days=keep_days, title="Gone")
    if as_json:
        print_json(_as_json(pins, collected, [*left, *replies], removed=True))
    return _refused(console, collected)


def _as_json(
    pins: Pins, collected: Sequence[Collected], left: Sequence[Leftover], *, removed: bool
) -> dict[str, object]:
    """`cli.forms.CollectionDone`."""
    kinds: dict[str, dict[str, object]] = {}
    for kind in dict.fromkeys(one.kind for one in left):
        of_kind = [one for one in left if one.kind == kind]
        n, size = sum(one.n for one in of_kind), sum(one.n_bytes for one in of_kind)
        kinds[kind] = {"kind": kind, "files": n, "bytes": size}
    return {
        "removed": removed,
        "pinned": {
            table: {str(version): list(names) for version, names in sorted(versions.items())}
            for table, versions in sorted(pins.items())
        },
        "tables": [
            {
                "table": one.table,
                "files": one.n_files,
                "bytes": one.n_bytes,
                "log_files": one.n_log_files,
                "log_bytes": one.n_log_bytes,
                "merged_files": one.n_small_files,
                "young_files": one.n_young_files,
                "reusable_rows": one.n_rows,
                "refused": one.refused or None,
            }
            for one in collected
        ],
        "leftovers": list(kinds.values()),
    }


def _agreed() -> bool:
    try:
        return click.confirm("Remove this?", default=False)
    except click.Abort as error:
        msg = "nobody answered, so nothing was removed; `recap gc --yes` does not ask"
        raise click.ClickException(msg) from error


def _leftovers(session: Session) -> list[Leftover]:
    workspace = session.project.workspace
    resumable: Collection[str] = ()
    if workspace.scratch.exists() or any(all_parts(workspace.tables.root)):
        records = session.read_records()
        resumable = resumable_fingerprints(workspace, session.graph, records)
    return leftovers(workspace, resumable)


def _any(collected: Sequence[Collected], left: Sequence[Leftover]) -> bool:
    found = [one.n_files + one.n_small_files + one.n_log_files for one in collected]
    return bool(left or sum(found))


def _refused(console: Console, collected: Sequence[Collected]) -> int:
    refused = [one for one in collected if one.refused]
    for one in refused:
        console.print(Text.assemble(("left alone", "red"), f" {one.table}: {one.refused}"))
    return 1 if refused else 0


def _print_pins(console: Console, pins: Pins) -> None:
    lines = [
        f"pinned: {table} version {version} by {', '.join(receipts)}"
        for table, versions in sorted(pins.items())
        for version, receipts in sorted(versions.items())
    ]
    for line in lines[:PINS_SHOWN]:
        console.print(line, highlight=False, soft_wrap=True)
    if len(lines) > PINS_SHOWN:
        console.print(f"pinned: {len(lines) - PINS_SHOWN} more versions")
    if not lines:
        console.print("No receipt pins any version; only current versions are kept.")


def _print_all(
    console: Console,
    collected: Sequence[Collected],
    left: Sequence[Leftover],
    *,
    keep_days: int,
    title: str,
) -> None:
    table = Table(title=title, title_justify="left")
    for name in ("where", "what", "files", "size"):
        justify = "right" if name in ("files", "size") else "left"
        table.add_column(name, justify=justify, overflow="fold")
    for row in [*_table_rows(collected), *_leftover_rows(left)]:
        table.add_row(*row)
    if table.row_count:
        console.print(table)
    else:
        console.print(f"{title}: nothing.")
    _print_reusable(console, collected)
    _print_young(console, collected, keep_days)


def _table_rows(collected: Sequence[Collected]) -> list[tuple[str, str, str, str]]:
    rows = []
    for one in collected:
        if one.n_files:
            what = "old versions and orphans"
            rows.append((one.table, what, f"{one.n_files:,}", _size(one.n_bytes)))
        if one.n_log_files:
            what = "log entries below all kept versions"
            rows.append((one.table, what, f"{one.n_log_files:,}", _size(one.n_log_bytes)))
        if one.n_small_files:
            rows.append((one.table, "small files, merged", f"{one.n_small_files:,}", ""))
    return rows


def _leftover_rows(left: Sequence[Leftover]) -> list[tuple[str, str, str, str]]:
    rows = []
    for kind, what in _LEFT_BY.items():
        if found := [one.n_bytes for one in left if one.kind == kind]:
            n = sum(one.n for one in left if one.kind == kind)
            rows.append((kind, what, f"{n:,}", _size(sum(found))))
    return rows


def _print_reusable(console: Console, collected: Sequence[Collected]) -> None:
    """What builds can no longer take over row by row when the old versions are gone."""
    found = ", ".join(f"{one.n_rows:,} of {one.table}" for one in collected if one.n_rows)
    if found:
        words = f"Of earlier versions these rows can be reused by no build then: {found}."
        console.print(words, highlight=False, soft_wrap=True)


def _print_young(console: Console, collected: Sequence[Collected], keep_days: int) -> None:
    if n := sum(one.n_young_files for one in collected):
        size = _size(sum(one.n_young_bytes for one in collected))
        console.print(
            f"{n:,} more files ({size}) are needed by nothing that is kept, but were replaced or "
            f"written less than {keep_days} days ago: a reader or a writer that still runs may "
            "need them.",
            highlight=False,
            soft_wrap=True,
        )


def _size(n_bytes: int) -> str:
    if n_bytes < 2**20:
        return f"{n_bytes / 2**10:,.1f} KiB"
    return f"{n_bytes / 2**20:,.1f} MiB"
