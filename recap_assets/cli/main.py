"""The command line, `recap`."""

import atexit
import json
import os
import sys
from pathlib import Path

import click

from recap_assets.cli import completing
from recap_assets.cli.chosen import Chosen, name_data, of_experiment, opened
from recap_assets.cli.exporting import export
from recap_assets.cli.forget_command import forget
from recap_assets.cli.kinds_command import kinds
from recap_assets.cli.output import echo, prepare, print_json, show
from recap_assets.cli.placing import with_place
from recap_assets.cli.recipes import recipes_command
from recap_assets.cli.serve_commands import look, serve_captioner, ui
from recap_assets.cli.trace_commands import lineage, pin, reproduce, verify
from recap_assets.defs.garbage import collect_seldom, leave_garbage
from recap_assets.specs.loading import OWN
from recap_assets.untrusted.errors import RecapError

FAILED = 1
"""Exit code of a command that went wrong; click's own for one that is not understood is 2."""

OUT_OF_DATE = 2
"""Exit code of `plan --check`."""

SELECT_HELP = (
    "Only these assets and what they read: keys with * and ?, stage:NAME, PATTERN+ for all that "
    "reads them too. May be repeated."
)
SELECT = click.option(
    "--select",
    "-s",
    multiple=True,
    metavar="PATTERN",
    help=SELECT_HELP,
    shell_complete=completing.assets,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--experiment",
    "-e",
    type=click.Path(path_type=Path),
    envvar="RECAP_EXPERIMENT",
    help="Experiment file; `demo` and `smoke` are shipped. By default what RECAP_EXPERIMENT names, "
    "else experiment.yaml here, else that of [tool.recap] in pyproject.toml.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY.PATH=VALUE",
    help="A setting laid over the file, such as seed=2000; may be repeated.",
)
@click.option("--data", type=click.Path(path_type=Path), help="Data folder; by default `data`.")
@click.version_option(package_name="recap-assets")
@click.pass_context
def recap(
    context: click.Context, experiment: Path | None, settings: tuple[str, ...], data: Path | None
) -> None:
    """Curate image-text data: captions by models, mixed by rule with the raw alt-text."""
    if data is not None:
        name_data(data)
    context.obj = Chosen(experiment, settings, data)


@recap.command()
@click.option("--jobs", "-j", type=click.IntRange(min=1), default=2, show_default=True)
@click.option(
    "--gpus",
    metavar="N|all|0,1",
    help="The GPUs to use: a number of them, all (the default), or their numbers (`1,` is one).",
)
@click.option(
    "--workers",
    metavar="local|auto|ADDRESS",
    help="Where models compute: here, or on a Ray cluster (auto: the one of this machine).",
)
@click.option("--yes", "-y", is_flag=True, help="Build without asking; nothing is removed.")
@click.option(
    "--remove", is_flag=True, help="Remove what left the experiment; build with --yes only."
)
@click.option("--dry-run", is_flag=True, help="Show what would be built, and stop.")
@click.option(
    "--take-over", is_flag=True, help="Take the results of another file that has the same name."
)
@click.option(
    "--no-reuse", is_flag=True, help="Compute whatever is out of date, though it was before."
)
@click.option("--json", "as_json", is_flag=True, help="An object of what was done.")
@click.option(
    "--budget",
    multiple=True,
    metavar="20h|5gpu-h|50usd|1000000captions",
    help="Stop before more than this is spent; may be given for several sorts. The next build "
    "continues.",
)
@SELECT
@of_experiment
def build(
    chosen: Chosen,
    jobs: int,
    gpus: str | None,
    workers: str | None,
    budget: tuple[str, ...],
    select: tuple[str, ...],
    **flags: bool,
) -> None:
    """Bring everything that is out of date up to date, and nothing else.

    What left the experiment (a captioner, a mix, shards) is removed after you agreed, or with
    --remove. Without a terminal nothing is asked, and nothing done without --yes or --remove.
    """
    from recap_assets.defs.worker_start import WorkerProcesses

    if gpus is not None:
        os.environ["RECAP_GPUS"] = gpus
    if workers is not None:
        os.environ["RECAP_WORKERS"] = workers
    session = chosen.session(only_reads=flags["dry_run"])
    processes = WorkerProcesses()
    try:
        # All the time until the first plan is theirs, too: the build is imported beside them.
        if flags["yes"] and not flags["dry_run"] and session.is_new:
            processes.start(jobs)
        from recap_assets.cli.building import Asked, run_build

        code = run_build(session, jobs, Asked(budget=budget, **flags), select, processes)
    finally:
        processes.end()
    sys.exit(code)


