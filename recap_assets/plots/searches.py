"""A search for settings: what its candidates give, round after round and by each setting."""

import polars as pl

from recap_assets.plots.colours import MIXED_COLOUR, RAW_COLOUR
from recap_assets.plots.libraries import alt
from recap_assets.plots.style import HALF, INK, WIDE, inline_data, sized, styled

CANDIDATES = pl.Schema(
    {
        "round": pl.Int64,
        "samples_seen": pl.Int64,
        "trial": pl.String,
        "kind": pl.String,
        "value": pl.Float64,
    }
)
"""A candidate in a round: its mean over the round's seeds. Kinds: KINDS."""

POINTS = pl.Schema({"x": pl.String, "value": pl.Float64, "kind": pl.String})
"""A proposal of the first round: one of its settings, and what it gave."""

PROPOSED, BEST, HAND_MADE = "proposed", "best proposal", "made by hand"
KINDS = {PROPOSED: "#8a9099", BEST: RAW_COLOUR, HAND_MADE: MIXED_COLOUR}


def rounds_chart(rows: pl.DataFrame, on: str) -> "alt.LayerChart":
    """A line for each candidate over the rounds that it was in.

    Args:
        rows: CANDIDATES.
        on: What was maximised.
    """
    by_round = rows.unique("round").sort("round").select("round", "samples_seen").rows()
    names = {number: f"round {number + 1}: {samples:,} samples" for number, samples in by_round}
    shown = rows.with_columns(pl.col("round").replace_strict(names, return_dtype=pl.String))
    x = alt.X(
        "round:O", title=None, sort=list(names.values()), axis=alt.Axis(labelAngle=0, grid=False)
    )
    y = alt.Y("value:Q", title=on, axis=_percent(), scale=alt.Scale(zero=False))
    base = alt.Chart(inline_data(shown)).encode(x, y, _colour(shown["kind"]), alt.Detail("trial:N"))
    named = shown.filter(pl.col("kind") != PROPOSED).unique(
        "trial", keep="last", maintain_order=True
    )
    labels = alt.Chart(inline_data(named)).mark_text(align="left", dx=9, color=INK, fontSize=11)
    return styled(
        sized(
            alt.layer(
                base.mark_line(strokeWidth=1.8, opacity=0.7),
                base.mark_point(filled=True, size=60, opacity=0.9),
                labels.encode(x, y, alt.Text("trial:N")),
            ),
            WIDE,
            360,
        )
    )


def setting_chart(
    points: pl.DataFrame, made: pl.DataFrame, key: str, on: str, *, log: bool = False
) -> "alt.LayerChart":
    """What the proposals of the first round give over the values of one setting.

    Args:
        points: POINTS.
        made: CANDIDATES of the first round made by hand: lines, since they have no such value.
        key: The setting.
        on: What was maximised.
        log: Whether values are proposed by their logarithm.
    """
    numbers = points["x"].cast(pl.Float64, strict=False)
    y = alt.Y("value:Q", title=on, axis=_percent(), scale=alt.Scale(zero=False))
    if points.height and not numbers.has_nulls():
        points = points.with_columns(x=numbers)
        scale = alt.Scale(type="log" if log else "linear", zero=False, nice=False, padding=16)
        axis = alt.Axis(grid=False, tickCount=6)
        x = alt.X("x:Q", title=key, scale=scale, axis=axis)
    else:
        x = alt.X("x:O", title=key, axis=alt.Axis(grid=False, labelAngle=0))
    dots = alt.Chart(inline_data(points)).mark_point(filled=True, size=70, opacity=0.9)
    kinds = pl.concat([points["kind"], made["kind"]])
    lines = alt.Chart(inline_data(made)).encode(alt.Y("value:Q"))
    rules = lines.mark_rule(strokeDash=[5, 3], strokeWidth=1.4).encode(_colour(kinds))
    names = lines.mark_text(align="left", dx=4, dy=-6, fontSize=10.5, color=INK)
    return styled(
        sized(
            alt.layer(
                rules,
                dots.encode(x, y, _colour(kinds)),
                names.encode(alt.Text("trial:N"), x=alt.value(0)),
            ),
            HALF,
            280,
        )
    )


def _colour(shown: pl.Series) -> "alt.Color":
    present = [kind for kind in KINDS if kind in set(shown)]
    scale = alt.Scale(domain=present, range=[KINDS[kind] for kind in present])
    return alt.Color("kind:N", scale=scale, legend=alt.Legend(title=None))


def _percent() -> "alt.Axis":
    return alt.Axis(format=".1%")
