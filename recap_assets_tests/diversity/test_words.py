import gzip
import json
import tarfile

import polars as pl
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from recap_assets.diversity.words import WORD, encode, nondescript, words

ROUGH = st.text(
    st.sampled_from(
        "aBzÉß0 9'\u2019-_.,\t\n\u00a0\u3000\u0301\u4e2d\u6587\u0130\u03a3\u0915\u094d!"
    )
    | st.characters(codec="utf-8", categories=("L", "M", "N", "P", "Z")),
    max_size=40,
)


def words_of(texts):
    return pl.DataFrame({"t": pl.Series(texts, dtype=pl.String)}).select(words(pl.col("t")))["t"]


def decoded(encoded):
    flat = encoded.vocabulary.gather(encoded.ids).to_list()
    ends = encoded.lengths.cumsum()
    return [flat[end - n : end] for end, n in zip(ends, encoded.lengths, strict=True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A man's T-shirt, size XL!", ["a", "man's", "t", "shirt", "size", "xl"]),
        ("rock 'n' roll", ["rock", "n", "roll"]),
        ("the dogs\u2019 bowl isn\u2019t", ["the", "dogs", "bowl", "isn\u2019t"]),
        ("Caf\u00e9 No. 9\u00bd", ["caf\u00e9", "no", "9\u00bd"]),
        ("\u4e00\u53ea\u732b \u043a\u043e\u0442", ["\u4e00\u53ea\u732b", "\u043a\u043e\u0442"]),
        ("snake_case\tand\nlines", ["snake", "case", "and", "lines"]),
        (" -- ", []),
        ("", []),
    ],
)
def test_what_a_word_is(text, expected):
    assert words_of([text])[0].to_list() == expected


@given(st.lists(ROUGH, max_size=8))
def test_numbered_words_are_the_words(texts):
    expected = words_of(texts).to_list()
    assert decoded(encode(pl.Series(texts, dtype=pl.String))) == expected
    flat = [word for text in expected for word in text]
    assert sorted(encode(pl.Series(texts, dtype=pl.String)).vocabulary) == sorted(set(flat))


@pytest.mark.parametrize("slot_bits", [0, 1, 3])
@settings(deadline=None)
@given(texts=st.lists(ROUGH, max_size=8), block=st.integers(1, 4))
def test_numbered_words_are_the_words_where_most_share_a_slot(slot_bits, texts, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recap_assets.diversity.words._MOST_SLOT_BITS", slot_bits)
        patch.setattr("recap_assets.diversity.words._BLOCK", block)
        encoded = encode(pl.Series(texts, dtype=pl.String))
    expected = words_of(texts).to_list()
    assert decoded(encoded) == expected
    flat = {word for text in expected for word in text}
    assert sorted(encoded.vocabulary) == sorted(flat)


def test_a_piece_may_have_no_word_one_or_very_many():
    many = "-".join(f"w{i}" for i in range(50_000))
    texts = ["a - b", many, "", f"- {many} c", "b - a-b", " ", "--"]
    assert decoded(encode(pl.Series(texts))) == words_of(texts).to_list()
    assert decoded(encode(pl.Series(["- -", "", "."]))) == [[], [], []]


@pytest.mark.parametrize("block", [1, 2, 100])
def test_blocks_change_nothing(block, monkeypatch):
    texts = pl.Series(["a b-c", "", "c a", "...", "d'e f"])
    monkeypatch.setattr("recap_assets.diversity.words._BLOCK", block)
    assert decoded(encode(texts)) == [["a", "b", "c"], [], ["c", "a"], [], ["d'e", "f"]]


def test_real_texts_have_the_words_of_an_independent_engine(shared_data):
    with gzip.open(shared_data / "texts" / "laion_alttext_sample.jsonl.gz", "rt") as lines:
        texts = [json.loads(line)["caption"] for line in lines][:3_000]
    pattern = regex.compile(WORD)
    assert decoded(encode(pl.Series(texts))) == [pattern.findall(text.lower()) for text in texts]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "...",
        "IMG_2231.jpg",
        "img_2231",
        "DSC01234",
        "P1010023.JPG",
        "2513260012_03d33305cf.jpg",
        "12345",
        "2014-05-02 12.33.10",
        "12/05/2014",
        "May 2014",
        "3rd March, 2009",
        "Screenshot 2020-01-02 at 10.30.55 AM",
        "Screen Shot 2014-05-02",
        "untitled",
        "image (3)",
        "550e8400-e29b-41d4-a716-446655440000",
        "9f86d081884c7d659a2feaa0c55ad015",
        "20140502_123310",
        "800 x 600",
    ],
)
def test_texts_that_say_nothing(text):
    assert pl.select(nondescript(pl.lit(text))).item()


@pytest.mark.parametrize(
    "text",
    [
        "a dog",
        "dog",
        "image of a dog",
        "photo album",
        "May I come in",
        "March of the penguins",
        "facade",
        "decade",
        "Boeing 747",
        "photo by Ansel Adams 1942",
        "house.jpg on the web",
        "2 cats",
        "\u732b",
        "ABBA",
        "img src",
    ],
)
def test_texts_that_say_something(text):
    assert not pl.select(nondescript(pl.lit(text))).item()


def test_a_missing_text_is_neither():
    assert pl.select(nondescript(pl.lit(None, dtype=pl.String))).item() is None


def test_file_names_of_a_real_pool_are_told_from_its_captions(shared_data):
    rows = []
    with tarfile.open(shared_data / "pools/flickr8k_web/shards/00000000.tar") as tar:
        for member in tar:
            if member.name.endswith(".json"):
                content = json.load(tar.extractfile(member))
                rows.append((content["pairing"] == "file_name", content["caption"]))
    frame = pl.DataFrame(rows, schema=["is_file_name", "text"], orient="row")
    assert frame["is_file_name"].sum() > 50
    found = frame.select(nondescript(pl.col("text")))["text"]
    assert found.to_list() == frame["is_file_name"].to_list()


def test_words_that_agree_in_their_hash_are_still_two(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pl.Series("text", ["a dog, a cat", "", "Dogs and a cat", "a"])
    expected = encode(texts)
    monkeypatch.setattr(
        pl.Series, "hash", lambda self: pl.repeat(7, len(self), dtype=pl.UInt64, eager=True)
    )
    found = encode(texts)
    assert found.vocabulary.to_list() == ["a", "dog", "cat", "dogs", "and"]
    assert found.vocabulary.equals(expected.vocabulary)
    assert found.ids.tolist() == expected.ids.tolist() == [0, 1, 0, 2, 3, 4, 0, 2, 0]
    assert found.lengths.tolist() == expected.lengths.tolist() == [4, 0, 4, 1]
