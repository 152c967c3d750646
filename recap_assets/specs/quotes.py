"""How delimited text is written, which its bytes do not tell."""

from typing import Annotated, Literal

from pydantic import Field

Quotes = Annotated[
    Literal["none", "double"] | None,
    Field(
        description="Quotes in CSV and TSV files. double: a field may stand in quotes, and a quote "
        "in it is doubled; none: a quote is a character like others. By default double in .csv and "
        "none in .tsv.",
    ),
]
