"""`recap export`: a mix in the form that another tool reads, and whether one is whole."""

import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import click
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.cli import terminal
from recap_assets.cli.amounts import in_bytes, in_time
from recap_assets.cli.output import echo
from recap_assets.defs.session import Session
from recap_assets.exports.cards import how_to_read
from recap_assets.exports.checksums import check_folder
from recap_assets.exports.once import Exported, export_once
from recap_assets.exports.rows import LEFT_OUT_REASONS
from recap_assets.exports.shard_list import read_shard_list
from recap_assets.graph.planner import plan
from recap_assets.specs.exports import EXPORT, Export
from recap_assets.storage.folders import Folder, FolderError

QUIET_SECONDS = 10.0
PROBLEMS_SHOWN = 20


def run_export(session: Session, options: Mapping[str, object], *, replace: bool) -> int:
    """Export a mix to a folder; the options are the keys of an export in an experiment."""
    console = terminal.console()
    export = _checked(options)
    _warn_if_outdated(console, session, export.mix)
    started = time.monotonic()
    try:
        with _bar(console, f"exporting {export.mix}") as told:
            done = export_once(session.setting, export, replace=replace, progress=told)
    except (FolderError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    _print_done(console, export, done, time.monotonic() - started)
    return 0


def require_declared(session: Session, name: str) -> None:
    """Refuse a name that is no export of the experiment."""
    declared = session.setting.experiment.exports
    if name not in declared:
        known = ", ".join(declared) or "none"
        msg = (
            f"the experiment declares no export {name!r} (declared: {known}). To write a mix out, "
            "say how and where: --to webdataset --out FOLDER"
        )
        raise click.UsageError(msg)


def verify_folder(url: str) -> int:
    """Hash an export's files anew; the exit code is 1 where one differs from what was written."""
    console = terminal.console()
    try:
        with _bar(console, "hashing") as told:
            found = check_folder(Folder(url), lambda share: told(round(1000 * share), 1000))
    except (FolderError, FileNotFoundError) as error:
        raise click.ClickException(str(error)) from error
    for name, problem in list(found.problems.items())[:PROBLEMS_SHOWN]:
        console.print(terminal.plain(f"{name}: {problem}"), soft_wrap=True)
    if len(found.problems) > PROBLEMS_SHOWN:
        console.print(f"and {len(found.problems) - PROBLEMS_SHOWN:,} more")
    if found.problems:
        console.print(f"{len(found.problems):,} of {found.n_checked:,} files are not as written.")
        return 1
    console.print(f"{found.n_checked:,} files are as they were written.")
    return 0


def print_arguments(url: str) -> None:
    """Print open_clip's arguments for an export."""
    try:
        echo(shlex.join(read_shard_list(Folder(url)).open_clip_arguments()))
    except FolderError as error:
        raise click.ClickException(str(error)) from error


def _checked(options: Mapping[str, object]) -> Export:
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return EXPORT.validate_python(given)
    except ValidationError as error:
        problems = [f"--{str(e['loc'][-1]).replace('_', '-')}: {e['msg']}" for e in error.errors()]
        raise click.UsageError("; ".join(problems)) from error


def _warn_if_outdated(console: Console, session: Session, mix: str) -> None:
    if mix not in session.setting.experiment.mixes:
        return
    with session.open_instance() as instance:
        found = plan(session.graph, session.records(instance)).to_build
    n = sum(entry.asset == CURATED_MIXES.key(mix) for entry in found)
    if n:
        console.print(
            f"{n:,} partitions of {CURATED_MIXES.key(mix)} are out of date; what is built is "
            "exported. `recap build` first brings it up to date.",
            soft_wrap=True,
        )


@contextmanager
def _bar(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with the time left; where nobody watches, a line now and then."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    started = last = time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=1)

        def told(done: int, total: int) -> None:
            nonlocal last
            bar.update(task, completed=done, total=total)
            now = time.monotonic()
            if not console.is_terminal and now - last > QUIET_SECONDS and done:
                left = in_time((now - started) * (total - done) / done)
                console.print(f"{what}: {done:,} of {total:,}, ETA {left}", highlight=False)
                last = now

        yield told


def _print_done(console: Console, export: Export, done: Exported, seconds: float) -> None:
    written = done.written
    n_bytes = sum(file.size for file in written.files.values())
    n = written.n_samples or sum(written.uids.values())
    console.print(
        f"{n:,} samples in {len(written.shards) or len(written.uids):,} shards, "
        f"{in_bytes(n_bytes)} in {in_time(seconds)}: {done.folder}",
        highlight=False,
        soft_wrap=True,
    )
    for reason, count in sorted(written.left_out.items()):
        console.print(f"left out {count:,}: {LEFT_OUT_REASONS[reason]}", highlight=False)
    console.print(how_to_read(export, str(done.folder)), highlight=False, soft_wrap=True)
    if export.to == "huggingface" and done.folder.is_local:
        folder = shlex.quote(str(done.folder))
        command = f"hf upload ORGANISATION/NAME {folder} --type dataset --exclude 'records/*'"
        console.print(f"To publish it: {command}", highlight=False, soft_wrap=True)
