"""Texts are cut after each space, wherever in a column they are."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recap_assets.diversity import cutting
from recap_assets.diversity.cutting import cut_at_spaces

ROUGH = st.text(st.sampled_from("ab \u00e9\u4e2d\u00a0\n\0"), max_size=8)


def cut(texts: pl.Series) -> list[list[str]]:
    """The pieces of each text."""
    pieces, counts = cut_at_spaces(texts)
    ends = counts.cumsum().tolist()
    flat = pieces.to_list()
    assert len(flat) == sum(counts)
    return [flat[end - n : end] for end, n in zip(ends, counts.tolist(), strict=True)]


def test_a_piece_has_its_space_and_a_text_of_no_bytes_has_no_piece() -> None:
    texts = pl.Series(["a dog", "", "  ", "dog", "end ", "\u00e9t\u00e9 \u4e2d"])
    expected = [["a ", "dog"], [], [" ", " "], ["dog"], ["end "], ["\u00e9t\u00e9 ", "\u4e2d"]]
    assert cut(texts) == expected
    assert cut(texts[1:4]) == expected[1:4]
    assert cut(texts[:0]) == []
    assert cut(texts[1:2]) == [[]]


@settings(deadline=None)
@given(st.lists(ROUGH, max_size=12), st.integers(0, 5), st.sampled_from([0, 9, 2**31 - 1]))
def test_pieces_are_the_texts_and_each_ends_at_a_space(
    texts: list[str], start: int, most_bytes: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "_MOST_BYTES", most_bytes)
        found = cut(pl.Series(texts, dtype=pl.String)[start:])
    for text, pieces in zip(texts[start:], found, strict=True):
        assert "".join(pieces) == text
        assert all(" " not in piece[:-1] for piece in pieces)
        assert all(piece.endswith(" ") for piece in pieces[:-1])
