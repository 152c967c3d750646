"""The candidates that one source has for each image, the best first."""

from typing import Literal

import polars as pl

from recap_assets.artefacts.uids import has_repeats

Depth = int | Literal["all"]
"""How many of the best candidates are wanted."""


def ranked_candidates(
    candidates: pl.DataFrame, source: str, depth: Depth, *, has_texts: bool
) -> tuple[pl.DataFrame, int]:
    """A row an image with the best candidates of one source beside each other.

    Those with a text come before those without, then the highest score, unscored last, then the
    lowest number.

    Args:
        candidates: As `select` takes them.
        source: Of which source.
        depth: How many candidates are wanted.
        has_texts: Whether there is a column `text`; without it, a caption counts as there where it
            has a score.

    Returns:
        `uid`, and of the best `shard.X`, `has.X`, `score.X`, `candidate.X` and, with texts,
        `text.X`. With a depth other than 1 also `n.X`, the candidates that have a text, and
        `has.X.r`, `score.X.r` and so on of those at place r. Then how many there are of them.
    """
    has_text = pl.col("text" if has_texts else "score").is_not_null()
    one = candidates.filter(pl.col("source") == source).with_columns(has=has_text)
    values = ["has", "score", "candidate", *(["text"] if has_texts else [])]
    if not has_repeats(one["uid"]):
        best = _named(one, ["shard", *values], source)
        return (best if depth == 1 else best.with_columns(_counted(source))), 1
    # Shard and text decide only between two samples of one uid, which the pool sets aside.
    ties = ["candidate", "shard", *(["text"] if has_texts else [])]
    ordered = one.sort(
        "has", "score", *ties, descending=[True, True, *(False for _ in ties)], nulls_last=True
    )
    if depth == 1:
        first = ordered.unique("uid", keep="first", maintain_order=True)
        return _named(first, ["shard", *values], source), 1
    return _several(ordered, source, depth, values)


def _several(
    ordered: pl.DataFrame, source: str, depth: Depth, values: list[str]
) -> tuple[pl.DataFrame, int]:
    distinct = ordered.unique(["uid", "candidate"], keep="first", maintain_order=True)
    placed = distinct.with_columns(
        place=pl.int_range(pl.len()).over("uid"), n=pl.col("has").sum().over("uid")
    )
    most = int(placed["n"].max() or 1)  # type: ignore[arg-type] - counts are whole numbers
    found = within(depth, most)
    frame = _named(placed.filter(pl.col("place") == 0), ["shard", *values, "n"], source)
    for place in range(1, max(found, 1)):
        further = placed.filter((pl.col("place") == place) & pl.col("has"))
        frame = frame.join(
            _named(further, values, source, f".{place}"),
            on="uid",
            how="left",
            maintain_order="left",
        )
    return frame, max(found, 1)


def _named(rows: pl.DataFrame, values: list[str], source: str, ending: str = "") -> pl.DataFrame:
    return rows.select("uid", *(pl.col(name).alias(f"{name}.{source}{ending}") for name in values))


def _counted(source: str) -> pl.Expr:
    return pl.col(f"has.{source}").cast(pl.UInt32).alias(f"n.{source}")


def within(depth: Depth, there: int) -> int:
    """How many candidates are used of this number."""
    return there if depth == "all" else min(depth, there)


def n_used(depth: Depth, source: str) -> pl.Expr:
    """How many candidates of a source are used of an image that has any."""
    if depth == 1:
        return pl.lit(1)
    there = pl.col(f"n.{source}").clip(1)
    return there if depth == "all" else pl.min_horizontal(there, pl.lit(depth))
