"""The candidates that one source has for each image, the best first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from recap_assets.artefacts.uids import has_repeats

Depth = int | Literal["all"]
"""How many of the best candidates are wanted."""


@dataclass(frozen=True)
class Ranking:
    """Candidates of one source beside each other, the best first.

    Attributes:
        name: The ending of its columns: the source, or `SCORER.SOURCE` where that scorer ranks.
        depth: How many candidates are wanted.
        by: The column of scores that ranks.
        beside: Further columns of scores that go along, by what they are called then.
    """

    name: str
    depth: Depth = 1
    by: str = "score"
    beside: Mapping[str, str] = field(default_factory=dict[str, str])

    def columns(self, frame: pl.DataFrame) -> dict[str, str]:
        """What goes along, by what it is called then."""
        texts = {"text": "text"} if "text" in frame.columns else {}
        return {"has": "has", "score": self.by, "candidate": "candidate", **texts, **self.beside}


class KnownUids:
    """Whether columns of uids hold one twice; equal columns are looked through once."""

    def __init__(self) -> None:
        self._seen: list[tuple[pl.Series, bool]] = []

    def repeat(self, uids: pl.Series) -> bool:
        """Whether a uid is there twice."""
        for seen, repeats in self._seen:
            if seen.equals(uids):
                return repeats
        self._seen.append((uids, has_repeats(uids)))
        return self._seen[-1][1]


def ranked_candidates(
    candidates: pl.DataFrame, ranking: Ranking, known: KnownUids
) -> tuple[pl.DataFrame, int]:
    """A row an image with the best candidates of one source beside each other.

    Those with a text come before those without, then the highest score, unscored last, then the
    lowest number.

    Args:
        candidates: Of one source: `uid`, `shard`, `candidate`, `score`, further scores, and `text`.
            Without a column `text`, a caption counts as there where it has any of these scores.
        ranking: What is wanted.
        known: What is known of columns of uids.

    Returns:
        `uid`, and of the best `shard.X`, `has.X`, `score.X`, `candidate.X`, with texts `text.X`,
        and what goes along. With a depth other than 1 also `n.X`, the candidates that have a text,
        and `has.X.r`, `score.X.r` and so on of those at place r. Then how many there are of them.
    """
    scores = dict.fromkeys(["score", ranking.by, *ranking.beside.values()])
    has_texts = "text" in candidates.columns
    has = pl.any_horizontal(pl.col(["text"] if has_texts else list(scores)).is_not_null())
    one = candidates.with_columns(has=has)
    values = ranking.columns(candidates)
    if not known.repeat(one["uid"]):
        best = _named(one, {"shard": "shard", **values}, ranking.name)
        counted = best if ranking.depth == 1 else best.with_columns(_counted(ranking.name))
        return counted, 1
    # Shard and text decide only between two samples of one uid, which the pool sets aside.
    ties = ["candidate", "shard", *(["text"] if has_texts else [])]
    descending = [True, True, *(False for _ in ties)]
    ordered = one.sort("has", ranking.by, *ties, descending=descending, nulls_last=True)
    if ranking.depth == 1:
        first = ordered.unique("uid", keep="first", maintain_order=True)
        return _named(first, {"shard": "shard", **values}, ranking.name), 1
    return _several(ordered, ranking, values)


def _several(
    ordered: pl.DataFrame, ranking: Ranking, values: Mapping[str, str]
) -> tuple[pl.DataFrame, int]:
    distinct = ordered.unique(["uid", "candidate"], keep="first", maintain_order=True)
    placed = distinct.with_columns(
        place=pl.int_range(pl.len()).over("uid"), n=pl.col("has").sum().over("uid")
    )
    most = int(placed["n"].max() or 1)  # type: ignore[arg-type] - counts are whole numbers
    found = within(ranking.depth, most)
    first = placed.filter(pl.col("place") == 0)
    frame = _named(first, {"shard": "shard", **values, "n": "n"}, ranking.name)
    for place in range(1, max(found, 1)):
        further = placed.filter((pl.col("place") == place) & pl.col("has"))
        frame = frame.join(
            _named(further, values, f"{ranking.name}.{place}"),
            on="uid",
            how="left",
            maintain_order="left",
        )
    return frame, max(found, 1)


def _named(rows: pl.DataFrame, values: Mapping[str, str], name: str) -> pl.DataFrame:
    named = (pl.col(column).alias(f"{called}.{name}") for called, column in values.items())
    return rows.select("uid", *named)


def _counted(source: str) -> pl.Expr:
    return pl.col(f"has.{source}").cast(pl.UInt32).alias(f"n.{source}")


def with_scores(rows: pl.DataFrame, scored: pl.DataFrame, name: str = "score") -> pl.DataFrame:
    """Captions with a column of scores of these captions, null where there is none.

    Args:
        rows: `uid`, `candidate` and more.
        scored: `uid`, `candidate`, `score`.
        name: What the column is called then.
    """
    keys = ["uid", "candidate"]
    # Both are mostly in the order of shard and uid, so that row stands beside row.
    if rows.height == scored.height and all(rows[key].equals(scored[key]) for key in keys):
        return rows.with_columns(scored["score"].alias(name))
    found = scored.select(*keys, pl.col("score").alias(name))
    return rows.join(found, on=keys, how="left", maintain_order="left")


def placed_beside(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """A row for every uid of any part, which are unique in each; nulls where a part lacks it."""
    uids = parts[0]["uid"]
    if all(part["uid"].equals(uids) for part in parts[1:]):
        frame = pl.concat([part.drop("uid") for part in parts], how="horizontal")
        return frame.insert_column(0, uids)
    widest = max(parts, key=len)
    frame = _extended(widest, [part for part in parts if part is not widest])
    # Mostly one source has every image, and the union of all uids need not be computed.
    if all(frame.height - frame[part.columns[1]].null_count() == part.height for part in parts):
        return frame
    return _extended(pl.concat([part.select("uid") for part in parts]).unique(), parts)


def _extended(index: pl.DataFrame, parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    for part in parts:
        index = index.join(part, on="uid", how="left")
    return index


def within(depth: Depth, there: int) -> int:
    """How many candidates are used of this number."""
    return there if depth == "all" else min(depth, there)


def n_used(depth: Depth, source: str) -> pl.Expr:
    """How many candidates of a source are used of an image that has any."""
    if depth == 1:
        return pl.lit(1)
    there = pl.col(f"n.{source}").clip(1)
    return there if depth == "all" else pl.min_horizontal(there, pl.lit(depth))
