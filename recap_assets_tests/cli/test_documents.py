"""What is generated from the code is the code's."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from recap_assets.cli.main import recap

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("command", "file"), [("tables", "tables.md"), ("schema", "experiment.schema.json")]
)
def test_generated_documents_are_up_to_date(command: str, file: str) -> None:
    printed = CliRunner().invoke(recap, [command]).output
    assert (DOCS / file).read_text() == printed, f"run: recap {command} > docs/{file}"
