"""Why a mix takes one image with this caption, or which rule dropped it, in words and numbers.

`selection` decides here as well: the same expressions are evaluated part by part on one image, and
this module only puts them into words. In them rules are numbered from 1, as people count; in the
fields from 0, as in the table `curated_mixes`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from recap_assets.artefacts.uids import subset_draw
from recap_assets.mixes.conditions import Clause
from recap_assets.mixes.images import Images
from recap_assets.mixes.selection import PAIR_SCHEMA, Decision, Ruling, decide, rulings_of
from recap_assets.mixes.uses import alternatives, pairs_of_source, source_draw
from recap_assets.specs.mixes import (
    BestOf,
    Each,
    Either,
    Every,
    InSet,
    Join,
    Mix,
    RandomOf,
    RandomSubset,
    Rule,
    sources_read,
    sources_used,
)

_DIGITS, _MOST_DIGITS = 4, 17
_TOLD = {True: "holds", False: "does not hold", None: "is unknown, as a score is missing"}


@dataclass(frozen=True)
class EvaluatedClause:
    """A condition, evaluated on one image.

    Attributes:
        path: Where it stands in the mix.
        holds: None where a missing score leaves it open; that is not accepted.
        words: What was compared with what.
        parts: The conditions that it is made of.
    """

    path: str
    holds: bool | None
    words: str
    parts: tuple["EvaluatedClause", ...] = ()


@dataclass(frozen=True)
class EvaluatedRule:
    """A rule, evaluated on one image.

    Attributes:
        rule: Number of the rule, from 0.
        outcome: `not_asked` where the image does not reach the rule.
        accepts: Whether the rule would take the image, were it asked.
        words: The outcome and its reason.
        use: Which of its captions the rule uses for this image and why, or why it has none.
        where: Its condition; None where there is none.
    """

    rule: int
    outcome: Literal["takes", "passes_on", "not_asked"]
    accepts: bool
    words: str
    use: str
    where: EvaluatedClause | None


@dataclass(frozen=True)
class Explanation:
    """What a mix makes of one image.

    Attributes:
        words: In a sentence.
        within: How the draw for the mix's part of the pool fell; None where it takes it whole.
        rules: In the mix's order; none where no source that the mix reads knows the image.
        pairs: The image's rows of what `select` returns.
    """

    words: str
    within: str | None
    rules: tuple[EvaluatedRule, ...]
    pairs: pl.DataFrame


def explain(
    mix: Mix,
    thresholds: pl.DataFrame,
    candidates: pl.DataFrame,
    sets: Mapping[str, pl.Series],
    uid: bytes,
    why_not: Mapping[str, Sequence[str]] | None = None,
) -> Explanation:
    """Explain what `select` decides for one image.

    Args:
        mix: As for `select`.
        thresholds: What `realise` returns, all columns.
        candidates: As for `select`; those of other images may be among them.
        sets: As for `select`.
        uid: The image.
        why_not: By set, what keeps the image out of it, in words, where that is known.

    Raises:
        KeyError: If a cut-off or a set that the mix names is not given.
    """
    of_image = candidates.filter(pl.col("uid") == pl.lit(uid))
    images = Images.for_mixes(of_image, [mix])
    if images.frame.is_empty():
        words = f"no source that the mix reads ({', '.join(sources_read(mix))}) has this image"
        return Explanation(words, None, (), pl.DataFrame(schema=PAIR_SCHEMA))
    decision = decide(mix, thresholds, images, sets)
    uids = images.frame["uid"]
    rulings = rulings_of(mix, thresholds, uids, sets)
    image = _Image(decision, thresholds, rulings, why_not or {})
    within = None if mix.within is None else _Within.of(mix.within, uids)
    rules = tuple(_rule(mix, i, ruling, image, within) for i, ruling in enumerate(rulings))
    pairs = decision.emit()
    return Explanation(
        _summary(rules, pairs, within), None if within is None else within.words, rules, pairs
    )


class _Image:
    """One image's values, and what each expression of the selection gives on it."""

    def __init__(
        self,
        decision: Decision,
        thresholds: pl.DataFrame,
        rulings: Sequence[Ruling],
        why_not: Mapping[str, Sequence[str]],
    ) -> None:
        values = {f"usable.{i}": ruling.usable for i, ruling in enumerate(rulings)}
        for i, ruling in enumerate(rulings):
            values[f"alone.{i}"] = ruling.accepts.fill_null(value=False)
            values |= {
                f"pairs.{i}.{source}": pairs_of_source(ruling.rule, source)
                for source in alternatives(ruling.rule.use)
            }
            for clause in _clauses(ruling.where):
                values[f"holds.{clause.path}"] = clause.holds
        frame = decision.images.with_columns(expr.alias(name) for name, expr in values.items())
        self.values: dict[str, Any] = frame.row(0, named=True)
        self.uids = frame["uid"]
        self.why_not = why_not
        self.cutoffs = {row["path"]: row for row in thresholds.iter_rows(named=True)}

    def holds(self, clause: Clause) -> bool | None:
        return self.values[f"holds.{clause.path}"]

    def has_text(self, source: str) -> bool:
        return self.values[f"has.{source}"]

    def score(self, source: str) -> float | None:
        return self.values[f"score.{source}"]

    def chosen(self, rule: int) -> int | None:
        return self.values[f"choice.{rule}"]

    def n_pairs(self, rule: int, source: str) -> int:
        return self.values[f"pairs.{rule}.{source}"]

    def named(self, source: str, score: str) -> str:
        candidate = self.values[f"candidate.{source}"]
        return f"{source} {score}" + (f" (candidate {candidate})" if candidate else "")


