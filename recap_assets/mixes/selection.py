"""The selection language, carried out: which caption of which image is trained on.

Two steps. `realise` turns each cut-off of a mix into a number, over the whole pool. `select` then
decides each image of a partition on its own, so that order, shards and partitions change nothing.

Rules of the language, where the words of a mix leave them open:

- Of several candidates of one source, the one with the highest score stands for the source; ties
  go to the lowest number.
- `candidates: k` gives a pair for each of the k best candidates (all with a text for `all`) of the
  source that the rule uses for the image. They share the pair's weight evenly, so an image is drawn
  as often as with one. Whether the rule accepts the image is asked of the best one alone.
- A rule accepts an image where its condition holds and its `use` has a text; otherwise the image
  goes on to the next rule.
- A condition on a missing score is unknown, and unknown is not accepted. It stays unknown under
  `without`: an unscored caption never passes a test by failing it. Where another condition decides
  alone (`any` with one that holds, `all` with one that does not), the unknown one does not matter.
- `best_of`: a missing score ranks last; ties go to the source named first.
- `random_of` draws among the sources that have a text for the image.
- `join` needs the text of every source; its candidate number is the first source's.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from recap_assets.artefacts.mixes import CURATED_MIXES, THRESHOLDS
from recap_assets.artefacts.uids import is_within, uid_uniform
from recap_assets.mixes.candidates import Depth, ranked_candidates
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
    BestOf,
    Condition,
    Each,
    Either,
    Every,
    InSet,
    Join,
    Mix,
    RandomOf,
    Rule,
    TargetSize,
    TopFraction,
    Use,
    Without,
    sources_read,
    sources_used,
)
from recap_assets.storage.sorting import sort_rows

PAIR_SCHEMA = pl.Schema(
    {n: t for n, t in CURATED_MIXES.schema.items() if n not in ("mix", "partition", "image_hash")}
)
THRESHOLD_SCHEMA = pl.Schema({n: t for n, t in THRESHOLDS.schema.items() if n != "mix"})
_PAIR_ORDER = ("shard", "uid", "rule", "source", "candidate")


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
        for request in _requests(rule.where, f"rules.{i}.where", _tested_by(rule), scorer)
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


def select(
    mix: Mix,
    thresholds: pl.DataFrame,
    candidates: pl.DataFrame,
    sets: Mapping[str, pl.Series],
) -> pl.DataFrame:
    """The training pairs of a mix in one partition.

    Args:
        mix: What to select.
        thresholds: `path` and `value` of every cut-off, from `realise`.
        candidates: `uid`, `shard`, `source`, `candidate`, `text`, `score`, in any order; sources
            that the mix does not read may be among them. All rows of an image are in one frame.
        sets: Binary uids by name, for `in_set`.

    Returns:
        PAIR_SCHEMA: the table `curated_mixes` without `mix`, `partition` and `image_hash`, sorted
        by its order.

    Raises:
        KeyError: If a cut-off or a set that the mix names is not given.
    """
    return decide(mix, thresholds, Images.for_mixes(candidates, [mix]), sets).emit()


@dataclass(frozen=True)
class Images:
    """A row an image, with each source's best candidate beside each other.

    Attributes:
        frame: `uid`, `shard`, and for each source `has.X` (it has a text), `score.X`,
            `candidate.X` and, where texts were given, `text.X`. Where a mix uses several candidates
            of a source, those after the best are `has.X.1`, `score.X.1` and so on, and `n.X` is how
            many have a text.
        has_texts: Whether they were.
        depths: How many candidates of each source stand beside each other.
    """

    frame: pl.DataFrame
    has_texts: bool
    depths: Mapping[str, int]

    @classmethod
    def for_mixes(cls, candidates: pl.DataFrame, mixes: Iterable[Mix]) -> "Images":
        """Put the candidates that the mixes may use side by side.

        Without a column `text`, a caption counts as there where it has a score.
        """
        has_texts = "text" in candidates.columns
        ranked = {
            source: ranked_candidates(candidates, source, depth, has_texts=has_texts)
            for source, depth in _depths_needed(mixes).items()
        }
        parts = [part for part, _ in ranked.values()]
        depths = {source: depth for source, (_, depth) in ranked.items()}
        uids = parts[0]["uid"]
        if all(part["uid"].equals(uids) for part in parts[1:]):
            frame = pl.concat([part.drop("uid") for part in parts], how="horizontal")
            return cls(_with_shard(frame.insert_column(0, uids)), has_texts, depths)
        return cls(_with_shard(_side_by_side(parts)), has_texts, depths)


@dataclass(frozen=True)
class Pairs:
    """Pairs that one rule gives from one source, as expressions on `Decision.images`."""

    where: pl.Expr
    source: str
    candidate: pl.Expr
    text: pl.Expr
    score: pl.Expr
    weight: pl.Expr
    rule: int


@dataclass(frozen=True)
class Decision:
    """What a mix takes: images with a column `accepted`, and the pairs among them."""

    images: pl.DataFrame
    pairs: tuple[Pairs, ...]

    def emit(self) -> pl.DataFrame:
        """The pairs, as `select` returns them."""
        parts = [_emit(self, pairs) for pairs in self.pairs]
        return sort_rows(pl.concat(parts), _PAIR_ORDER)


def decide(
    mix: Mix, thresholds: pl.DataFrame, images: Images, sets: Mapping[str, pl.Series]
) -> Decision:
    """Decide every image, without making the pairs.

    Arguments and errors as for `select`, with the candidates side by side.
    """
    frame, uids = images.frame, images.frame["uid"]
    names = [f"accepts.{i}" for i in range(len(mix.rules))]
    exists = pl.lit(value=True) if mix.within is None else pl.lit(is_within(mix.within, uids))
    rulings = rulings_of(mix, thresholds, uids, sets)
    frame = frame.with_columns(
        (exists & ruling.accepts).fill_null(value=False).alias(name)
        for name, ruling in zip(names, rulings, strict=True)
    )
    if mix.combine == "first":
        frame = frame.with_columns(
            pl.col(name) & ~pl.any_horizontal(names[:i]) for i, name in enumerate(names) if i
        )
    frame = frame.with_columns(
        pl.any_horizontal(names).alias("accepted"),
        *(ruling.choice.alias(f"choice.{i}") for i, ruling in enumerate(rulings)),
    )
    pairs = [pair for i, rule in enumerate(mix.rules) for pair in _pairs(rule, i, images)]
    return Decision(frame, tuple(pairs))


@dataclass(frozen=True)
class Clause:
    """A condition of a rule, as decided on `Images.frame`.

    Attributes:
        condition: As the mix writes it.
        path: Where it stands in the mix.
        holds: True, false, or null where a missing score leaves it open.
        source: Whose score is compared with a cut-off; None where none is.
        cutoff: The path of that cut-off in the table `thresholds`.
        parts: The conditions that it is made of.
    """

    condition: Condition
    path: str
    holds: pl.Expr
    source: str | None = None
    cutoff: str | None = None
    parts: tuple["Clause", ...] = ()


@dataclass(frozen=True)
class Ruling:
    """A rule by itself, as decided on `Images.frame`.

    Attributes:
        rule: As the mix writes it.
        usable: Whether its `use` has a text.
        where: Its condition; None where there is none.
        choice: Number of the alternative that the image takes, as `alternatives` orders them; null
            where `use` is no choice.
    """

    rule: Rule
    usable: pl.Expr
    where: Clause | None
    choice: pl.Expr

    @property
    def accepts(self) -> pl.Expr:
        """Whether it would take the image, were it the only rule; null counts as no."""
        return self.usable if self.where is None else self.usable & self.where.holds


def rulings_of(
    mix: Mix, thresholds: pl.DataFrame, uids: pl.Series, sets: Mapping[str, pl.Series]
) -> tuple[Ruling, ...]:
    """The rules of a mix for the images of these uids.

    Arguments and errors as for `select`.
    """
    values = dict(thresholds.select("path", "value").iter_rows())
    return tuple(
        Ruling(
            rule,
            _is_usable(rule.use),
            None
            if rule.where is None
            else _clause(rule.where, f"rules.{i}.where", _tested_by(rule), values, sets),
            _choice(rule.use, uids),
        )
        for i, rule in enumerate(mix.rules)
    )


def alternatives(use: Use) -> tuple[str, ...]:
    """The sources that a rule may use, as its choices number them."""
    # A mapping in the file has no order, so the draw must not depend on one.
    return tuple(sorted(use.random_of)) if isinstance(use, RandomOf) else sources_used(use)


def _depths_needed(mixes: Iterable[Mix]) -> dict[str, Depth]:
    """For each source that the mixes read, how many of its candidates any rule uses."""
    depths: dict[str, Depth] = {}
    for mix in mixes:
        for source in sources_read(mix):
            depths.setdefault(source, 1)
        for rule in mix.rules:
            for source in sources_used(rule.use):
                depths[source] = _deeper(depths[source], rule.candidates)
    return depths


def _deeper(one: Depth, other: Depth) -> Depth:
    return "all" if "all" in (one, other) else max(int(one), int(other))


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


def _tested_by(rule: Rule) -> str | None:
    return rule.use if isinstance(rule.use, str) else None


def _requests(
    condition: Condition | None, path: str, source: str | None, scorer: str
) -> Iterator[CutoffRequest]:
    match condition:
        case TopFraction():
            ranked = _named(condition.of or source, path)
            yield CutoffRequest(f"{path}.top", "quantile", condition.top, scorer, ranked)
        case TargetSize():
            ranked = _named(condition.of or source, path)
            yield CutoffRequest(f"{path}.best", "size", condition.best, scorer, ranked)
        case AtLeast(at_least=float() as value):
            tested = _named(condition.of or source, path)
            yield CutoffRequest(f"{path}.at_least", "absolute", value, scorer, tested)
        case AtLeast(at_least=TopFraction() | TargetSize() as cutoff):
            yield from _requests(cutoff, f"{path}.at_least", condition.of or source, scorer)
        case Every() | Either() | Without():
            for part, part_path in _parts(condition, path):
                yield from _requests(part, part_path, source, scorer)
        case _:
            return


def _clause(
    condition: Condition,
    path: str,
    source: str | None,
    values: Mapping[str, float],
    sets: Mapping[str, pl.Series],
) -> Clause:
    match condition:
        case TopFraction() | TargetSize() | AtLeast():
            return _reaches(condition, path, condition.of or source, values)
        case InSet():
            is_member = pl.col("uid").is_in(sets[condition.in_set].implode())
            return Clause(condition, path, is_member)
        case Every() | Either() | Without():
            parts = tuple(_clause(c, p, source, values, sets) for c, p in _parts(condition, path))
            hold = [part.holds for part in parts]
            if isinstance(condition, Without):
                return Clause(condition, path, ~hold[0], parts=parts)
            combine = pl.all_horizontal if isinstance(condition, Every) else pl.any_horizontal
            return Clause(condition, path, combine(hold), parts=parts)


def _reaches(
    condition: TopFraction | TargetSize | AtLeast,
    path: str,
    tested: str | None,
    values: Mapping[str, float],
) -> Clause:
    cutoff, steps = condition, [path]
    if isinstance(cutoff, AtLeast):
        steps.append("at_least")
        cutoff = cutoff.at_least
    if not isinstance(cutoff, float):
        steps.append("top" if isinstance(cutoff, TopFraction) else "best")
    source, cutoff_path = _named(tested, path), ".".join(steps)
    value = pl.lit(values[cutoff_path], dtype=pl.Float32)
    return Clause(condition, path, pl.col(f"score.{source}") >= value, source, cutoff_path)


def _parts(condition: Every | Either | Without, path: str) -> list[tuple[Condition, str]]:
    match condition:
        case Every():
            return [(part, f"{path}.all.{i}") for i, part in enumerate(condition.all)]
        case Either():
            return [(part, f"{path}.any.{i}") for i, part in enumerate(condition.any)]
        case Without():
            return [(condition.without, f"{path}.without")]


def _named(source: str | None, path: str) -> str:
    if source is None:
        msg = f"{path}.of: say which source's score is meant, since the rule uses several"
        raise ValueError(msg)
    return source


def _is_usable(use: Use) -> pl.Expr:
    has_text = [pl.col(f"has.{source}") for source in sources_used(use)]
    return pl.all_horizontal(has_text) if isinstance(use, Join) else pl.any_horizontal(has_text)


def _choice(use: Use, uids: pl.Series) -> pl.Expr:
    """The number of the alternative that the image takes; null where it is no choice."""
    names = alternatives(use)
    match use:
        case BestOf():
            scores = [
                pl.when(f"has.{name}").then(pl.col(f"score.{name}").fill_null(-np.inf))
                for name in names
            ]
            best = pl.max_horizontal(scores)
            return pl.coalesce(
                pl.when(score == best).then(pl.lit(i)) for i, score in enumerate(scores)
            )
        case RandomOf():
            weights = [pl.col(f"has.{name}") * use.random_of[name] for name in names]
            at = pl.lit(pl.Series(source_draw(use, uids))) * pl.sum_horizontal(weights)
            # The last one that begins at or before the drawn point: rounding leaves no gap.
            return pl.coalesce(
                pl.when(
                    pl.col(f"has.{names[i]}") & (at >= pl.sum_horizontal(pl.lit(0.0), *weights[:i]))
                ).then(pl.lit(i))
                for i in reversed(range(len(names)))
            )
        case _:
            return pl.lit(None, dtype=pl.Int32)


def source_draw(use: RandomOf, uids: pl.Series) -> npt.NDArray[np.float64]:
    """One number in [0, 1) for each uid: how far along the sources' weights the draw falls."""
    return uid_uniform(use.seed, uids, "source")


