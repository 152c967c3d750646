"""The cut-offs of a mix: which it asks for, and what each comes to on a pool."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import polars as pl

from recap_assets.artefacts.mixes import THRESHOLDS
from recap_assets.mixes.score_view import ScoreView
from recap_assets.mixes.thresholds import (
    Cut,
    EmptyPopulationError,
    cut_at_rank,
    cut_at_value,
    rank_of_fraction,
)
from recap_assets.specs.mixes import Mix

THRESHOLD_SCHEMA = pl.Schema({n: t for n, t in THRESHOLDS.schema.items() if n != "mix"})


@dataclass(frozen=True)
class CutoffRequest:
    """A cut-off that a mix asks for, in the columns of the table `thresholds`."""

    path: str
    kind: Literal["absolute", "quantile", "size"]
    requested: float
    scorer: str
    source: str


def cutoffs_needed(mix: Mix, scorer: str) -> list[CutoffRequest]:
    """Every cut-off of a mix, in the order in which the mix names them.

    Raises:
        ValueError: If a condition does not say which of several used sources it means.
    """
    return [
        CutoffRequest(one.path, one.kind, one.requested, scorer, one.source)
        for number, rule in enumerate(mix.rules)
        if rule.where is not None
        for one in rule.where.needs(rule.place(number))
    ]


def realise(mix: Mix, scorer: str, scores: Callable[[str], ScoreView]) -> pl.DataFrame:
    """Turn the cut-offs of a mix into numbers.

    Args:
        mix: Whose cut-offs. Under `within`, only that part of the pool is ranked.
        scorer: Name of the scorer; goes into the result.
        scores: The whole pool's scores of a source by that scorer.

    Returns:
        The table `thresholds` without `mix`: a row for each cut-off, by path.

    Raises:
        EmptyPopulationError: If the best of a source without any score are asked for.
        ScoresChangedError: If a stored histogram is not that of the scores.
    """
    views: dict[str, ScoreView] = {}
    rows: list[dict[str, object]] = []
    for request in cutoffs_needed(mix, scorer):
        if request.source not in views:
            views[request.source] = scores(request.source).within(mix.within)
        cut = _cut(request, views[request.source])
        rows.append({**vars(request), **vars(cut)})
    return pl.DataFrame(rows, schema=THRESHOLD_SCHEMA).sort("path")


def _cut(request: CutoffRequest, view: ScoreView) -> Cut:
    if request.kind == "absolute":
        return cut_at_value(view.histogram, view.fetch, request.requested)
    if not view.population:
        raise EmptyPopulationError(request.source)
    if request.kind == "quantile":
        rank = rank_of_fraction(view.population, request.requested)
    else:
        rank = min(int(request.requested), view.population) - 1
    return cut_at_rank(view.histogram, view.fetch, rank)