@recap.command()
@click.option("--json", "as_json", is_flag=True, help="A list with an object for each partition.")
@click.option(
    "--why",
    metavar="ASSET[PARTITION]",
    help="The causes of one partition's state.",
    shell_complete=completing.assets,
)
@SELECT
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    help="What the experiment would rebuild of this other file's results, were they its own.",
)
@click.option("--check", is_flag=True, help="End with 2 where something is out of date.")
@of_experiment
def plan(
    chosen: Chosen,
    as_json: bool,  # noqa: FBT001 - click's flags
    check: bool,  # noqa: FBT001
    why: str | None,
    select: tuple[str, ...],
    against: Path | None,
) -> None:
    """Show what is out of date, why, and what building it will cost."""
    from recap_assets.cli.planning import print_plan

    current = print_plan(chosen.reading(against), as_json=as_json, why_of=why, select=select)
    if check and current:
        sys.exit(OUT_OF_DATE)


@recap.command()
@click.option("--json", "as_json", is_flag=True, help="An object for each asset.")
@of_experiment
def status(chosen: Chosen, as_json: bool) -> None:  # noqa: FBT001 - click's flags
    """Show each asset: partitions, rows, what was set aside and why, when it was built."""
    from recap_assets.cli.status import print_status

    print_status(chosen.reading(), as_json=as_json)


