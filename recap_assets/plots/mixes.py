"""Mixes side by side: results, sources, sizes of the pool."""

from collections.abc import Mapping, Sequence

import polars as pl

from recap_assets.plots.colours import kind_of, palette
from recap_assets.plots.libraries import alt
from recap_assets.plots.style import (
    COUNT,
    HALF,
    INK,
    WIDE,
    by_kind,
    by_mix,
    by_source,
    inline_data,
    kind_shape,
    sized,
    styled,
)

SOURCE_SHARES = pl.Schema({"mix": pl.String, "source": pl.String, "n_pairs": pl.Int64})
"""Pairs of a mix by caption source."""

SWEEP = pl.Schema(
    {"mix": pl.String, "n_pool": pl.Int64, "mean": pl.Float64, "deviation": pl.Float64}
)
"""The average of a mix at one size of the pool."""


def leaderboard_chart(
    board: pl.DataFrame,
    task: str = "average",
    runs: pl.DataFrame | None = None,
    width: int = WIDE,
) -> "alt.LayerChart":
    """The mean of every mix on one task with its deviation over seeds, best first.

    Args:
        board: LEADERBOARD.
        task: The task shown.
        runs: Columns mix, task, seed, value: a small point for each seed; None for none.
        width: In pixels.
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
    base = alt.Chart(inline_data(shown)).encode(
        alt.Y("mix:N", sort=rows["mix"].to_list(), title=None, axis=alt.Axis(grid=True))
    )
    scale = alt.Scale(zero=False, nice=True, padding=16)
    axis = alt.Axis(format=".0%", grid=False, tickCount=6 if width > HALF else 3)
    x = alt.X("mean:Q", title=f"{task.replace('_', ' ')}, mean ± deviation", scale=scale, axis=axis)
    bars = base.mark_rule(strokeWidth=2, opacity=0.55).encode(
        alt.X("low:Q"), alt.X2("high:Q"), by_kind()
    )
    dots = base.mark_point(filled=True, size=110, opacity=1).encode(x, by_kind(), kind_shape())
    labels = base.mark_text(dy=-12, fontSize=11, color=INK).encode(x="mean:Q", text="label:N")
    seeds = _seeds(runs, task, rows["mix"].to_list())
    layers = alt.layer(bars, *seeds, dots, labels)
    return styled(sized(layers, width, 100 + 34 * shown.height))


def _seeds(runs: pl.DataFrame | None, task: str, mixes: Sequence[str]) -> "list[alt.Chart]":
    """A ring for each seed of these mixes."""
    if runs is None:
        return []
    own = runs.filter((pl.col("task") == task) & pl.col("mix").is_in(mixes))
    rings = alt.Chart(inline_data(own)).mark_point(size=26, strokeWidth=1.2, color=INK, opacity=0.7)
    return [rings.encode(alt.X("value:Q"), alt.Y("mix:N", sort=list(mixes)))]


def left_out_chart(rows: pl.DataFrame, sources: Sequence[str] = ()) -> "alt.LayerChart":
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
    colour = by_source(shown["source"], sources, legend=False)
    y = alt.Y("name:N", sort=shown["name"].to_list(), title=None)
    x = alt.X(
        "change:Q",
        title="change of the average, points, mean \u00b1 deviation",
        scale=alt.Scale(zero=True, nice=True, padding=16),
        axis=alt.Axis(grid=False, tickCount=6),
    )
    base = alt.Chart(inline_data(shown)).encode(y)
    zero = alt.Chart(inline_data(pl.DataFrame({"at": [0]}))).mark_rule(color=INK, opacity=0.5)
    bars = base.mark_rule(strokeWidth=2, opacity=0.55).encode(alt.X("low:Q"), alt.X2("high:Q"))
    dots = base.mark_point(filled=True, size=110, opacity=1).encode(x, colour)
    labels = base.mark_text(dy=-12, fontSize=11, color=INK).encode(x="change:Q", text="label:N")
    layers = alt.layer(zero.encode(x="at:Q"), bars.encode(colour), dots, labels)
    return styled(sized(layers, WIDE, 90 + 34 * shown.height))


def source_shares(
    shares: pl.DataFrame,
    order: Sequence[str] = (),
    sources: Sequence[str] = (),
    width: int = HALF,
) -> "alt.LayerChart":
    """How many pairs of each mix come from which source.

    Args:
        shares: SOURCE_SHARES.
        order: Mixes from top to bottom; by default as they come.
        sources: All sources of the experiment, for their colours.
        width: In pixels.
    """
    names = [mix for mix in order if mix in set(shares["mix"])] or list(
        dict.fromkeys(shares["mix"])
    )
    positions = {s: i for i, s in enumerate(palette([*sources, *sorted(set(shares["source"]))]))}
    shown = shares.with_columns(
        position=pl.col("source").replace_strict(positions, return_dtype=pl.Int64)
    )
    base = alt.Chart(inline_data(shown)).encode(alt.Y("mix:N", sort=names, title=None))
    axis = alt.Axis(labelExpr=COUNT, tickCount=6)
    bars = base.mark_bar(height={"band": 0.62}).encode(
        alt.X("n_pairs:Q", title="pairs", stack="zero", axis=axis),
        by_source(shares["source"], sources, columns=6 if width == WIDE else 3),
        alt.Order("position:Q"),
    )
    totals = (
        shares.group_by("mix", maintain_order=True)
        .agg(pl.col("n_pairs").sum())
        .with_columns(label=pl.col("n_pairs").map_elements("{:,}".format, return_dtype=pl.String))
    )
    labels = alt.Chart(inline_data(totals)).mark_text(align="left", dx=6, fontSize=11, color=INK)
    labels = labels.encode(alt.Y("mix:N", sort=names), x="n_pairs:Q", text="label:N")
    return styled(sized(alt.layer(bars, labels), width, 90 + 34 * len(names)))


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


def gain_over_pool(sweep: pl.DataFrame, kinds: Mapping[str, str] | None = None) -> "alt.LayerChart":
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
    colour, dash = by_mix(sweep["mix"], kinds or {})
    base = alt.Chart(inline_data(shown)).encode(x, colour)
    y = alt.Y("mean:Q", title="average", axis=alt.Axis(format=".1%"), scale=alt.Scale(zero=False))
    bars = base.mark_rule(strokeWidth=1.6, opacity=0.6).encode(alt.Y("low:Q"), alt.Y2("high:Q"))
    lines = base.mark_line(strokeWidth=2.2).encode(y, dash)
    points = base.mark_point(filled=True, size=60, opacity=1).encode(y)
    return styled(sized(alt.layer(bars, lines, points), WIDE, 320))
