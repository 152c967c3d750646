"""Where captions part, on texts as the web and captioners write them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap_assets.captions.kinds.split.sentences import parts_of, sentences_of


@pytest.mark.parametrize(
    "sentences",
    [
        ["The image shows a dog.", "It runs on a beach!", "Is it wet?", "Yes"],
        ["a dog runs on a beach.", "a cat sits on a wall.", "the sky is blue"],
        ["a dog .", "a cat on a mat ."],
        ["Dr. Smith and Mrs. Jones stand at St. Mark's Square.", "Mt. Fuji is behind them."],
        ["It costs 3.50 and weighs 1.5 kg. approx. 2 lbs. in all.", "5 stars."],
        ["No. 5 on the list.", "See fig. 3 for it.", "There is no. fig. The tree is bare."],
        ["The parade begins at 5 p.m. on Main Street.", "It ends at 9 a.m.", "Crowds gather."],
        ["A photo by J. R. R. Tolkien of the U.S. Army.", "It is rich in vitamin C.", "The end."],
        ["Apple Inc. is near.", "Toys by Mattel Inc.", "The box holds cars, dolls, etc. and more."],
        ['He says "Hello there."', "Then he leaves.", "“Why?”", "Nobody knows (yet)."],
        ["The castle (built c. 1200. Restored later.) is old.", "It stands."],
        ["A long road... it never ends.", "Wait…", "What is that?"],
        ["1. A red car.", "2. A blue car.", "3. Two birds."],
        ["Visit www.example.com or mail a.b@c.de for IMG_1.jpg now.", "Thanks"],
        ["Yahoo! search is open.", "Wow!!", "So good?!", "Yes."],
        ["小さな女の子がロープを登っています。", "犬もいます。", "空は青い"],
        ["Ein Mann geht z.B. nach Hause.", "Er ist müde."],
    ],
    ids=lambda sentences: sentences[0][:24],
)
def test_sentences_of_captions(sentences: list[str]) -> None:
    joined = ("" if sentences[0][0] == "小" else " ").join(sentences)
    if sentences[0].startswith("No. 5"):
        sentences = [*sentences[:2], "There is no. fig.", "The tree is bare."]
    assert list(parts_of(joined, "sentence")) == sentences


def test_lines_part_sentences_and_lists() -> None:
    text = "Title without a point\n\n- one thing\r\n- one thing\n***\n- two. Things"
    assert list(parts_of(text, "newline")) == [
        "Title without a point",
        "- one thing",
        "- two. Things",
    ]
    assert list(parts_of(text, "sentence"))[-2:] == ["- two.", "Things"]


def test_commas_part_but_for_those_in_numbers() -> None:
    text = "a red car, 1,000 dollars; new,blue、大きい，車. A sofa, sofa, ,"
    parts = ["a red car", "1,000 dollars", "new", "blue", "大きい", "車.", "A sofa", "sofa"]
    assert list(parts_of(text, "comma")) == parts


@given(st.text(alphabet='aA .!?()\n1,。"', max_size=200))
def test_sentences_are_the_line_and_parts_have_words(text: str) -> None:
    assert "".join(sentences_of(text)) == text
    for at in ("sentence", "comma", "newline"):
        parts = list(parts_of(text, at))
        assert len(set(parts)) == len(parts)
        assert all(part == part.strip() and any(c.isalnum() for c in part) for part in parts)


@pytest.mark.parametrize(
    "text", ["(a. " * 20_000, "." * 80_000 + "x", "a" * 80_000 + ". B", "! " * 40_000]
)
def test_no_text_takes_long(text: str) -> None:
    started = time.process_time()
    list(parts_of(text, "sentence"))
    assert time.process_time() - started < 30