@recap.command()
@click.option(
    "--by",
    multiple=True,
    type=click.Choice(["asset", "source", "model", "run", "day"]),
    help="What to add up by; may be given several times. By default by asset.",
)
@click.option("--json", "as_json", is_flag=True, help="An object with the rows and the total.")
@of_experiment
def costs(chosen: Chosen, by: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001 - click's flags
    """Show what building took in time, GPU time, tokens and money, and what was reused."""
    from recap_assets.cli.costs import print_costs

    print_costs(chosen.reading(), by, as_json=as_json)


@recap.command()
@click.option("--stdout", is_flag=True, help="Print it instead of writing a file.")
@click.option(
    "--pool",
    metavar="FOLDER",
    help="Write it for the pool in this folder: shards, or images beside a table of texts. By "
    "default for shards in the folder where you are; without any, or with `embedded`, the demo.",
)
@click.argument("path", type=click.Path(path_type=Path), default=OWN)
@click.option("--json", "as_json", is_flag=True, help="An object of the file.")
def init(path: Path, stdout: bool, pool: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's flags
    """Write a commented starting file: for a pool that is there, or the embedded demo."""
    from recap_assets.cli.starting_file import starting_text

    text, what = starting_text(pool)
    if stdout:
        echo(text, nl=False)
        return
    if path.exists():
        msg = f"{path} exists; name another file"
        raise click.ClickException(msg)
    path.write_text(text, encoding="utf-8")
    if as_json:
        print_json({"path": str(path), "pool": what})
        return
    echo(f"Wrote {path} for {what}. Check it with `recap --experiment {path} doctor`.")


@recap.command()
@click.option("--json", "as_json", is_flag=True, help="An object of what was found.")
@click.option("--load", is_flag=True, help="Load models of more than 1 GiB, too, as a build does.")
@of_experiment
def doctor(chosen: Chosen, as_json: bool, load: bool) -> None:  # noqa: FBT001 - click's flags
    """Check the file, its paths, its models and the storage, and say what is wrong.

    Of a model with more than 1 GiB of weights these are not loaded: its configs, its tokenizer and
    the names and shapes of its tensors are checked.
    """
    from recap_assets.cli.doctor import run_doctor

    sys.exit(run_doctor(chosen.path, chosen.settings, as_json=as_json, loads=load))


@recap.command()
@click.option("--dry-run", is_flag=True, help="Show what would go, and stop.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask before removing.")
@click.option(
    "--replies-days",
    type=click.IntRange(min=0),
    metavar="N",
    help="Also remove what captioning servers replied more than N days ago, of all experiments; "
    "it is then paid for again if it is asked again.",
)
@click.option(
    "--keep-days",
    type=click.IntRange(min=7),
    default=7,
    show_default=True,
    metavar="N",
    help="How long replaced files and orphans stay; less than a week is not safe for writers.",
)
@click.option("--json", "as_json", is_flag=True, help="An object of what goes.")
@of_experiment
def gc(
    chosen: Chosen,
    dry_run: bool,  # noqa: FBT001 - click's flags
    yes: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
    keep_days: int,
    replies_days: int | None,
) -> None:
    """Remove what no receipt pins and no build needs: old versions, and what crashes left."""
    from recap_assets.cli.cleaning import Ages, run_gc

    ages = Ages(keep_days, replies_days)
    session = chosen.session(only_reads=dry_run)
    sys.exit(run_gc(session, ages, ask=not yes, dry_run=dry_run, as_json=as_json))


@recap.command("install-img2dataset")
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    help="Folder of the environment; by default .venv-img2dataset beside this one's.",
)
def install_img2dataset(into: Path | None) -> None:
    """Install img2dataset, which downloads pools that are lists of URLs, in a place of its own."""
    from recap_assets.cli.installing import run_installation

    run_installation(into)


@recap.command()
@click.argument("command", required=False)
@click.option("--commands", is_flag=True, help="A page of what every command prints with --json.")
def schema(command: str | None, commands: bool) -> None:  # noqa: FBT001 - click's flag
    """Print the JSON schema of an experiment file, or of what COMMAND prints with --json."""
    if commands or command is not None:
        from recap_assets.cli.forms import FORMS, schema_of
        from recap_assets.cli.forms_page import forms_page

        if command is not None and command not in FORMS:
            msg = f"no command {command!r} prints JSON; those that do: {', '.join(FORMS)}"
            raise click.ClickException(msg)
        echo(json.dumps(schema_of(command), indent=2) if command else forms_page())
        return
    from recap_assets.specs.experiment import Experiment

    echo(json.dumps(Experiment.model_json_schema(), indent=2))


@recap.command()
@click.option("--json", "as_json", is_flag=True, help="A list of objects.")
def tables(as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """Print every table and column, in markdown."""
    from recap_assets.artefacts.catalogue import as_rows, described

    if as_json:
        print_json(as_rows())
    else:
        echo(described())


@recap.command()
@click.argument("name", required=False, shell_complete=completing.sources)
@click.option("--json", "as_json", is_flag=True, help="An object for each import.")
@of_experiment
def imports(chosen: Chosen, name: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """Show how third-party captions fit the pool: matched, missing, orphaned, conflicting."""
    from recap_assets.cli.imports import print_imports

    print_imports(chosen.reading(), name, as_json=as_json)


@recap.group()
def mix() -> None:
    """Work with mixes before they are built."""


@mix.command("try")
@click.option("--json", "as_json", is_flag=True, help="An object for each mix.")
@of_experiment
def mix_try(chosen: Chosen, as_json: bool) -> None:  # noqa: FBT001 - click's flags
    """Count every mix from the score tables; nothing is written, no model is loaded."""
    from recap_assets.cli.mixes import print_trial

    print_trial(chosen.reading(), as_json=as_json)


@recap.command()
@click.option("--datacomp", is_flag=True, help="The aggregates of DataComp's 38 tasks.")
@click.option("--captions", is_flag=True, help="The reference metrics of the captioners.")
@click.option(
    "--jsonl",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write MIX/SEED/eval_results.jsonl there, as DataComp's scripts read it.",
)
@click.option("--json", "as_json", is_flag=True, help="An object with what was asked for.")
@of_experiment
def leaderboard(chosen: Chosen, jsonl: Path | None, **flags: bool) -> None:
    """Show every mix side by side, from what was evaluated last."""
    from recap_assets.cli.leaderboard import run_leaderboard

    run_leaderboard(chosen.reading(), jsonl=jsonl, **flags)


@recap.command()
@click.argument("before", metavar="MIX_A", shell_complete=completing.mixes)
@click.argument("after", metavar="MIX_B", shell_complete=completing.mixes)
@click.option("--json", "as_json", is_flag=True, help="An object with all of it.")
@click.option(
    "--rows",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="Sample images of each kind of change.",
)
@of_experiment
def diff(chosen: Chosen, before: str, after: str, as_json: bool, rows: int) -> None:  # noqa: FBT001 - click's flag
    """Show what differs between two mixes: images, captions, scores, diversity, sample rows.

    Each is a mix, or a version of one: MIX@12 (Delta version 12 of the table curated_mixes) or
    MIX@2026-11-20T10:00 (as of then, UTC).
    """
    from recap_assets.cli.comparing import print_difference

    print_difference(chosen.reading(), before, after, as_json=as_json, n_samples=rows)


for command in (
    *(export, kinds, look, recipes_command, serve_captioner, ui),
    *(forget, lineage, pin, reproduce, verify),
):
    recap.add_command(command)


def main() -> None:
    """Run the command line; what a user can fix is explained, without a traceback."""
    # What ends with the process need not be looked through for garbage, which takes a second.
    atexit.register(leave_garbage)
    collect_seldom()
    prepare()
    try:
        recap(standalone_mode=False)
    except click.ClickException as error:
        show(error)
        sys.exit(error.exit_code)
    except click.Abort:
        echo("Stopped. What was finished is kept; run again to continue.", err=True)
        sys.exit(130)
    except RecapError as error:
        echo(f"Error: {with_place(str(error), opened())}", err=True)
        sys.exit(FAILED)
    except Exception as error:
        from recap_assets.defs.failures import in_words

        if (words := in_words(error)) is None:
            raise
        echo(f"Error: {words}", err=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
