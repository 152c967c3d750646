"""What is printed with `--json` has the form that the docs give it, and nothing else is printed."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import polars as pl
import pytest
from pydantic import TypeAdapter

from recap_assets.artefacts.report import LEADERBOARD
from recap_assets.cli.forms import FORMS, schema_of
from recap_assets.cli.main import recap as whole
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.cli.running import Recap

Written = Callable[..., Path]
WITHOUT = {"install-img2dataset", "schema", "serve-captioner"}
"""Commands that pass on what another program prints; `schema` prints JSON in any case."""


def commands(group: click.Group, above: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        yield f"{above}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{above}{name} ")


def test_every_command_prints_json_of_a_form() -> None:
    found = dict(commands(whole))
    offers = {
        name
        for name, command in found.items()
        if any("--json" in param.opts for param in command.get_params(click.Context(command)))
    }
    assert offers == set(FORMS)
    assert set(found) - offers == WITHOUT | {"mix"}


def test_no_form_is_a_name_without_keys() -> None:
    for command in FORMS:
        schema = schema_of(command)
        form = schema["items"] if schema.get("type") == "array" else schema
        assert json.dumps(form).count("$ref") or form["properties"]


def form_of(command: str, printed: str) -> Any:
    """What was printed, as the form has it: nothing is missing, more or of another type."""
    return TypeAdapter(FORMS[command]).validate_json(printed, strict=True)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("doctor", ()), ("gc", ("--dry-run",)), ("gc", ("--yes",)), ("kinds", ()), ("plan", ()),
        ("status", ()), ("recipes", ()), ("recipes results", ()), ("recipes show", ("align",)),
        ("tables", ()), ("plan", ("--select", "raw_pool")),
    ],
    ids=str,
)  # fmt: skip
def test_a_command_that_reads_prints_its_form(
    recap: Recap, written: Written, command: str, words: tuple[str, ...]
) -> None:
    done = recap("-e", written(), *command.split(), *words, "--json")
    assert done.exception is None, done.output
    assert form_of(command, done.stdout) or command == "recipes results"


def test_a_build_that_nobody_agreed_to_says_so(recap: Recap, written: Written) -> None:
    done = recap("-e", written(), "build", "--json")
    form = form_of("build", done.stdout)
    assert done.exit_code == 1
    assert (form["agreed"], form["built"], form["failed"]) == (False, 0, {})
    assert "Nothing was done" in done.stderr
    dry = recap("-e", written(), "build", "--dry-run", "--json").stdout
    assert {row["partition"] for row in form_of("plan", dry) if row["asset"] == "raw_pool"} == {
        "00000", "00001", "00002",
    }  # fmt: skip


def test_files_that_were_written_are_named(recap: Recap, tmp_path: Path) -> None:
    made = form_of("init", recap("init", tmp_path / "mine.yaml", "--json").stdout)
    assert made == {"path": str(tmp_path / "mine.yaml"), "pool": "the embedded world"}
    copied = recap("recipes", "copy", "align", tmp_path / "a.yaml", "--json").stdout
    assert form_of("recipes copy", copied) == {"path": str(tmp_path / "a.yaml")}


def test_the_findings_of_a_file_that_is_wrong(recap: Recap, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("name: wrong\npoool: 3\n")
    done = recap("-e", path, "doctor", "--json")
    form = form_of("doctor", done.stdout)
    assert (done.exit_code, form["experiment"], form["wrong"]) == (1, None, 1)
    assert "poool: unknown key" in form["findings"][0]["text"]


def test_the_leaderboard_is_every_result_of_every_mix(
    recap: Recap, written: Written, tmp_path: Path
) -> None:
    refused = recap("-e", written(), "leaderboard", "--json")
    assert (refused.exit_code, refused.stdout) == (1, "")
    rows = pl.DataFrame(
        [
            ("raw", "average", "mean", 0.25, 0.01, 3, 60, 1.0),
            ("raw", "coarse", "acc1", 0.3, None, 1, 60, 1.0),
            ("mixed", "average", "mean", 0.5, 0.02, 3, 60, 0.3),
        ],
        schema=LEADERBOARD.unsliced,
        orient="row",
    )
    Workspace(tmp_path / "data", "tiny").tables.replace(LEADERBOARD, {}, rows)
    form = form_of("leaderboard", recap("-e", written(), "leaderboard", "--json").stdout)
    shown = [(row["mix"], row["task"], row["mean"], row["deviation"]) for row in form["mixes"]]
    assert shown == [
        ("mixed", "average", 0.5, 0.02),
        ("raw", "average", 0.25, 0.01),
        ("raw", "coarse", 0.3, None),
    ]
    assert (form["captions"], form["datacomp"], form["files"]) == ([], [], [])


def test_the_schema_of_a_command_is_printed(recap: Recap) -> None:
    assert json.loads(recap("schema", "mix try").stdout) == schema_of("mix try")
    wrong = recap("schema", "mixx")
    assert wrong.exit_code == 1
    assert "no command 'mixx' prints JSON; those that do: build, " in wrong.output
