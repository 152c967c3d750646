"""The cut-offs of a mix: which it asks for, and what each comes to on a pool."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import polars as pl

from recap_assets.artefacts.mixes import THRESHOLDS
from recap_assets.mixes.conditions import parts_of, required, tested_by
from recap_assets.mixes.score_view import ScoreView
from recap_assets.mixes.thresholds import (
    Cut,
    EmptyPopulationError,
    cut_at_rank,
    cut_at_value,
    rank_of_fraction,
)
from recap_assets.specs.mixes import (
    AtLeast,
    Condition,
    Either,
    Every,
    Mix,
    TargetSize,
    TopFraction,
    Without,
)

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
        request
        for i, rule in enumerate(mix.rules)
        for request in _requests(rule.where, f"rules.{i}.where", tested_by(rule), scorer)
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


def _requests(
    condition: Condition | None, path: str, source: str | None, scorer: str
) -> Iterator[CutoffRequest]:
    match condition:
        case TopFraction():
            ranked = required(condition.of or source, path)
            yield CutoffRequest(f"{path}.top", "quantile", condition.top, scorer, ranked)
        case TargetSize():
            ranked = required(condition.of or source, path)
            yield CutoffRequest(f"{path}.best", "size", condition.best, scorer, ranked)
        case AtLeast(at_least=float() as value):
            tested = required(condition.of or source, path)
            yield CutoffRequest(f"{path}.at_least", "absolute", value, scorer, tested)
        case AtLeast(at_least=TopFraction() | TargetSize() as cutoff):
            yield from _requests(cutoff, f"{path}.at_least", condition.of or source, scorer)
        case Every() | Either() | Without():
            for part, part_path in parts_of(condition, path):
                yield from _requests(part, part_path, source, scorer)
        case _:
            return
