"""How often people agree, and which sources they prefer."""

from itertools import combinations
from typing import NamedTuple

import polars as pl

from recap_assets.artefacts.judgements import COMPARED, FIRST, NEITHER


class Agreement(NamedTuple):
    """Two people on what both compared.

    Attributes:
        one: A name.
        other: Another.
        n: Comparisons that both made.
        share: Of them those on which they agree.
        kappa: Cohen's kappa: 1 for full agreement, 0 for that of chance; None where chance alone
            would have both agree always.
    """

    one: str
    other: str
    n: int
    share: float
    kappa: float | None


def agreements(judged: pl.DataFrame) -> list[Agreement]:
    """Every two people with comparisons in common.

    Args:
        judged: `last_judgements`.
    """
    of = {name: judged.filter(judge=name) for name in judged["judge"].unique().sort()}
    found = [_agreement(one, other, of[one], of[other]) for one, other in combinations(of, 2)]
    return [one for one in found if one is not None]


def _agreement(
    one: str, other: str, of_one: pl.DataFrame, of_other: pl.DataFrame
) -> Agreement | None:
    both = of_one.join(of_other, on=list(COMPARED), suffix="_other").select(
        "chosen", "chosen_other"
    )
    if both.is_empty():
        return None
    share = float((both["chosen"] == both["chosen_other"]).sum()) / both.height
    chance = sum(
        float((both["chosen"] == word).sum()) * float((both["chosen_other"] == word).sum())
        for word in both["chosen"].unique()
    ) / (both.height**2)
    kappa = (share - chance) / (1 - chance) if chance < 1 else None
    return Agreement(one, other, both.height, share, kappa)


class Standing(NamedTuple):
    """A source in all comparisons that it was in.

    Attributes:
        source: Its name.
        n: Comparisons.
        n_preferred: Those in which it was chosen.
        n_neither: Those in which neither was.
    """

    source: str
    n: int
    n_preferred: int
    n_neither: int


def standings(judged: pl.DataFrame) -> list[Standing]:
    """The sources, those chosen most often first.

    Args:
        judged: `last_judgements`.
    """
    is_first = pl.col("chosen") == FIRST
    is_neither = pl.col("chosen") == NEITHER
    sides = pl.concat(
        judged.select(
            source=f"{side}_source",
            is_chosen=chosen & ~is_neither,
            is_neither=is_neither,
        )
        for side, chosen in (("first", is_first), ("second", ~is_first))
    )
    counted = sides.group_by("source").agg(pl.len(), pl.col("is_chosen", "is_neither").sum())
    rows = [Standing(*row) for row in counted.iter_rows()]
    return sorted(rows, key=lambda row: (-row.n_preferred / row.n, row.source))


def left_share(judged: pl.DataFrame) -> float | None:
    """How often the left of two captions was chosen, where one was; far from a half is a habit."""
    decided = judged.filter(pl.col("chosen") != NEITHER)
    is_left = (decided["chosen"] == FIRST) ^ decided["was_swapped"]
    return float(is_left.sum()) / decided.height if decided.height else None
