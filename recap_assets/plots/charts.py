"""Charts: a frame in, an Altair chart out, and a chart to SVG or PNG without browser or network.

Colours mean the same everywhere: raw text is vermilion, synthetic sources are cool, what joins or
mixes both is amber. Neighbours stay apart under deuteranopia and protanopia. Every function accepts
an empty frame.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl
import vl_convert

RAW = "raw"
RAW_COLOUR = "#c8502d"
SYNTHETIC_COLOURS = ("#1d6fa5", "#6cb4e0", "#0e8f7e", "#5a62c4", "#a487c9", "#93cfc1")
MIXED_COLOUR = "#e3a21a"
KIND_COLOURS = {"raw": RAW_COLOUR, "synthetic": SYNTHETIC_COLOURS[0], "mixed": MIXED_COLOUR}
_SHADES = {
    "raw": (RAW_COLOUR, "#e8977a", "#8c3217"),
    "synthetic": SYNTHETIC_COLOURS,
    "mixed": (MIXED_COLOUR, "#9c6c06", "#f1cd7b", "#6b5a2e"),
}

SOURCE_SHARES = pl.Schema({"mix": pl.String, "source": pl.String, "n_pairs": pl.Int64})
"""Pairs of a mix by caption source."""

FRONTIER = pl.Schema(
    {
        "mix": pl.String,
        "kind": pl.String,
        "unique_trigrams": pl.Float64,
        "mean_score": pl.Float64,
        "average": pl.Float64,
    }
)
"""A mix's diversity (equal-sized sample), mean score and mean result in [0, 1]."""

SWEEP = pl.Schema(
    {"mix": pl.String, "n_pool": pl.Int64, "mean": pl.Float64, "deviation": pl.Float64}
)
"""The average of a mix at one size of the pool."""

_BINS_PER_UNIT = 10_000
_SHOWN_BINS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
_MOST_BINS = 70
_POINTS_OF_A_CURVE = 150
_WIDE, _HALF = 1090, 512
_COUNT = "datum.value >= 1e6 ? format(datum.value / 1e6, ',~r') + ' M' : format(datum.value, ',')"
_FONT = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"
_INK, _GRID = "#4a4f57", "#e4e4e0"


def palette(sources: Iterable[str]) -> dict[str, str]:
    """A colour for every caption source, in the order given; joined sources (a+b) share one."""
    colours: dict[str, str] = {}
    n_synthetic = 0
    for source in dict.fromkeys(sources):
        if source == RAW:
            colours[source] = RAW_COLOUR
        elif "+" in source:
            colours[source] = MIXED_COLOUR
        else:
            colours[source] = SYNTHETIC_COLOURS[n_synthetic % len(SYNTHETIC_COLOURS)]
            n_synthetic += 1
    return colours


def mix_colours(kinds: Mapping[str, str]) -> dict[str, str]:
    """A colour for every mix: a shade of its kind's, in the order given.

    Args:
        kinds: `raw`, `synthetic` or `mixed` of each mix.
    """
    n_before = dict.fromkeys(_SHADES, 0)
    colours: dict[str, str] = {}
    for mix, kind in kinds.items():
        colours[mix] = _SHADES[kind][n_before[kind] % len(_SHADES[kind])]
        n_before[kind] += 1
    return colours


def kind_of(raw_share: float) -> str:
    """`raw`, `synthetic` or `mixed`, by the share of the pairs with raw text."""
    return {1.0: "raw", 0.0: "synthetic"}.get(raw_share, "mixed")