@dataclass(frozen=True)
class _Within:
    contains: bool
    words: str

    @classmethod
    def of(cls, subset: RandomSubset, uids: pl.Series) -> "_Within":
        draw = float(subset_draw(subset, uids)[0])
        drawn, fraction = _apart(draw, subset.fraction)
        contains = draw < subset.fraction
        told = f"draw {drawn} {'<' if contains else '>='} {fraction}"
        part = f"the random {_percent(subset.fraction)} of the pool (seed {subset.seed})"
        return cls(contains, f"{'inside' if contains else 'outside'} {part}: {told}")


def _clauses(clause: Clause | None) -> Iterator[Clause]:
    if clause is not None:
        yield clause
        for part in clause.parts:
            yield from _clauses(part)


def _rule(
    mix: Mix, number: int, ruling: Ruling, image: _Image, within: _Within | None
) -> EvaluatedRule:
    where = None if ruling.where is None else _evaluated(ruling.where, image)
    use = _use_words(ruling, number, image)
    alone: bool = image.values[f"alone.{number}"]
    told = f"rule {number + 1}"
    earlier = [i for i in range(number) if image.values[f"accepts.{i}"]]
    if within is not None and not within.contains:
        words = f"{told} is not asked: the image is outside the mix's part of the pool"
        return EvaluatedRule(number, "not_asked", alone, words, use, where)
    if image.values[f"accepts.{number}"]:
        return EvaluatedRule(number, "takes", alone, f"{told} takes it: {use}", use, where)
    if mix.combine == "first" and earlier:
        otherwise = "would take it too" if alone else "would pass it on"
        words = f"{told} is not asked: rule {earlier[0] + 1} took the image (it {otherwise})"
        return EvaluatedRule(number, "not_asked", alone, words, use, where)
    reason = _reason(image.values[f"usable.{number}"], use, where)
    words = f"{reason}, so {told} passes it on"
    return EvaluatedRule(number, "passes_on", alone, words, use, where)


def _reason(usable: bool, use: str, where: EvaluatedClause | None) -> str:  # noqa: FBT001 - private
    if not usable or where is None:
        return use
    return f"its condition {_TOLD[where.holds]}" if where.parts else where.words


def _evaluated(clause: Clause, image: _Image) -> EvaluatedClause:
    parts = tuple(_evaluated(part, image) for part in clause.parts)
    holds = image.holds(clause)
    match clause.condition:
        case Every():
            words = f"all of {len(parts)} conditions: {_answer(holds)}"
        case Either():
            words = f"any of {len(parts)} conditions: {_answer(holds)}"
        case InSet(in_set=name):
            told = "; ".join(image.why_not.get(name, ()))
            words = f'in_set "{name}": {_answer(holds)}{f", {told}" if told and not holds else ""}'
        case _ if parts:
            words = f"without this condition: {_answer(holds)}"
        case _:
            words = _compared(clause, image)
    return EvaluatedClause(clause.path, holds, words, parts)


def _answer(holds: bool | None) -> str:  # noqa: FBT001 - private
    return {True: "yes", False: "no", None: "unknown, which is not accepted"}[holds]


def _compared(clause: Clause, image: _Image) -> str:
    source, path = clause.source, clause.cutoff
    assert source is not None and path is not None  # noqa: S101, PT018 - told to the type checker
    cutoff = image.cutoffs[path]
    value, score = cutoff["value"], image.score(source)
    if score is None:
        missing = "score" if image.has_text(source) else "text"
        at = f"cut-off {_apart(value)[0]} ({_origin(cutoff)})"
        return f"{source} has no {missing}; unknown is not accepted; {at}"
    scored, at = _apart(score, value)
    sign = ">=" if image.holds(clause) else "<"
    tied = ""
    if score == value:
        n = f"; {cutoff['n_tied']:,} tied" if source == cutoff["source"] else ""
        tied = f", a tie{n}: ties are kept"
    return f"{source} score {scored} {sign} cut-off {at} ({_origin(cutoff)}){tied}"


def _origin(cutoff: Mapping[str, Any]) -> str:
    if cutoff["kind"] == "absolute":
        return "a fixed number"
    asked = (
        f"top {_percent(cutoff['requested'])}"
        if cutoff["kind"] == "quantile"
        else f"best {cutoff['requested']:,.0f}"
    )
    return f"{asked} of {cutoff['population']:,} by {cutoff['source']} score"