def _pairs(rule: Rule, number: int, images: Images) -> Iterator[Pairs]:
    accepts = pl.col(f"accepts.{number}")
    if isinstance(rule.use, Join):
        yield _joined(rule.use, accepts, rule.weight, number, has_texts=images.has_texts)
        return
    for i, source in enumerate(alternatives(rule.use)):
        where, weight = accepts, rule.weight
        if isinstance(rule.use, BestOf | RandomOf):
            where = accepts & (pl.col(f"choice.{number}") == i)
        elif isinstance(rule.use, Each):
            where, weight = accepts & pl.col(f"has.{source}"), weight * rule.use.each[source]
        n_pairs = pairs_of_source(rule, source)
        for rank in range(candidates_within(rule, images.depths[source])):
            name = f"{source}.{rank}" if rank else source
            yield Pairs(
                where=where & pl.col(f"has.{name}") if rank else where,
                source=source,
                candidate=pl.col(f"candidate.{name}"),
                text=pl.col(f"text.{name}") if images.has_texts else pl.lit(None, dtype=pl.String),
                score=pl.col(f"score.{name}"),
                weight=pl.lit(weight) / n_pairs,
                rule=number,
            )


def candidates_within(rule: Rule, depth: int) -> int:
    """How many of the `depth` best candidates of a source the rule uses."""
    return depth if rule.candidates == "all" else min(rule.candidates, depth)