def score_histograms(
    histograms: pl.DataFrame, thresholds: pl.DataFrame, sources: Sequence[str] = ()
) -> alt.LayerChart:
    """How well the captions of each source fit, laid over each other, with the cut-offs.

    Args:
        histograms: SCORE_HISTOGRAMS; partitions and scorers are added up.
        thresholds: THRESHOLDS; each distinct value is drawn once, named after its sources.
        sources: All sources of the experiment, so that each keeps its colour from chart to chart.
    """
    shown = _shown_histogram(histograms)
    x = alt.X(
        "score:Q",
        title="cosine of image and caption",
        axis=alt.Axis(grid=False, tickCount=12),
        scale=alt.Scale(nice=False, zero=False),
    )
    y = alt.Y(
        "share:Q", title="share of captions", stack=None, axis=alt.Axis(format=".0%", tickCount=5)
    )
    base = alt.Chart(_data(shown)).encode(x, y, _by_source(shown["source"], sources))
    areas = base.mark_area(opacity=0.2, interpolate="monotone", line={"strokeWidth": 2})
    cuts = _shown_cuts(thresholds)
    rules = alt.Chart(_data(cuts)).mark_rule(strokeDash=[4, 3], strokeWidth=1.2, color=_INK)
    layers = [areas, rules.encode(x="value:Q"), *_cut_labels(cuts)]
    return _styled(_sized(alt.layer(*layers), _WIDE, 300))


def diversity_bars(summary: pl.DataFrame, sources: Sequence[str] = ()) -> alt.VConcatChart:
    """Unique trigrams, nouns and words of each source on equal-sized samples.

    Args:
        summary: DIVERSITY_SUMMARY.
        sources: All sources of the experiment, for their colours.
    """
    order = summary.sort("unique_trigrams", descending=True)["source"].to_list()
    panels = [
        _bars(summary, column, alt.Title(title, anchor="start"), order, sources)
        for column, title in {
            "unique_trigrams": "unique trigrams",
            "unique_nouns": "unique nouns",
            "unique_words": "unique words",
        }.items()
    ]
    return _styled(alt.vconcat(*panels, spacing=14))


def rarefaction_curves(summary: pl.DataFrame, sources: Sequence[str] = ()) -> alt.LayerChart:
    """Expected distinct trigrams in samples of n captions, a curve a source.

    Args:
        summary: DIVERSITY_SUMMARY.
        sources: All sources of the experiment, for their colours.
    """
    curves = (
        summary.select("source", "rarefaction")
        .explode("rarefaction", empty_as_null=False, keep_nulls=False)
        .unnest("rarefaction")
    )
    encoded = alt.Chart(_data(curves)).encode(
        alt.X("n:Q", title="captions", axis=alt.Axis(grid=False, labelExpr=_COUNT, tickCount=5)),
        alt.Y("unique_trigrams:Q", title="distinct trigrams", axis=alt.Axis(labelExpr=_COUNT)),
        _by_source(summary["source"], sources),
    )
    lines = encoded.mark_line(strokeWidth=2.2)
    points = encoded.mark_point(filled=True, size=28, opacity=1)
    return _styled(_sized(alt.layer(lines, points), _HALF, 300))


def leaderboard_chart(board: pl.DataFrame, task: str = "average") -> alt.LayerChart:
    """The mean of every mix on one task with its deviation over seeds, best first.

    Args:
        board: LEADERBOARD.
        task: The task shown.
    """
    rows = board.filter(pl.col("task") == task).sort("mean", "mix", descending=[True, False])
    shown = rows.select(
        "mix",
        "mean",
        low=pl.col("mean") - pl.col("deviation").fill_null(0),
        high=pl.col("mean") + pl.col("deviation").fill_null(0),
        label=(pl.col("mean") * 100).round(1).cast(pl.String),
        kind=pl.col("raw_share").map_elements(kind_of, return_dtype=pl.String),
    )
    base = alt.Chart(_data(shown)).encode(
        alt.Y("mix:N", sort=rows["mix"].to_list(), title=None, axis=alt.Axis(grid=True))
    )
    scale = alt.Scale(zero=False, nice=True, padding=16)
    axis = alt.Axis(format=".0%", grid=False, tickCount=6)
    x = alt.X("mean:Q", title=f"{task.replace('_', ' ')}, mean ± deviation", scale=scale, axis=axis)
    bars = base.mark_rule(strokeWidth=2, opacity=0.55).encode(
        alt.X("low:Q"), alt.X2("high:Q"), _by_kind()
    )
    dots = base.mark_point(filled=True, size=110, opacity=1).encode(x, _by_kind(), _kind_shape())
    labels = base.mark_text(dy=-12, fontSize=11, color=_INK).encode(x="mean:Q", text="label:N")
    return _styled(_sized(alt.layer(bars, dots, labels), _WIDE, 100 + 34 * shown.height))


