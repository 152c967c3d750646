import io
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from itertools import combinations

import altair as alt
import numpy as np
import polars as pl
import pytest
from PIL import Image

from recap_assets.artefacts.diversity import DIVERSITY_SUMMARY
from recap_assets.artefacts.mixes import THRESHOLDS
from recap_assets.artefacts.report import LEADERBOARD
from recap_assets.artefacts.scores import SCORE_HISTOGRAMS
from recap_assets.artefacts.training import TRAINING_CURVES
from recap_assets.plots.captioners import USEFULNESS, usefulness_chart
from recap_assets.plots.colours import MIXED_COLOUR, RAW_COLOUR, SYNTHETIC_COLOURS, kind_of, palette
from recap_assets.plots.diversity import diversity_bars, rarefaction_curves
from recap_assets.plots.frontier import FRONTIER, frontier_chart
from recap_assets.plots.mixes import (
    SOURCE_SHARES,
    SWEEP,
    gain_over_pool,
    leaderboard_chart,
    source_shares,
    sweep_points,
)
from recap_assets.plots.point_labels import Plane, point_labels
from recap_assets.plots.rendering import chart_png, chart_svg
from recap_assets.plots.scores import _shown_histogram, score_histograms
from recap_assets.plots.style import inline_data, styled
from recap_assets.plots.training import training_curves
from recap_assets_tests.report import sample_data as sample

SVG = "{http://www.w3.org/2000/svg}"

TWO_MIXES = pl.DataFrame(
    [("a", "synthetic", 4589.0, 0.447, 0.55), ("raw", "raw", 11236.0, 0.21, 0.23)],
    schema=FRONTIER,
    orient="row",
)
TWO_CAPTIONERS = pl.DataFrame(
    [("a", 1.9, 0.6, 0.01), ("b", 2.1, 0.5, None)], schema=USEFULNESS, orient="row"
)
Drawing = Callable[[], alt.TopLevelMixin]

FULL: Mapping[str, Drawing] = {
    "scores": lambda: score_histograms(sample.histograms(), sample.thresholds()),
    "diversity": lambda: diversity_bars(sample.diversity()),
    "rarefaction": lambda: rarefaction_curves(sample.diversity()),
    "leaderboard": lambda: leaderboard_chart(sample.leaderboard(sweep=False)),
    "frontier": lambda: frontier_chart(TWO_MIXES),
    "captioners": lambda: usefulness_chart(TWO_CAPTIONERS, "CIDEr"),
    "curves": lambda: training_curves(sample.curves()),
    "shares": lambda: source_shares(sample.shares()),
    "sweep": lambda: gain_over_pool(sweep_points(sample.leaderboard(), 6000)),
}
EMPTY: Mapping[str, Drawing] = {
    "scores": lambda: score_histograms(SCORE_HISTOGRAMS.empty(), THRESHOLDS.empty()),
    "diversity": lambda: diversity_bars(DIVERSITY_SUMMARY.empty()),
    "rarefaction": lambda: rarefaction_curves(DIVERSITY_SUMMARY.empty()),
    "leaderboard": lambda: leaderboard_chart(LEADERBOARD.empty()),
    "frontier": lambda: frontier_chart(pl.DataFrame(schema=FRONTIER)),
    "captioners": lambda: usefulness_chart(pl.DataFrame(schema=USEFULNESS), "CIDEr"),
    "curves": lambda: training_curves(TRAINING_CURVES.empty()),
    "shares": lambda: source_shares(pl.DataFrame(schema=SOURCE_SHARES)),
    "sweep": lambda: gain_over_pool(pl.DataFrame(schema=SWEEP)),
}


