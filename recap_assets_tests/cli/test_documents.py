"""What is generated from the code is the code's."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from recap_assets.cli.main import recap

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("tables", "tables.md"),
        ("schema", "experiment.schema.json"),
        ("schema --commands", "json.md"),
    ],
)
def test_generated_documents_are_up_to_date(command: str, file: str) -> None:
    printed = CliRunner().invoke(recap, command.split()).output
    assert (DOCS / file).read_text() == printed, f"run: recap {command} > docs/{file}"


def test_the_page_on_security_names_what_there_is() -> None:
    text = (DOCS / "security.md").read_text(encoding="utf-8")
    there = [path.as_posix() for path in DOCS.parent.glob("recap_assets*/**/*.py")]
    named = set(re.findall(r"`([\w/]+\.py)`", text))
    assert len(named) > 30
    assert {name for name in named if not any(path.endswith(f"/{name}") for path in there)} == set()