def left_out_chart(rows: pl.DataFrame, sources: Sequence[str] = ()) -> alt.LayerChart:
    """How the average changes when one source is taken out of a mix, in points of 100.

    Args:
        rows: `mix`, `source`, `change`, `deviation` of LEFT_OUT, for one task.
        sources: All sources of the experiment, for their colours.
    """
    shown = rows.select(
        "source",
        name=pl.format("{} without {}", "mix", "source"),
        change=100 * pl.col("change"),
        low=100 * (pl.col("change") - pl.col("deviation").fill_null(0)),
        high=100 * (pl.col("change") + pl.col("deviation").fill_null(0)),
        label=(100 * pl.col("change"))
        .map_elements("{:+.1f}".format, return_dtype=pl.String)
        .str.replace("-", "\u2212", literal=True),
    )
    colour = _by_source(shown["source"], sources, legend=False)
    y = alt.Y("name:N", sort=shown["name"].to_list(), title=None)
    x = alt.X(
        "change:Q",
        title="change of the average, points, mean \u00b1 deviation",
        scale=alt.Scale(zero=True, nice=True, padding=16),
        axis=alt.Axis(grid=False, tickCount=6),
    )
    base = alt.Chart(_data(shown)).encode(y)
    zero = alt.Chart(_data(pl.DataFrame({"at": [0]}))).mark_rule(color=_INK, opacity=0.5)
    bars = base.mark_rule(strokeWidth=2, opacity=0.55).encode(alt.X("low:Q"), alt.X2("high:Q"))
    dots = base.mark_point(filled=True, size=110, opacity=1).encode(x, colour)
    labels = base.mark_text(dy=-12, fontSize=11, color=_INK).encode(x="change:Q", text="label:N")
    layers = alt.layer(zero.encode(x="at:Q"), bars.encode(colour), dots, labels)
    return _styled(_sized(layers, _WIDE, 90 + 34 * shown.height))


def frontier(mixes: pl.DataFrame) -> alt.LayerChart:
    """Diversity against fit of every mix; the larger the point, the better its average.

    Args:
        mixes: FRONTIER; rows with a null diversity or score are left out.
    """
    shown = mixes.drop_nulls(["unique_trigrams", "mean_score"])
    x_range, y_range = _padded(shown["unique_trigrams"]), _padded(shown["mean_score"])
    x = alt.X(
        "unique_trigrams:Q",
        title="unique trigrams, in equal-sized samples \u2192",
        scale=alt.Scale(domain=x_range, nice=False),
        axis=alt.Axis(labelExpr=_COUNT, tickCount=8),
    )
    y = alt.Y(
        "mean_score:Q",
        title="mean score \u2192",
        scale=alt.Scale(domain=y_range, nice=False),
        axis=alt.Axis(tickCount=6),
    )
    legend = alt.Legend(
        format=".0%",
        values=[0.2, 0.4, 0.6, 0.8],
        orient="right",
        offset=24,
        symbolFillColor="#8a9099",
        symbolStrokeWidth=0,
    )
    scale = alt.Scale(domain=[0, 1], range=[20, 700])
    size = alt.Size("average:Q", title="average", scale=scale, legend=legend)
    dots = alt.Chart(_data(shown)).mark_point(filled=True, opacity=0.9)
    dots = dots.encode(x, y, _by_kind(), _kind_shape(), size)
    labels = _point_labels(shown, x_range, y_range)
    return _styled(_sized(alt.layer(dots, *labels), _WIDE, 400))