def pairs_of_source(rule: Rule, source: str) -> pl.Expr:
    """How many pairs the rule makes of an image for which it uses the source."""
    if rule.candidates == 1:
        return pl.lit(1)
    there = pl.col(f"n.{source}").clip(1)
    return there if rule.candidates == "all" else pl.min_horizontal(there, pl.lit(rule.candidates))


def _joined(use: Join, where: pl.Expr, weight: float, number: int, *, has_texts: bool) -> Pairs:
    texts = [pl.col(f"text.{source}") for source in use.join]
    scores = [pl.col(f"score.{source}").cast(pl.Float64) for source in use.join]
    return Pairs(
        where=where,
        source="+".join(use.join),
        candidate=pl.col(f"candidate.{use.join[0]}"),
        text=pl.concat_str(texts, separator=use.separator)
        if has_texts
        else pl.lit(None, dtype=pl.String),
        score=pl.mean_horizontal(scores, ignore_nulls=False),
        weight=pl.lit(weight),
        rule=number,
    )


def _emit(decision: Decision, pairs: Pairs) -> pl.DataFrame:
    columns = {
        "shard": pl.col("shard"),
        "uid": pl.col("uid"),
        "source": pl.lit(pairs.source),
        "candidate": pairs.candidate,
        "text": pairs.text,
        "score": pairs.score,
        "weight": pairs.weight,
        "rule": pl.lit(pairs.rule),
    }
    chosen = decision.images.filter(pairs.where)
    return chosen.select(
        columns[name].cast(dtype).alias(name) for name, dtype in PAIR_SCHEMA.items()
    )


def _side_by_side(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """A row for every uid of any part, which are unique in each; nulls where a part lacks it."""
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


def _with_shard(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        pl.min_horizontal(pl.col(r"^shard\..*$")).alias("shard"),
        pl.col(r"^has\..*$").fill_null(value=False),
    )
