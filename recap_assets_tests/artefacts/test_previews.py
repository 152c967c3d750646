import base64

import polars as pl
import pytest

from recap_assets.artefacts.previews import (
    histogram_markdown,
    image_markdown,
    preview_markdown,
)
from recap_assets.plots.mixes import source_shares
from recap_assets.plots.rendering import chart_png
from recap_assets_tests.report import sample_data as sample


def test_a_preview_is_a_table_with_binary_as_hex():
    frame = pl.DataFrame(
        {
            "uid": [bytes(range(16)), None],
            "score": [0.123456, None],
            "n": [5, 1],
            "ok": [True, None],
        }
    )

    assert preview_markdown(frame).splitlines() == [
        "| uid | score | n | ok |",
        "| --- | --- | --- | --- |",
        "| 000102030405… | 0.1235 | 5 | true |",
        "|  |  | 1 |  |",
    ]


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "[click](javascript:alert(1))",
        "![x](http://evil.example/x.png)",
        "a | b | c",
        "line\nbreak\r\n| x | y |",
        "`code` **bold** # head",
        "http://evil.example",
    ],
)
def test_hostile_text_is_neither_html_nor_markdown(hostile: str):
    lines = preview_markdown(pl.DataFrame({"text": [hostile]})).splitlines()

    assert len(lines) == 3
    cell = lines[2].removeprefix("| ").removesuffix(" |")
    assert "<" not in cell
    unescaped = [c for i, c in enumerate(cell) if c in "|`*[]()!:" and cell[i - 1] != "\\"]
    assert not unescaped


def test_only_the_first_rows_and_characters_are_shown():
    frame = pl.DataFrame({"text": ["x" * 1000] * 20})

    shown = preview_markdown(frame, rows=3)

    assert shown.count("x" * 120 + "…") == 3
    assert shown.endswith("17 more of 20 rows.")
    assert "x" * 121 not in shown


def test_frames_without_rows_or_columns_have_a_preview():
    assert preview_markdown(pl.DataFrame({"a": []})) == "| a |\n| --- |"
    assert preview_markdown(pl.DataFrame()) == "No columns."


def test_a_long_binary_is_cut():
    assert "00…" in preview_markdown(pl.DataFrame({"embedding": [bytes(256)]}))


def test_a_chart_goes_into_the_text_itself():
    png = chart_png(source_shares(sample.shares()))

    text = image_markdown(png, "shares [x]")

    assert text.startswith("![shares \\[x\\]](data:image/png;base64,")
    assert base64.b64decode(text.split("base64,")[1].removesuffix(")")) == png


def test_only_png_is_embedded():
    with pytest.raises(ValueError, match="only a PNG"):
        image_markdown(b"<svg/>")


def test_a_histogram_line_is_highest_where_most_scores_are() -> None:
    histogram = pl.DataFrame({"bin": [12_000, 12_001, 13_000], "n": [1, 8, 2]})
    line = histogram_markdown(histogram)
    bars = line.strip("`").split(" ", 1)[1].rsplit(" ", 1)[0]
    assert bars[0] == "█"
    assert bars[-1] == "▂"
    assert line.startswith("`0.200 ")
    assert line.endswith(" 0.300`")
    assert histogram_markdown(histogram.clear()) == "no scores"