def training_curves(curves: pl.DataFrame, kinds: Mapping[str, str] | None = None) -> alt.Chart:
    """Loss over pairs seen, the mean over seeds, a line a mix.

    Args:
        curves: TRAINING_CURVES; at most 150 points of each line are drawn.
        kinds: `raw`, `synthetic` or `mixed` of each mix, for its colour; others are `mixed`.
    """
    shown = (
        curves.group_by("mix", "samples_seen")
        .agg(pl.col("loss").mean())
        .sort("mix", "samples_seen")
        .filter(
            pl.int_range(pl.len()).over("mix") % (pl.len().over("mix") // _POINTS_OF_A_CURVE + 1)
            == 0
        )
    )
    chart = alt.Chart(_data(shown)).mark_line(strokeWidth=1.8)
    chart = chart.encode(
        alt.X(
            "samples_seen:Q",
            title="pairs seen",
            axis=alt.Axis(labelExpr=_COUNT, grid=False, tickCount=6),
        ),
        alt.Y("loss:Q", title="contrastive loss", scale=alt.Scale(zero=False)),
        *_by_mix(shown["mix"], kinds or {}),
    )
    return _styled(_sized(chart, _HALF, 330))


def source_shares(
    shares: pl.DataFrame, order: Sequence[str] = (), sources: Sequence[str] = ()
) -> alt.LayerChart:
    """How many pairs of each mix come from which source.

    Args:
        shares: SOURCE_SHARES.
        order: Mixes from top to bottom; by default as they come.
        sources: All sources of the experiment, for their colours.
    """
    names = [mix for mix in order if mix in set(shares["mix"])] or list(
        dict.fromkeys(shares["mix"])
    )
    positions = {s: i for i, s in enumerate(palette([*sources, *sorted(set(shares["source"]))]))}
    shown = shares.with_columns(
        position=pl.col("source").replace_strict(positions, return_dtype=pl.Int64)
    )
    base = alt.Chart(_data(shown)).encode(alt.Y("mix:N", sort=names, title=None))
    axis = alt.Axis(labelExpr=_COUNT, tickCount=6)
    bars = base.mark_bar(height={"band": 0.62}).encode(
        alt.X("n_pairs:Q", title="pairs", stack="zero", axis=axis),
        _by_source(shares["source"], sources),
        alt.Order("position:Q"),
    )
    totals = (
        shares.group_by("mix", maintain_order=True)
        .agg(pl.col("n_pairs").sum())
        .with_columns(label=pl.col("n_pairs").map_elements("{:,}".format, return_dtype=pl.String))
    )
    labels = alt.Chart(_data(totals)).mark_text(align="left", dx=6, fontSize=11, color=_INK)
    labels = labels.encode(alt.Y("mix:N", sort=names), x="n_pairs:Q", text="label:N")
    return _styled(_sized(alt.layer(bars, labels), _HALF, 90 + 34 * len(names)))


def sweep_points(board: pl.DataFrame, n_pool: int) -> pl.DataFrame:
    """The averages of mixes that were also built on parts of the pool, `mix@fraction`.

    Args:
        board: LEADERBOARD. A mix without `@` counts as the whole pool if it has smaller versions.
        n_pool: Samples of the whole pool.

    Returns:
        SWEEP, by mix and size; empty where there is no `@` in any name.
    """
    parted = board.filter(pl.col("task") == "average").with_columns(
        name=pl.col("mix").str.split("@").list.first(),
        fraction=pl.col("mix").str.extract(r"@([0-9.]+)$").cast(pl.Float64).fill_null(1.0),
    )
    swept = parted.filter(pl.col("fraction").n_unique().over("name") > 1)
    return swept.select(
        mix="name",
        n_pool=(pl.col("fraction") * n_pool).round().cast(pl.Int64),
        mean="mean",
        deviation="deviation",
    ).sort("mix", "n_pool")


def gain_over_pool(sweep: pl.DataFrame, kinds: Mapping[str, str] | None = None) -> alt.LayerChart:
    """The average of each mix as the pool grows, with the deviation over seeds.

    Args:
        sweep: SWEEP.
        kinds: `raw`, `synthetic` or `mixed` of each mix, for its colour; others are `mixed`.
    """
    shown = sweep.with_columns(
        low=pl.col("mean") - pl.col("deviation").fill_null(0),
        high=pl.col("mean") + pl.col("deviation").fill_null(0),
    )
    sizes = sweep["n_pool"].unique().sort().to_list()
    x = alt.X(
        "n_pool:Q",
        title="samples of the pool",
        scale=alt.Scale(type="log", nice=False, padding=16),
        axis=alt.Axis(values=sizes, format=",", grid=False),
    )
    colour, dash = _by_mix(sweep["mix"], kinds or {})
    base = alt.Chart(_data(shown)).encode(x, colour)
    y = alt.Y("mean:Q", title="average", axis=alt.Axis(format=".0%"), scale=alt.Scale(zero=False))
    bars = base.mark_rule(strokeWidth=1.6, opacity=0.6).encode(alt.Y("low:Q"), alt.Y2("high:Q"))
    lines = base.mark_line(strokeWidth=2.2).encode(y, dash)
    points = base.mark_point(filled=True, size=60, opacity=1).encode(y)
    return _styled(_sized(alt.layer(bars, lines, points), _WIDE, 320))


def chart_svg(chart: alt.TopLevelMixin, name: str) -> str:
    """The chart as an SVG element to stand in a page beside others.

    Args:
        chart: Any chart.
        name: Unique in the page; the identifiers inside the SVG begin with it.
    """
    svg = vl_convert.vegalite_to_svg(_specification(chart), vl_version="6.4", allowed_base_urls=[])
    return re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", svg)


def chart_png(chart: alt.TopLevelMixin, scale: float = 2.0) -> bytes:
    """The chart as PNG on white, `scale` pixels for each unit of its size."""
    specification = _specification(chart)
    specification["background"] = "white"
    return vl_convert.vegalite_to_png(
        specification, vl_version="6.4", scale=scale, allowed_base_urls=[]
    )


def _specification(chart: alt.TopLevelMixin) -> dict[str, Any]:
    return {key: _legible(part) for key, part in chart.to_dict().items()}


def _legible(part: Any) -> Any:  # noqa: ANN401 - any piece of JSON
    """The piece of a specification without control characters in its strings.

    vl-convert aborts the whole process at some of them (U+0000), past any `except`.
    """
    match part:
        case str():
            return (
                part if part.isprintable() else "".join(c if c.isprintable() else " " for c in part)
            )
        case dict():
            return {_legible(key): _legible(value) for key, value in part.items()}
        case list():
            return [_legible(value) for value in part]
        case _:
            return part


def _padded(values: pl.Series) -> list[float]:
    """The range of the values with a tenth on either side, for points with labels."""
    numbers: list[float] = values.to_list() or [0.0, 1.0]
    low, high = min(numbers), max(numbers)
    margin = 0.1 * (high - low) or 0.1 * abs(high) or 1.0
    return [low - margin, high + margin]


def _point_labels(
    points: pl.DataFrame, x_range: Sequence[float], y_range: Sequence[float]
) -> list[alt.Chart]:
    """The mixes' names beside their points, each on the first side where nothing stands."""
    width, height = 0.85 * _WIDE, 300.0  # of the plot inside its axes and legend, roughly
    xs = [(v - x_range[0]) / (x_range[1] - x_range[0]) * width for v in points["unique_trigrams"]]
    ys = [(y_range[1] - v) / (y_range[1] - y_range[0]) * height for v in points["mean_score"]]
    taken: list[Sequence[float]] = [
        (x - 12, y - 12, x + 12, y + 12) for x, y in zip(xs, ys, strict=True)
    ]
    sides: list[str] = []
    for x, y, mix in zip(xs, ys, points["mix"], strict=True):
        boxes = _label_boxes(x, y, 6.4 * len(mix))
        free = [side for side, box in boxes.items() if not any(_overlap(box, t) for t in taken)]
        sides.append((free or ["above"])[0])
        taken.append(boxes[sides[-1]])
    placed = points.with_columns(side=pl.Series(sides, dtype=pl.String))
    return [
        alt.Chart(_data(placed.filter(pl.col("side") == side)))
        .mark_text(align=align, dx=dx, dy=dy, fontSize=11.5, color=_INK)  # type: ignore[arg-type]
        .encode(x="unique_trigrams:Q", y="mean_score:Q", text="mix:N")
        for side, (align, dx, dy) in _SIDES.items()
        if side in sides
    ]


_SIDES = {
    "right": ("left", 16, 0),
    "above": ("center", 0, -20),
    "left": ("right", -16, 0),
    "below": ("center", 0, 20),
}


def _label_boxes(x: float, y: float, length: float) -> dict[str, tuple[float, ...]]:
    return {
        "right": (x + 14, y - 7, x + 16 + length, y + 7),
        "above": (x - length / 2, y - 27, x + length / 2, y - 13),
        "left": (x - 16 - length, y - 7, x - 14, y + 7),
        "below": (x - length / 2, y + 13, x + length / 2, y + 27),
    }


def _overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _data(frame: pl.DataFrame) -> alt.Data:
    # Rows of our own: Altair refuses a frame of more than 5,000.
    return alt.Data(values=frame.to_dicts())


def _shown_histogram(histograms: pl.DataFrame) -> pl.DataFrame:
    per_bin = _bins_shown_as_one(histograms)
    counted = (
        histograms.group_by("source", shown=pl.col("bin") // per_bin)
        .agg(pl.col("n").sum())
        .filter(pl.col("n") > 0)
    )
    if counted.is_empty():
        return pl.DataFrame(schema={"source": pl.String, "score": pl.Float64, "share": pl.Float64})
    # Empty bins are zeros, or the line would be drawn straight across them.
    shown = pl.col("shown")
    bins = counted.select(shown=pl.int_ranges(shown.min() - 1, shown.max() + 2)).explode("shown")
    every = counted.select("source").unique().join(bins, how="cross")
    return (
        every.join(counted.cast({"shown": pl.Int64}), on=["source", "shown"], how="left")
        .with_columns(pl.col("n").fill_null(0))
        .select(
            "source",
            score=(pl.col("shown") + 0.5) * per_bin / _BINS_PER_UNIT - 1,
            share=pl.col("n") / pl.col("n").sum().over("source"),
        )
        .sort("source", "score")
    )


def _bins_shown_as_one(histograms: pl.DataFrame) -> int:
    """How many of the table's bins one drawn bin holds: the finest that gives few enough."""
    bins: list[int] = histograms.filter(pl.col("n") > 0)["bin"].to_list()
    spread = (max(bins) - min(bins)) / _BINS_PER_UNIT if bins else 0.0
    fitting = [width for width in _SHOWN_BINS if spread <= width * _MOST_BINS]
    return round((fitting or _SHOWN_BINS[-1:])[0] * _BINS_PER_UNIT)


def _shown_cuts(thresholds: pl.DataFrame) -> pl.DataFrame:
    return (
        thresholds.drop_nulls("value")
        .group_by(pl.col("value").cast(pl.Float64).round(4))
        .agg(label=pl.col("source").unique().sort().str.join(", "))
        .with_columns(label=pl.format("{} ≥ {}", "label", pl.col("value").round(3)))
        .sort("value")
    )


def _cut_labels(cuts: pl.DataFrame) -> list[alt.Chart]:
    # Neighbouring cut-offs stand close together: the lower half is named to the left of its line,
    # the upper half to the right, and on either side the names take turns on three lines.
    half = cuts.height // 2
    left = alt.MarkDef(type="text", align="right", dx=-5, baseline="top", fontSize=11.5)
    right = alt.MarkDef(type="text", align="left", dx=5, baseline="top", fontSize=11.5)
    labels: list[alt.Chart] = []
    for mark, side in ((left, cuts[:half]), (right, cuts[half:])):
        mark.color = _INK
        for line in range(min(3, side.height)):
            marked = alt.Chart(_data(side.gather_every(3, line)), mark=mark)
            labels.append(marked.encode(x="value:Q", y=alt.value(15 * line), text="label:N"))
    return labels


def _bars(
    summary: pl.DataFrame,
    column: str,
    title: alt.Title,
    order: Sequence[str],
    sources: Sequence[str],
) -> alt.LayerChart:
    shown = summary.select(
        "source",
        n=column,
        label=pl.col(column).map_elements("{:,}".format, return_dtype=pl.String),
    )
    y = alt.Y("source:N", sort=list(order), title=None)
    base = alt.Chart(_data(shown)).encode(y)
    x = alt.X("n:Q", title=None, axis=None)
    colour = _by_source(shown["source"], sources, legend=False)
    bars = base.mark_bar(height={"band": 0.66}).encode(x, colour)
    labels = base.mark_text(align="left", dx=5, fontSize=11, color=_INK).encode(x, text="label:N")
    panel = alt.LayerChart(layer=[bars, labels])
    panel.width, panel.height, panel.title = 380, max(40, 22 * len(order)), title
    return panel


def _by_source(shown: pl.Series, sources: Sequence[str], *, legend: bool = True) -> alt.Color:
    present = set(shown)
    colours = palette([*sources, *sorted(present)])
    colours = {source: colour for source, colour in colours.items() if source in present}
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    return alt.Color("source:N", scale=scale, legend=alt.Legend(title=None) if legend else None)


def _by_mix(shown: pl.Series, kinds: Mapping[str, str]) -> tuple[alt.Color, alt.StrokeDash]:
    names: list[str] = shown.unique().sort().to_list()
    colours = mix_colours({mix: kinds.get(mix, "mixed") for mix in names})
    dashes = [([1, 0], [5, 3], [2, 2])[i // 7 % 3] for i in range(len(names))]
    legend = alt.Legend(orient="bottom", columns=3, title=None, labelLimit=140, symbolType="stroke")
    scale = alt.Scale(domain=names, range=list(colours.values()))
    return (
        alt.Color("mix:N", scale=scale, legend=legend),
        alt.StrokeDash("mix:N", scale=alt.Scale(domain=names, range=dashes), legend=legend),
    )


def _sized(chart: Any, width: int, height: int) -> Any:  # noqa: ANN401 - as _styled
    """Axes, legend and all in this many pixels, so that type is of one size in every chart."""
    fit = alt.AutoSizeParams(type="fit", contains="padding")
    return chart.properties(width=width, height=height, autosize=fit)


def _by_kind() -> alt.Color:
    scale = alt.Scale(domain=list(KIND_COLOURS), range=list(KIND_COLOURS.values()))
    return alt.Color("kind:N", scale=scale, title=None)


def _kind_shape() -> alt.Shape:
    scale = alt.Scale(domain=list(KIND_COLOURS), range=["square", "circle", "diamond"])
    return alt.Shape("kind:N", scale=scale, title=None)


def _styled(chart: Any) -> Any:  # noqa: ANN401 - Altair's chart classes share no configurable type
    return (
        chart.configure(background="transparent", font=_FONT, padding=4)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=_INK,
            titleColor=_INK,
            labelFontSize=11.5,
            titleFontSize=11.5,
            titleFontWeight="normal",
            titlePadding=10,
            gridColor=_GRID,
            domain=False,
            ticks=False,
            labelPadding=6,
            labelLimit=240,
        )
        .configure_legend(
            orient="top",
            labelColor=_INK,
            titleColor=_INK,
            labelFontSize=12,
            titleFontSize=11.5,
            titleFontWeight="normal",
            labelLimit=240,
            symbolStrokeWidth=2,
            symbolOpacity=1,
        )
        .configure_title(color=_INK, fontSize=12, fontWeight="normal", offset=8)
    )
