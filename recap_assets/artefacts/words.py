"""Words: the tokeniser that figures of diversity name, and that sets count with."""

import polars as pl

TOKENISER = "words-1"
"""Lower case; runs of letters, marks and digits, apostrophes inside a word included.

Scripts without spaces give a run as one word.
"""

WORD = r"[\p{L}\p{M}\p{N}]+(?:['\u2019][\p{L}\p{M}\p{N}]+)*"


def words(text: pl.Expr) -> pl.Expr:
    """The words of each text, in order, as a list; null for null."""
    return text.str.to_lowercase().str.extract_all(WORD)
