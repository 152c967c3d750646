"""The recipe book on the command line: `recap recipes`."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recap_assets.cli import completing
from recap_assets.cli.chosen import Chosen
from recap_assets.cli.output import echo, print_json
from recap_assets.specs.recipe_book import Entry, recipe_named, recipes

if TYPE_CHECKING:
    import polars as pl

SIZE = click.option(
    "--size", default="full", show_default=True, help="full or smoke: a quick look that it runs."
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="An object, or a list of some.")


@dataclass(frozen=True)
class Result:
    """What was found when a recipe was last built.

    Attributes:
        size: At which size.
        claims: CLAIMS, those of the recipe.
    """

    size: str
    claims: "pl.DataFrame"

    @property
    def summary(self) -> str:
        """How many of its expectations came out."""
        verdicts = self.claims["verdict"].to_list()
        measured = [one for one in verdicts if one != "not measured"]
        at = "" if self.size == "full" else f" ({self.size})"
        if not measured:
            return f"not measured{at}"
        return f"{measured.count('reproduced')} of {len(verdicts)} reproduced{at}"


@click.group("recipes", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="A list of objects.")
@click.option("--markdown", is_flag=True, help="A page of all headers, as docs/recipes.md is.")
@click.pass_context
def recipes_command(context: click.Context, as_json: bool, markdown: bool) -> None:  # noqa: FBT001 - click's flags
    """Published systems as experiment files: list, show, run or copy one."""
    if context.invoked_subcommand is not None:
        return
    if as_json:
        echo(json.dumps([_fields(one) for one in recipes()], indent=1))
    elif markdown:
        echo(page(), nl=False)
    else:
        _print_list()


@recipes_command.command()
@click.argument("name", shell_complete=completing.recipe_words)
@AS_JSON
def show(name: str, as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """Show a recipe: its paper, its file, and what was found when it was last built here."""
    one = recipe_named(name)
    if as_json:
        print_json(_fields(one))
        return
    recipe = one.recipe
    echo(f"{one.number} {recipe.title}\n{recipe.paper}\n\nFound: {recipe.found}")
    echo(f"Here: {recipe.shows}\nSizes: {', '.join(one.sizes)}\nFile: {one.path}\n")
    for result in results_of(one):
        echo(f"Last result, size {result.size}:")
        for row in result.claims.iter_rows(named=True):
            echo(f"  {row['verdict']}: {row['statement']} {row['figure']} {row['note']}".rstrip())
        echo("")
    echo(one.path.read_text(encoding="utf-8"), nl=False)


@recipes_command.command()
@click.argument("name", shell_complete=completing.recipe_words)
@SIZE
@click.option("--jobs", "-j", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would be built, and stop.")
@AS_JSON
@click.pass_obj
def run(chosen: Chosen, name: str, size: str, jobs: int, **flags: bool) -> None:
    """Build a recipe, like `recap -e FILE --set size=SIZE build`."""
    from recap_assets.cli.building import Asked, run_build

    one = recipe_named(name)
    session = Chosen(one.path, (*chosen.settings, f"size={size}"), chosen.data).session()
    code = run_build(session, jobs, Asked(budget=(), **flags))
    if code == 0 and not flags["dry_run"] and not flags["as_json"]:
        for result in results_of(one):
            if result.size == size:
                echo("\n".join(_verdicts(result)))
    sys.exit(code)


@recipes_command.command()
@click.argument("name", shell_complete=completing.recipe_words)
@click.argument("path", type=click.Path(path_type=Path), required=False)
@AS_JSON
def copy(name: str, path: Path | None, as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """Write a recipe's file to PATH, by default NAME.yaml here, to change it."""
    one = recipe_named(name)
    to = path or Path(f"{one.word}.yaml")
    if to.exists():
        msg = f"{to} exists; name another file"
        raise click.ClickException(msg)
    to.write_text(one.path.read_text(encoding="utf-8"), encoding="utf-8")
    if as_json:
        print_json({"path": str(to)})
        return
    echo(f"Wrote {to}. Give it a name of your own, then `recap --experiment {to} doctor`.")


@recipes_command.command()
@AS_JSON
def results(as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """Print what every recipe that was built here found, in markdown."""
    if as_json:
        rows = map(_fields, recipes())
        print_json([row for row in rows if row["results"]])
        return
    echo(results_page(), nl=False)


def results_of(one: Entry) -> Iterator[Result]:
    """What was found at each size that was built here."""
    from recap_assets.artefacts.report import CLAIMS
    from recap_assets.storage.workspace import Workspace

    for size in one.sizes:
        tables = Workspace.from_environment(one.experiment(size)).tables
        claims = tables.read(CLAIMS).filter(of="recipe")
        if not claims.is_empty():
            yield Result(size, claims)


def page() -> str:
    """docs/recipes.md: the header of every recipe."""
    parts = [_INTRODUCTION]
    for one in recipes():
        recipe = one.recipe
        expects = "".join(f"- {expected.statement}\n" for expected in recipe.expects)
        parts.append(
            f"\n## {one.number} {recipe.title}\n\n"
            f"{recipe.paper}. `recap recipes run {one.word}`\n\n"
            f"**Found:** {recipe.found}\n\n**Here:** {recipe.shows}\n"
            + (f"\nExpected here, where the finding holds:\n\n{expects}" if expects else "")
        )
    return "".join(parts)


def results_page() -> str:
    """A table of every claim of every recipe that was built here, at its largest size."""
    lines = ["| recipe | claim | figure | verdict |", "| --- | --- | --- | --- |"]
    for one in recipes():
        result = next(results_of(one), None)
        if result is None:
            continue
        at = "" if result.size == "full" else f", {result.size}"
        for row in result.claims.iter_rows(named=True):
            cells = (row["statement"], row["figure"] or row["note"], row["verdict"])
            lines.append(f"| {one.number} {one.word}{at} | {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines) + "\n"


_INTRODUCTION = """\
# The recipe book

Published systems that curate or recaption image-text data, each as an experiment file that runs on
the embedded world as it is, with small models trained here where the paper has large ones, whose
names stand beside. `recap recipes` lists them with their last results here; `recap recipes copy`
gives you a file of your own to change. What was measured is in [experiments.md](experiments.md).
`recap recipes --markdown` writes this page from the files.
"""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _fields(one: Entry) -> dict[str, object]:
    found = {result.size: result.claims.to_dicts() for result in results_of(one)}
    header = one.recipe.model_dump(mode="json")
    return {"number": one.number, "name": one.word, **header, "sizes": one.sizes, "results": found}


def _verdicts(result: Result) -> Iterator[str]:
    for row in result.claims.iter_rows(named=True):
        yield f"{row['verdict']}: {row['statement']} {row['figure']}".rstrip()


def _print_list() -> None:
    from rich.table import Table

    from recap_assets.cli import terminal

    table = Table(box=None, padding=(0, 1), title="Recipes", title_justify="left")
    for name in ("", "name", "title and paper", "last result here"):
        table.add_column(name, no_wrap=name in ("", "name"))
    for one in recipes():
        result = next(results_of(one), None)
        about = f"{one.recipe.title}. {one.recipe.paper}"
        table.add_row(one.number, one.word, about, result.summary if result else "-")
    terminal.console().print(table)