def _texts(chart: alt.TopLevelMixin) -> list[str]:
    root = ET.fromstring(chart_svg(chart, "x"))  # noqa: S314 - made by the chart itself
    return [text.text or "" for text in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("name", sorted(FULL))
def test_every_chart_draws_with_and_without_rows(name: str):
    with_rows, without = (chart_svg(made[name](), name) for made in (FULL, EMPTY))

    assert len(with_rows) > len(without)
    assert "NaN" not in with_rows
    assert not [text for text in _texts(EMPTY[name]()) if "NaN" in text]


@pytest.mark.parametrize("name", sorted(FULL))
def test_charts_name_what_they_show(name: str):
    expected = {
        "scores": {"raw", "a", "b", "raw ≥ 0.382", "a ≥ 0.449"},
        "diversity": {"11,236", "61", "124"},
        "rarefaction": {"raw", "a", "b"},
        "leaderboard": {"raw_top30_a", "58.6", "22.9"},
        "frontier": {"a", "raw", "synthetic"},
        "captioners": {"a", "b", "average \u2192", "CIDEr \u2192"},
        "curves": set(sample.MIXES),
        "shares": {"5,990", "1,794", "raw_top30"},
        "sweep": {"raw_top30", "raw_top30_a", "1,500", "3,000", "6,000"},
    }

    assert expected[name] <= set(_texts(FULL[name]()))


@pytest.mark.parametrize(
    ("averages", "sizes"),
    [
        ([0.069, 0.24], ["5%", "10%", "15%", "20%"]),
        ([0.03, None], ["1%", "2%", "3%", "4%"]),
        ([0.58, 0.97], ["20%", "40%", "60%", "80%"]),
        ([None, None], ["20%", "40%", "60%", "80%"]),
    ],
)
def test_sizes_of_points_range_over_the_averages_that_there_are(averages: list, sizes: list):
    shown = TWO_MIXES.head(2).with_columns(average=pl.Series(averages, dtype=pl.Float64))
    assert [text for text in _texts(frontier_chart(shown)) if text.endswith("%")] == sizes


def test_charts_in_one_page_share_no_identifier():
    clipped = alt.Chart(alt.Data(values=[{"x": 1}])).mark_point(clip=True).encode(x="x:Q")

    svgs = {name: chart_svg(clipped, name) for name in ("one", "two")}

    for name, svg in svgs.items():
        identifiers = [part.split('"')[0] for part in svg.split('id="')[1:]]
        assert identifiers, "the chart has a clip path"
        assert all(found.startswith(f"{name}-") for found in identifiers)
        assert f"url(#{name}-" in svg


def test_a_name_with_markup_stays_text():
    hostile = '<script>alert("x")</script>'
    shares = pl.DataFrame([(hostile, "raw", 5)], schema=SOURCE_SHARES, orient="row")

    svg = chart_svg(source_shares(shares), "x")

    assert "<script" not in svg
    assert hostile in _texts(source_shares(shares))


def test_control_characters_in_a_name_do_not_end_the_process():
    shares = pl.DataFrame([("a\x00b\u202ec", "raw", 5)], schema=SOURCE_SHARES, orient="row")

    assert "a b c" in _texts(source_shares(shares))


def test_a_chart_becomes_a_png_of_twice_its_size():
    with Image.open(io.BytesIO(chart_png(FULL["rarefaction"]()))) as image:
        assert image.format == "PNG"
        assert image.size == (2 * 512, 2 * 300)
        assert image.convert("RGB").getpixel((2, 2)) == (255, 255, 255)


def test_more_rows_than_altair_likes_in_a_frame_are_drawn():
    many = pl.concat([sample.shares().with_columns(mix=pl.lit("all"))] * 600)

    assert many.height > 5000
    assert "all" in _texts(source_shares(many))


def test_a_histogram_keeps_its_mass_and_shows_empty_bins_as_zero():
    histogram = pl.DataFrame(
        [
            ("s", "raw", "0", 10_000, 30),
            ("s", "raw", "1", 10_000, 30),
            ("s", "raw", "0", 14_000, 40),
        ],
        schema=SCORE_HISTOGRAMS.schema,
        orient="row",
    )

    shown = _shown_histogram(histogram)

    assert shown["share"].sum() == pytest.approx(1)
    assert shown.filter(pl.col("score").is_between(0, 0.01))["share"].to_list() == [0.6]
    assert 0.0 in shown.filter(pl.col("score").is_between(0.1, 0.3))["share"].to_list()
    assert shown.height <= 75


def test_sweeps_are_read_from_the_names():
    points = sweep_points(sample.leaderboard(), 6000)

    assert points["mix"].unique().sort().to_list() == ["raw_top30", "raw_top30_a"]
    assert points.filter(mix="raw_top30")["n_pool"].to_list() == [1500, 3000, 6000]
    assert points.filter(mix="raw_top30")["mean"].to_list() == [0.24, 0.31, 0.373]
    assert sweep_points(sample.leaderboard(sweep=False), 6000).is_empty()


@pytest.mark.parametrize(("share", "kind"), [(1.0, "raw"), (0.0, "synthetic"), (0.3, "mixed")])
def test_the_kind_of_a_mix_is_the_share_of_raw_text(share: float, kind: str):
    assert kind_of(share) == kind


def test_a_source_keeps_its_colour_where_others_are_missing():
    colours = palette(["raw", "a", "b", "raw+a"])

    assert colours["raw"] == RAW_COLOUR
    assert colours["raw+a"] == MIXED_COLOUR
    assert len(set(colours.values())) == 4
    only_b = sample.shares().filter(source="b")
    svg = chart_svg(source_shares(only_b, sources=("raw", "a", "b")), "x")
    assert colours["b"] in svg
    assert colours["a"] not in svg


# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
VISION = {
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
}  # fmt: skip


def _lab(colour: str, vision: np.ndarray) -> np.ndarray:
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(vision @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ seen / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", [np.eye(3), *(np.array(m) for m in VISION.values())])
def test_colours_stay_apart_for_the_colour_blind(vision: np.ndarray):
    usual = [RAW_COLOUR, *SYNTHETIC_COLOURS[:3], MIXED_COLOUR]
    distances = {
        (a, b): float(np.linalg.norm(_lab(a, vision) - _lab(b, vision)))
        for a, b in combinations(usual, 2)
    }

    assert min(distances.values()) > 15, min(distances, key=distances.__getitem__)


def test_labels_of_points_do_not_cover_each_other():
    names = ["first_mix", "second_mix", "third_mix", "fourth_mix"]
    rows = [(n, "mixed", 7000.0 + 4 * i, 0.45 + 1e-3 * i, 0.5) for i, n in enumerate(names)]
    far = ("far", "raw", 12000.0, 0.2, 0.2)
    points = pl.DataFrame([*rows, far], schema=FRONTIER, orient="row")

    plane = Plane("unique_trigrams", "mean_score", [6000, 13000], [0.1, 0.6], 900.0, 300.0)
    labels = point_labels(points, "mix", plane)

    assert len(labels) >= 3, "the crowded ones stand on different sides"


def test_a_name_without_a_free_side_is_left_out_and_those_of_the_first_rows_stay():
    crowd = [(f"mix_number_{i}", "mixed", 9000.0, 0.4, 0.5) for i in range(9)]
    points = pl.DataFrame(crowd, schema=FRONTIER, orient="row")
    plane = Plane("unique_trigrams", "mean_score", [6000, 13000], [0.1, 0.6], 900.0, 300.0)

    labels = point_labels(points, "mix", plane)

    named = [row["mix"] for label in labels for row in label.data.values]
    assert sorted(named) == [f"mix_number_{i}" for i in range(4)], "a point has four sides"


def test_lines_beyond_what_can_be_told_apart_are_coloured_by_kind():
    of_one = sample.curves().filter(pl.col("mix") == "raw", pl.col("seed") == 0)
    many = pl.concat(of_one.with_columns(mix=pl.lit(f"mix_{i}")) for i in range(22))
    few, crowded = training_curves(of_one), training_curves(many, {"mix_0": "raw"})
    assert few.to_dict()["encoding"]["color"]["field"] == "mix"
    encoding = crowded.to_dict()["encoding"]
    assert (encoding["color"]["field"], encoding["detail"]["field"]) == ("kind", "mix")
    kinds = {(row["mix"], row["kind"]) for row in crowded.data.values}
    assert ("mix_0", "raw") in kinds
    assert ("mix_1", "mixed") in kinds


@pytest.mark.parametrize("draw", [*FULL.values(), *EMPTY.values()])
def test_every_chart_is_one_of_vega_lite(draw: Drawing) -> None:
    """It is not checked again when it is drawn."""
    chart = draw()
    assert chart.to_dict(validate=True) == chart.to_dict(validate=False)


def test_rows_are_not_copied_with_each_property_of_a_chart() -> None:
    data = inline_data(pl.DataFrame({"x": [1, 2]}))
    chart = styled(alt.Chart(data).mark_bar().encode(x="x:Q").properties(width=10))
    assert chart.data.values is data.values
    assert chart.to_dict()["data"] == {"values": [{"x": 1}, {"x": 2}]}