def _use_words(ruling: Ruling, number: int, image: _Image) -> str:
    use, sources = ruling.rule.use, sources_used(ruling.rule.use)
    present = [source for source in sources if image.has_text(source)]
    absent = [source for source in sources if source not in present]
    if not image.values[f"usable.{number}"]:
        return _unusable(use, sources, absent)
    match use:
        case BestOf():
            words = _best(sources, present, image.chosen(number), image)
        case RandomOf():
            words = _drawn(use, image, image.chosen(number))
        case Each(each=weights):
            told = ", ".join(
                f"{_scored(image, source)}, weight {ruling.rule.weight * weights[source]:g}"
                for source in present
            )
            words = f"each of [{', '.join(sources)}]: {told}"
        case Join():
            words = f"join [{', '.join(sources)}]: {', '.join(_scored(image, s) for s in sources)}"
        case _:
            words = f"use {_scored(image, use)}"
    further = _further(ruling.rule, number, image)
    return "; ".join([words, *further, *(f"{source} has no text" for source in absent)])


def _further(rule: Rule, number: int, image: _Image) -> Iterator[str]:
    """What is told of the candidates after the best one."""
    if rule.candidates == 1:
        return
    for i, source in enumerate(alternatives(rule.use)):
        if not image.has_text(source) or image.chosen(number) not in (None, i):
            continue
        n = image.n_pairs(number, source)
        own = rule.use.each[source] if isinstance(rule.use, Each) else 1.0
        if n > 1:
            yield f"{source} gives its {n} best candidates, weight {rule.weight * own / n:g} each"


def _unusable(use: object, sources: Sequence[str], absent: Sequence[str]) -> str:
    if isinstance(use, Join):
        have = "has" if len(absent) == 1 else "have"
        return f"join needs the text of [{', '.join(sources)}], and {_and(absent)} {have} none"
    return f"{sources[0]} has no text" if len(sources) == 1 else f"none of {_and(sources)} has text"


def _scored(image: _Image, source: str) -> str:
    score = image.score(source)
    return image.named(source, "without a score" if score is None else _apart(score)[0])


def _best(sources: Sequence[str], present: Sequence[str], chosen: int | None, image: _Image) -> str:
    assert chosen is not None  # noqa: S101 - a text is there, so one was chosen
    best, listed = sources[chosen], f"best_of [{', '.join(sources)}]"
    others = [source for source in present if source != best]
    if not others:
        return f"{listed}: {_scored(image, best)} is the only one with a text"
    score = image.score(best)
    if score is None:
        return f"{listed}: none has a score, and {best} is named before {_and(others)}"
    scores = [image.score(source) for source in others]
    shown = iter(_apart(score, *(s for s in scores if s is not None)))
    told = [image.named(best, next(shown))]
    for source, other in zip(others, scores, strict=True):
        if other is None:
            told.append(f"beats {source}, which has no score")
        elif other == score:
            told.append(f"ties with {image.named(source, next(shown))} and is named first")
        else:
            told.append(f"beats {image.named(source, next(shown))}")
    return f"{listed}: {told[0]} {', '.join(told[1:])}"


def _drawn(use: RandomOf, image: _Image, chosen: int | None) -> str:
    assert chosen is not None  # noqa: S101 - a text is there, so one was chosen
    names = alternatives(use)
    present = [name for name in names if image.has_text(name)]
    ends = [0.0]
    for name in present:
        ends.append(ends[-1] + use.random_of[name])
    at, *_ = _apart(float(source_draw(use, image.uids)[0]) * ends[-1], *ends)
    spans = ", ".join(f"{name} {ends[i]:g} to {ends[i + 1]:g}" for i, name in enumerate(present))
    return f"random_of (seed {use.seed}): {at} falls among {spans}: {_scored(image, names[chosen])}"


def _summary(rules: Sequence[EvaluatedRule], pairs: pl.DataFrame, within: _Within | None) -> str:
    if within is not None and not within.contains:
        return "not in the mix: it takes only a random part of the pool, without this image"
    if pairs.is_empty():
        return f"not in the mix: {'all' if len(rules) > 1 else 'its'} {_count(rules)} it on"
    taken = pairs.group_by("rule", maintain_order=True).agg("source")
    told = [f"rule {rule + 1} takes it with {_and(sources)}" for rule, sources in taken.rows()]
    return f"in the mix: {'; '.join(told)}"


def _count(rules: Sequence[EvaluatedRule]) -> str:
    return f"{len(rules)} rules pass" if len(rules) > 1 else "one rule passes"


def _and(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _percent(fraction: float) -> str:
    return f"{100 * fraction:g} %"


def _apart(*values: float) -> list[str]:
    """The numbers with four digits, or with as many as it takes to tell unequal ones apart."""
    digits = _DIGITS
    while digits < _MOST_DIGITS and (
        len({f"{value:.{digits}f}" for value in values}) < len(set(values))
    ):
        digits += 1
    return [f"{value:.{digits}f}" for value in values]
