"""The cut-offs of a mix: which it asks for, and what each comes to on a pool."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

import polars as pl

from recap_assets.artefacts.mixes import THRESHOLDS
from recap_assets.artefacts.uids import is_within
from recap_assets.mixes.copies import PATH, realise_copies, taken_score
from recap_assets.mixes.images import Candidates, Images
from recap_assets.mixes.score_view import ScoreView
from recap_assets.mixes.selection import what_rules_take
from recap_assets.mixes.spool import Spool
from recap_assets.mixes.thresholds import Cut, EmptyPopulationError
from recap_assets.mixes.used import used_scores
from recap_assets.specs.columns import USED, scorer_and_name
from recap_assets.specs.mixes import Copies, Mix

Parts = Callable[[], Iterable[tuple[Candidates, Mapping[str, pl.Series]]]]
"""The pool, part by part, each time it is called: candidates and members of sets, as `select`."""

THRESHOLD_SCHEMA = pl.Schema({n: t for n, t in THRESHOLDS.schema.items() if n != "mix"})


@dataclass(frozen=True)
class CutoffRequest:
    """A cut-off that a mix asks for, in the columns of the table `thresholds`."""

    path: str
    kind: Literal["absolute", "quantile", "size", "copies"]
    requested: float
    scorer: str
    source: str


def cutoffs_needed(mix: Mix, scorer: str) -> list[CutoffRequest]:
    """Every cut-off of a mix, in the order in which the mix names them.

    Raises:
        ValueError: If a condition does not say which of several used sources it means.
    """
    found = [
        CutoffRequest(one.path, one.kind, one.requested, scorer, one.source)
        for number, rule in enumerate(mix.rules)
        if rule.where is not None
        for one in rule.where.needs(rule.place(number))
    ]
    if mix.copies is not None:
        size, of = mix.copies.size, mix.copies.of
        found.append(CutoffRequest(PATH, "copies", size, scorer, of))
    return found


def reads_parts(mix: Mix) -> bool:
    """Whether its cut-offs rest on what its rules take, and not on score columns alone."""
    return any(_of_taken(request) for request in cutoffs_needed(mix, ""))


def _of_taken(request: CutoffRequest) -> bool:
    return request.kind == "copies" or scorer_and_name(request.source)[1] == USED


def realise(
    mix: Mix,
    scorer: str,
    scores: Callable[[str], ScoreView],
    parts: Parts | None = None,
    only: Collection[str] | None = None,
) -> pl.DataFrame:
    """Turn the cut-offs of a mix into numbers.

    Args:
        mix: Whose cut-offs. Under `within`, only that part of the pool is ranked.
        scorer: Name of the scorer; goes into the result.
        scores: The whole pool's scores in a column, by the mix's scorer where it names none.
        parts: The pool, where `reads_parts` says that it is read.
        only: Paths of the cut-offs that are wanted; by default all.

    Returns:
        The table `thresholds` without `mix`: a row for each cut-off, by path.

    Raises:
        EmptyPopulationError: If the best of a column without any score are asked for.
        ScoresChangedError: If a stored histogram is not that of the scores.
        CopiesError: If more copies are asked for than the pairs give.
    """
    views: dict[str, ScoreView] = {}
    rows: list[dict[str, object]] = []
    with ExitStack() as spools:
        for request in cutoffs_needed(mix, scorer):
            if request.kind == "copies" or (only is not None and request.path not in only):
                continue
            rule = request.path.split(".")[1]
            name = f"{rule}.{request.source}" if _of_taken(request) else request.source
            if name not in views:
                views[name] = (
                    _spooled(spools, _used(mix, request, parts))
                    if _of_taken(request)
                    else scores(request.source).within(mix.within)
                )
            rows.append({**vars(request), **vars(_cut(request, views[name]))})
    cutoffs = pl.DataFrame(rows, schema=THRESHOLD_SCHEMA)
    if mix.copies is not None and only is None:
        cutoffs = _with_copies(mix, mix.copies, cutoffs, scorer, parts)
    return cutoffs.sort("path")


def _with_copies(
    mix: Mix, spec: Copies, cutoffs: pl.DataFrame, scorer: str, parts: Parts | None
) -> pl.DataFrame:
    cut = realise_copies(spec, _taken_scores(mix, spec, cutoffs, parts))
    (request,) = (one for one in cutoffs_needed(mix, scorer) if one.kind == "copies")
    row = pl.DataFrame([{**vars(request), **vars(cut)}], schema=THRESHOLD_SCHEMA)
    return pl.concat([cutoffs, row])


def _taken_scores(
    mix: Mix, spec: Copies, cutoffs: pl.DataFrame, parts: Parts | None
) -> Iterator[pl.Series]:
    """The scores that decide the copies of the pairs that the rules take."""
    for candidates, sets in _given(parts)():
        images = Images.for_mixes(candidates, [mix])
        frame = what_rules_take(mix, cutoffs, images, sets).images.frame
        yield frame.filter("accepted").select(taken_score(mix, spec)).to_series()


def _spooled(spools: ExitStack, scores: Iterable[pl.Series]) -> ScoreView:
    """A view on scores that are read once; one score an image, until the stack is closed."""
    spool = spools.enter_context(Spool(scores))
    return ScoreView(lambda _low: (), near=spool.between)


def _used(mix: Mix, request: CutoffRequest, parts: Parts | None) -> Iterator[pl.Series]:
    """The scores of the texts that a rule takes, over the part of the pool that the mix is of."""
    number, scorer = int(request.path.split(".")[1]), scorer_and_name(request.source)[0]
    for candidates, _ in _given(parts)():
        frame = used_scores(mix, number, scorer, candidates)
        if mix.within is not None:
            frame = frame.filter(is_within(mix.within, frame["uid"]))
        yield frame["score"]


def _given(parts: Parts | None) -> Parts:
    if parts is None:
        msg = "cut-offs of what the rules take are found in the candidates, and none are given"
        raise ValueError(msg)
    return parts


def _cut(request: CutoffRequest, view: ScoreView) -> Cut:
    if request.kind != "absolute" and not view.population:
        raise EmptyPopulationError(request.source)
    return view.cut(request.kind, request.requested)
