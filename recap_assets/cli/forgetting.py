"""`recap forget`: what would go, the question, and what went."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from recap_assets.assembly.forgetting.certificate import certificate, place_of, write
from recap_assets.assembly.forgetting.identity import Identity
from recap_assets.assembly.forgetting.journal import Journal
from recap_assets.assembly.forgetting.naming import named
from recap_assets.assembly.forgetting.run import (
    Forgotten,
    Planned,
    alone,
    find,
    forget,
    refuse_other_storage,
)
from recap_assets.cli import terminal
from recap_assets.cli.output import print_json
from recap_assets.defs.forgetting import refuse_running_daemon, take_events
from recap_assets.defs.session import HOME_VARIABLE
from recap_assets.defs.storage_files import is_shipped
from recap_assets.storage.workspace import DATA_VARIABLE, TABLES_VARIABLE

SHOWN = 10


@dataclass(frozen=True)
class Asked:
    """What the user said.

    Attributes:
        uids: Samples, as they were written.
        hashes: A file of hashes.
        urls: A file of URLs.
        certificate: Where the certificate goes; None: beside where the command is called.
        dry_run: Show what would go, and stop.
        yes: Remove without asking.
        as_json: Print the certificate, and what people read to the error output.
    """

    uids: tuple[str, ...]
    hashes: Path | None
    urls: Path | None
    certificate: Path | None = None
    dry_run: bool = False
    yes: bool = False
    as_json: bool = False


def run_forget(asked: Asked) -> int:
    """Show what would go and, once that is agreed, remove it; 1 where something is left.

    Raises:
        ForgetError: What was named is not there, or nothing may be removed now.
        StorageError: Something cannot be read or written.
    """
    console = terminal.console(stderr=asked.as_json)
    data = Path(os.environ.get(DATA_VARIABLE, "data")).absolute()
    home = Path(os.environ.get(HOME_VARIABLE) or Path.cwd())
    refuse_other_storage(is_shipped=is_shipped(home), home=home)
    path = place_of(asked.certificate, data)
    with alone(data):
        planned = find(data, os.environ.get(TABLES_VARIABLE), _named(asked, data))
        _print_plan(console, planned)
        if asked.dry_run or not (asked.yes or _agreed()):
            console.print("Nothing was removed.")
            if asked.as_json:
                print_json(certificate(planned, None))
            return 0
        return _forget(console, planned, path, as_json=asked.as_json)


def _named(asked: Asked, data: Path) -> Identity:
    """What was named; nothing where an interrupted call is completed."""
    if not (asked.uids or asked.hashes or asked.urls) and Journal.of(data) is not None:
        return Identity()
    return named(asked.uids, asked.hashes, asked.urls)


def _forget(console: Console, planned: Planned, path: Path, *, as_json: bool) -> int:
    def keep(done: Forgotten) -> None:
        write(path, certificate(planned, done))

    for place in planned.places:
        refuse_running_daemon(place.workspace.instance)
    done = forget(planned, take_events, keep, lambda step: console.print(terminal.plain(step)))
    _print_done(console, done, path)
    if as_json:
        print_json(certificate(planned, done))
    return 1 if done.remaining else 0


def _agreed() -> bool:
    try:
        return click.confirm("Remove this for good?", default=False)
    except click.Abort as error:
        msg = "nobody answered, so nothing was removed; `recap forget --yes` does not ask"
        raise click.ClickException(msg) from error


def _print_plan(console: Console, planned: Planned) -> None:
    identity = planned.journal.identity
    if planned.resumes:
        console.print("A removal was interrupted; it is completed now.", soft_wrap=True)
    words = (
        f"{len(identity.uids):,} samples, {len(identity.hashes):,} images; later builds and "
        "downloads refuse them."
    )
    console.print(words, highlight=False, soft_wrap=True)
    table = Table(title="Would go", title_justify="left")
    for name in ("experiment", "what", "how much"):
        table.add_column(name, overflow="fold")
    for row in _rows(planned):
        table.add_row(*row)
    if table.row_count:
        console.print(table)
    for sentence in _named_only(planned):
        console.print(terminal.plain(sentence), soft_wrap=True)


def _rows(planned: Planned) -> Iterator[tuple[str, str, str]]:
    for name, found in sorted(planned.journal.places.items()):
        for table, n in found.rows.items():
            what = "rows set aside" if table == "raw_pool" else "rows"
            yield name, table, f"{n:,} {what}"
        if found.purged:
            yield name, "history", f"all former versions of {len(found.purged)} tables"
        if found.files:
            yield name, "files", _listed(found.files)
        if found.is_any:
            yield name, "Dagster's events", "all; records are made again from the lineage"
    if planned.n_replies:
        yield "", "kept replies of servers", f"{planned.n_replies:,}"


def _named_only(planned: Planned) -> Iterator[str]:
    """What is not removed, and why."""
    for name in sorted(planned.trained):
        if saw := planned.trained[name]:
            yield (
                f"{name}: trained on a mix with them, and cannot be rewritten: "
                f"{_listed([one.asset for one in saw])}; they stay until they are built again"
            )
        if saw := planned.exported[name]:
            places = _listed([f"{one.asset} in {one.where}" for one in saw])
            yield f"{name}: exported outside the data folder, and left there: {places}"
        if shards := planned.pools[name]:
            yield f"{name}: the pool is not ours to write to, and has them: {_listed(shards)}"
    if n := len(planned.journal.identity.shared):
        yield f"{n:,} of their texts are those of other samples too, and stay with these."


def _print_done(console: Console, done: Forgotten, path: Path) -> None:
    console.print(f"Searched {done.n_searched:,} files.", highlight=False)
    if done.remaining:
        words = f"Still there: {_listed(done.remaining)}"
        console.print(terminal.plain(words, "red"), soft_wrap=True)
    else:
        console.print("No file of the data folder holds them.")
    console.print(terminal.plain(f"Certificate: {path}"), soft_wrap=True)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
