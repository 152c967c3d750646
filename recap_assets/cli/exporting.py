"""`recap export`: a mix in the form that another tool reads, and whether one is whole."""

import io
import shlex
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext, redirect_stdout
from typing import TYPE_CHECKING, cast

import click

from recap_assets.cli import completing
from recap_assets.cli.bars import bar
from recap_assets.cli.chosen import Chosen, of_experiment
from recap_assets.cli.output import echo, print_json

if TYPE_CHECKING:
    from rich.console import Console

    from recap_assets.cli.pushing import Push
    from recap_assets.defs.session import Session
    from recap_assets.exports.kind import ShardedExport, WholeExport
    from recap_assets.exports.once import Exported
    from recap_assets.graph.project import Project

PROBLEMS_SHOWN = 20
FAMILY = "exports"


class _ExportCommand(click.Command):
    """The command with an option for each field of the kinds that are installed.

    They are searched for when the command is asked for, so that the others start without them.
    """

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The options of all exports, then those of the kinds."""
        from recap_assets.cli.kind_options import options_of, words_of

        own = super().get_params(ctx)
        to = click.Option(
            ["--to"],
            type=click.Choice(list(words_of(FAMILY))),
            help="Form of the export; without it NAME is an export that the experiment declares.",
        )
        taken = ("mix", *(param.name or "" for param in own))
        return [own[0], to, *own[1:-1], *options_of(FAMILY, taken), own[-1]]


@click.command(cls=_ExportCommand)
@click.argument("name", metavar="[MIX|EXPORT|FOLDER]", shell_complete=completing.mixes_and_exports)
@click.option("--out", "folder", metavar="FOLDER", help="New folder, or a bucket's URL.")
@click.option("--verify", is_flag=True, help="Hash the files of the export in FOLDER again.")
@click.option("--arguments", is_flag=True, help="Print open_clip's arguments for FOLDER.")
@click.option("--replace", is_flag=True, help="Remove another export that is in the folder.")
@click.option("--push-to", metavar="hf://datasets/OWNER/NAME[@BRANCH]",
              help="Send it to the Hub as well, what a dataset there does not have.")  # fmt: skip
@click.option("--public", is_flag=True, help="With --push-to: a new dataset is not private.")
@click.option("--dry-run", is_flag=True, help="With --push-to: only say what would be sent.")
@click.option("--json", "as_json", is_flag=True, help="An object of what was done.")
@of_experiment
def export(
    chosen: Chosen,
    name: str,
    verify: bool,  # noqa: FBT001
    arguments: bool,  # noqa: FBT001
    replace: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
    **options: object,
) -> None:
    """Write a mix as shards or files that other tools read; run again, it continues or updates.

    `recap export MIX --to webdataset --out FOLDER` writes a mix as it is built now. `recap export
    NAME` builds the export NAME of the experiment. Both are resumable. `recap export --verify
    FOLDER` compares the files with their checksums. `--push-to` sends the export to the Hub, or
    what is in FOLDER.
    """
    from recap_assets.cli.pushing import Push, is_export

    push = Push.taken(options, replace=replace, is_check=verify or arguments)
    if verify:
        sys.exit(verify_folder(name, as_json=as_json))
    if arguments:
        print_arguments(name, as_json=as_json)
        return
    if push is not None and options["to"] is None and is_export(name):
        push_folder(name, push, as_json=as_json)
        return
    if push is not None and push.dry_run:
        msg = "--dry-run compares an export that is there: name its FOLDER, without --to"
        raise click.UsageError(msg)
    if options["to"] is None:
        export_declared(chosen, name, push, as_json=as_json)
        return
    if options["folder"] is None:
        msg = "say where it goes: --out FOLDER"
        raise click.UsageError(msg)
    from recap_assets.artefacts.mixes import CURATED_MIXES

    asked = {"mix": CURATED_MIXES.named(name), **options}
    sys.exit(run_export(chosen.reading(), asked, replace=replace, push=push, as_json=as_json))


def push_folder(place: str, push: "Push", *, as_json: bool) -> None:
    """Push an export that is in a folder."""
    from recap_assets.cli import terminal
    from recap_assets.storage.folders import Folder

    folder = Folder(place)
    pushed = push.of(folder, terminal.console(stderr=as_json))
    if as_json:
        print_json({"folder": str(folder), "pushed": pushed})


def export_declared(chosen: Chosen, name: str, push: "Push | None", *, as_json: bool) -> None:
    """Build an export of the experiment, and push it where that is wanted."""
    from recap_assets.artefacts.exports import EXPORTS
    from recap_assets.exports.declared import folder_of
    from recap_assets.exports.hub.published import require_local

    name = EXPORTS.named(name)
    project = require_declared(chosen.reading(), name)
    if push is None:
        _build(f"exports/{name}", as_json=as_json)
        return
    folder = folder_of(project, name)
    require_local(folder)
    said = io.StringIO()
    try:
        with redirect_stdout(said) if as_json else nullcontext():
            _build(f"exports/{name}", as_json=as_json)
    except SystemExit as ended:
        if ended.code:
            echo(said.getvalue(), nl=False)
            raise
    push_folder(str(folder), push, as_json=as_json)


def _build(asset: str, *, as_json: bool) -> None:
    """`recap build --yes -s ASSET`."""
    context = click.get_current_context()
    commands = cast("click.Group", context.find_root().command).commands
    context.invoke(commands["build"], yes=True, select=(asset,), as_json=as_json)


def run_export(
    session: "Session",
    options: Mapping[str, object],
    *,
    replace: bool,
    push: "Push | None" = None,
    as_json: bool = False,
) -> int:
    """Export a mix to a folder; the options are the keys of an export in an experiment."""
    from recap_assets.cli import terminal
    from recap_assets.cli.tracing import copy_receipts
    from recap_assets.exports.hub.published import require_local
    from recap_assets.exports.once import export_once
    from recap_assets.storage.folders import Folder, FolderError

    console = terminal.console(stderr=as_json)
    export = _checked(options)
    if push is not None:
        require_local(Folder(export.folder or ""))
    _warn_if_outdated(console, session, export.mix)
    copy_receipts(session)
    started = time.monotonic()
    try:
        with bar(console, f"exporting {export.mix}") as advance:
            done = export_once(session.project, export, replace=replace, progress=advance)
    except (FolderError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    _print_done(console, export, done, time.monotonic() - started)
    pushed = {} if push is None else {"pushed": push.of(done.folder, console)}
    if as_json:
        written = done.written
        form: dict[str, object] = {
            "folder": str(done.folder),
            "samples": written.holdings().n_samples,
            "shards": len(written.shards) or len(written.counted),
            "bytes": written.n_bytes,
            "left_out": dict(sorted(written.left_out.items())),
            **pushed,
        }
        print_json(form)
    return 0


def require_declared(session: "Session", name: str) -> "Project":
    """The project; a name that is no export of the experiment is refused."""
    declared = session.project.experiment.exports
    if name not in declared:
        known = ", ".join(declared) or "none"
        msg = (
            f"the experiment declares no export {name!r} (declared: {known}). To write a mix out, "
            "say how and where: --to webdataset --out FOLDER"
        )
        raise click.UsageError(msg)
    return session.project


def verify_folder(url: str, *, as_json: bool = False) -> int:
    """Hash an export's files again; the exit code is 1 where one differs from what was written."""
    from recap_assets.cli import terminal
    from recap_assets.exports.checksums import check_folder
    from recap_assets.storage.folders import Folder, FolderError

    console = terminal.console(stderr=as_json)
    try:
        with bar(console, "hashing") as advance:
            found = check_folder(Folder(url), lambda share: advance(round(1000 * share), 1000))
    except (FolderError, FileNotFoundError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        print_json({"folder": url, "checked": found.n_checked, "problems": dict(found.problems)})
        return 1 if found.problems else 0
    for name, problem in list(found.problems.items())[:PROBLEMS_SHOWN]:
        console.print(terminal.plain(f"{name}: {problem}"), soft_wrap=True)
    if len(found.problems) > PROBLEMS_SHOWN:
        console.print(f"and {len(found.problems) - PROBLEMS_SHOWN:,} more")
    if found.problems:
        console.print(f"{len(found.problems):,} of {found.n_checked:,} files are not as written.")
        return 1
    console.print(f"{found.n_checked:,} files are as they were written.")
    return 0


def print_arguments(url: str, *, as_json: bool = False) -> None:
    """Print open_clip's arguments for an export."""
    from recap_assets.exports.shard_list import read_shard_list
    from recap_assets.storage.folders import Folder, FolderError

    try:
        words = read_shard_list(Folder(url)).open_clip_arguments()
    except FolderError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        print_json({"folder": url, "arguments": list(words)})
        return
    echo(shlex.join(words))


def _checked(options: Mapping[str, object]) -> "ShardedExport | WholeExport":
    from pydantic import ValidationError

    from recap_assets.exports.declared import as_kind
    from recap_assets.specs.exports import parse_export

    given = {name: value for name, value in options.items() if value is not None}
    try:
        return as_kind("--to", parse_export(given))
    except ValidationError as error:
        found = [(_field_at(one["loc"]), one["msg"]) for one in error.errors()]
        problems = [f"--{field.replace('_', '-')}: {problem}" for field, problem in found]
        raise click.UsageError("; ".join(problems)) from error


def _field_at(place: tuple[int | str, ...]) -> str:
    """The option of a place that pydantic names: behind the kind's word comes the field."""
    names = [part for part in place if isinstance(part, str)]
    return names[1] if len(names) > 1 else "to"


def _warn_if_outdated(console: "Console", session: "Session", mix: str) -> None:
    from recap_assets.artefacts.mixes import CURATED_MIXES
    from recap_assets.graph.planner import plan

    if mix not in session.project.experiment.mixes:
        return
    found = plan(session.graph, session.read_records()).to_build
    n = sum(entry.asset == CURATED_MIXES.key(mix) for entry in found)
    if n:
        console.print(
            f"{n:,} partitions of {CURATED_MIXES.key(mix)} are out of date; what is built is "
            "exported. `recap build` first brings it up to date.",
            soft_wrap=True,
        )


def _print_done(
    console: "Console", export: "ShardedExport | WholeExport", done: "Exported", seconds: float
) -> None:
    from recap_assets.lineage.amounts import in_bytes, in_time

    written, folder = done.written, str(done.folder)
    held = written.holdings()
    console.print(
        f"{held.n_samples:,} samples in {len(written.shards) or len(written.counted):,} shards, "
        f"{in_bytes(written.n_bytes)} in {in_time(seconds)}: {folder}",
        highlight=False,
        soft_wrap=True,
    )
    meanings = export.reasons()
    for reason, count in sorted(written.left_out.items()):
        meaning = meanings.get(reason, reason)
        console.print(f"left out {count:,}: {meaning}", highlight=False, markup=False)
    console.print(export.how_to_read(folder), highlight=False, markup=False, soft_wrap=True)
    command = export.how_to_publish(folder) if done.folder.is_local else None
    if command is not None:
        console.print(f"To publish it: {command}", highlight=False, markup=False, soft_wrap=True)
