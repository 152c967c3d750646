import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap_assets.shards.text_repair import comparable_text, texts_differ

RIGHT = "CLR® Mold & Mildew Stain Remover \u2013 \u201cbest\u201d"


@pytest.mark.parametrize(
    "other",
    [
        RIGHT,
        RIGHT.replace("®", "\\xc2\\xae"),
        RIGHT.encode().decode("latin-1"),
        RIGHT.replace("®", "\u00c2®").replace("\u2013", "\u00e2\u20ac\u201c"),
        RIGHT.replace("&", "&amp;").replace("®", "&reg;"),
        f"  {RIGHT.replace(' ', '   ')}\n",
        RIGHT.replace("Mold", "\uff2dold"),
    ],
)
def test_one_text_through_other_decoders_is_the_same_text(other):
    assert comparable_text(other) == comparable_text(RIGHT)


@pytest.mark.parametrize("other", ["Shurfine CLR", RIGHT.replace("®", ""), RIGHT.lower(), "\\xff"])
def test_other_texts_stay_other(other):
    assert comparable_text(other) != comparable_text(RIGHT)


@given(st.text())
def test_a_text_is_the_same_as_its_bytes_taken_for_latin_1(text):
    normal = comparable_text(text)
    assert isinstance(normal, str)
    # Of what is beyond Latin-1 the wrong decoding can be undone for certain.
    if text and all(ord(character) > 0x2FFF for character in text):
        assert comparable_text(text.encode("utf-8", "replace").decode("latin-1")) == (
            comparable_text(text.encode("utf-8", "replace").decode())
        )


def test_what_is_missing_is_not_compared():
    one = pl.Series(["a", None, "\u00c2®", "x"])
    other = pl.Series(["a", "b", "®", None])
    assert texts_differ(one, other).to_list() == [False, None, False, None]
    assert texts_differ(pl.Series(["a"]), pl.Series(["b"])).to_list() == [True]
