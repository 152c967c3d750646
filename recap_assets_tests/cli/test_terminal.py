import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import click
import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from recap_assets.cli import output
from recap_assets.cli.output import echo, show
from recap_assets.cli.terminal import console, plain
from recap_assets.untrusted import secrets


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("[red]bold[/] [link=x]y[/link]", "[red]bold[/] [link=x]y[/link]"),
        ("\x1b[2Jcleared", "\\x1b[2Jcleared"),
        ("\u202eturned", "\\u202eturned"),
        ("two\r\nlines\u2028three\x00", "two lines three\\x00"),
        (":smile: Straße 漢字", ":smile: Straße 漢字"),
    ],
)
def test_what_a_stranger_wrote_stays_text_on_one_line(words: str, shown: str) -> None:
    console = Console(file=StringIO(), force_terminal=True, width=80)
    console.print(plain(words), highlight=False)
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue() == f"{shown}\n"


HOSTILE = "\x1b]0;owned\x07 \x1b[2J[red]x[/] :smile: \u202e"


Capture = pytest.CaptureFixture[str]


@pytest.fixture
def _coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A console takes what it writes to for a terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.mark.usefixtures("_coloured")
def test_whatever_is_printed_holds_no_command_and_no_markup(capsys: Capture) -> None:
    table = Table(title=HOSTILE, min_width=90)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE)
    tree = Tree(Text(HOSTILE))
    tree.add(HOSTILE)
    for part in (HOSTILE, Text(HOSTILE), table, tree):
        console().print(part, soft_wrap=True)
    said = capsys.readouterr().out
    assert "\x1b]" not in said
    assert "\x1b[2J" not in said
    assert "\x07" not in said
    assert "\u202e" not in said
    assert said.count(r"\x1b]0;owned \x1b[2J[red]x[/] :smile: \u202e") == 7


@pytest.mark.usefixtures("_coloured")
def test_colours_of_our_own_stay(capsys: Capture) -> None:
    console().print(Text("failed", "red"))
    assert capsys.readouterr().out == "\x1b[31mfailed\x1b[0m\n"


def test_a_secret_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(secrets, "_known", set())
    monkeypatch.setattr(secrets, "_pattern", None)
    secrets.learn("correct-horse-battery")
    said = "it says correct-horse-battery to postgresql://me:hunter2@db"
    table = Table("a")
    table.add_row(said)
    for part in (said, Text(said), table):
        console().print(part)
    echo(said)
    show(click.ClickException(said))
    out, err = capsys.readouterr()
    shown = "it says [key] to postgresql://me:[hidden]@db"
    assert (out.count(shown), err) == (4, f"Error: {shown}\n")
    assert "horse" not in out


def run_recap(*words: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    code = "from recap_assets.cli.main import main; main()"
    return subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", code, *words],
        capture_output=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_errors_show_no_escape_codes_and_no_password(tmp_path: Path) -> None:
    done = run_recap("-e", str(tmp_path / "\x1b[2J?password=hunter2"), "doctor")
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert b"\x1b" not in said
    assert b"hunter2" not in said
    wrong = run_recap("\x1b[2J")
    assert wrong.returncode == 2
    assert rb"\x1b[2J" in wrong.stderr
    assert b"\x1b" not in wrong.stderr


def test_an_output_without_a_letter_shows_its_code(tmp_path: Path) -> None:
    done = run_recap("init", str(tmp_path / "cat🐈.yaml"), PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"cat\U0001f408.yaml" in done.stdout


def test_a_crash_shows_neither_codes_nor_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError("\x1b[2J postgresql://me:hunter2@db")
    except ValueError as error:
        output._show_crash(type(error), error, error.__traceback__)
    said = capsys.readouterr().err
    assert said.endswith("ValueError: \\x1b[2J postgresql://me:[hidden]@db\n")
