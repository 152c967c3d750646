"""Why a mix takes one image with this caption, or which rule dropped it, with its numbers.

`selection` decides here as well: the same expressions are evaluated part by part on one image. The
kinds of conditions and uses put each part into words, and this module joins them. In words rules
are numbered from 1, as people count; in the fields from 0, as in the table `curated_mixes`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from recap_assets.artefacts.uids import subset_draw
from recap_assets.mixes import copies
from recap_assets.mixes.candidates import n_used
from recap_assets.mixes.clauses import Clause
from recap_assets.mixes.images import Candidates, Images, columns_of
from recap_assets.mixes.one_image import OneImage
from recap_assets.mixes.selection import PAIR_SCHEMA, Decision, Ruling, decide, rulings_of
from recap_assets.mixes.words import distinguished, joined, percent
from recap_assets.specs.mixes import Mix, RandomSubset, sources_read

_TOLD = {True: "holds", False: "does not hold", None: "is unknown, as a score is missing"}


@dataclass(frozen=True)
class EvaluatedClause:
    """A condition, evaluated on one image.

    Attributes:
        path: Where it is in the mix.
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
        copies: How the draw of copies came out; None where there is none, or no rule takes it.
        pairs: The image's rows of what `select` returns.
    """

    words: str
    within: str | None
    rules: tuple[EvaluatedRule, ...]
    pairs: pl.DataFrame
    copies: str | None = None


def explain(
    mix: Mix,
    thresholds: pl.DataFrame,
    candidates: Candidates,
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
        why_not: By set, what keeps the image out of it, as sentences, where that is known.

    Raises:
        KeyError: If a cut-off or a set that the mix names is not given.
    """
    is_image = pl.col("uid") == pl.lit(uid)
    known = columns_of(candidates, [mix])
    of_image = {name: frame.filter(is_image) for name, frame in known.items()}
    images = Images.for_mixes(of_image, [mix])
    if images.frame.is_empty():
        words = f"no source that the mix reads ({', '.join(sources_read(mix))}) has this image"
        return Explanation(words, None, (), pl.DataFrame(schema=PAIR_SCHEMA))
    decision = decide(mix, thresholds, images, sets)
    uids = images.frame["uid"]
    rulings = rulings_of(mix, thresholds, uids, sets)
    image = _seen(decision, thresholds, rulings, why_not or {})
    within = None if mix.within is None else _Within.of(mix.within, uids)
    rules = tuple(_rule(mix, i, ruling, image, within) for i, ruling in enumerate(rulings))
    pairs = decision.emit()
    is_taken = any(rule.outcome == "takes" for rule in rules)
    drawn = copies.words(mix.copies, image) if mix.copies is not None and is_taken else None
    words = _summary(rules, pairs, within, drawn)
    return Explanation(words, None if within is None else within.words, rules, pairs, drawn)


def _seen(
    decision: Decision,
    thresholds: pl.DataFrame,
    rulings: Sequence[Ruling],
    why_not: Mapping[str, Sequence[str]],
) -> OneImage:
    """The image's values, and what each expression of the selection gives on it."""
    asked = {name: expr for i, ruling in enumerate(rulings) for name, expr in _asked(i, ruling)}
    frame = decision.images.with_columns(expr.alias(name) for name, expr in asked.items())
    cutoffs = {row["path"]: row for row in thresholds.iter_rows(named=True)}
    return OneImage(frame.row(0, named=True), frame["uid"], cutoffs, why_not)


def _asked(number: int, ruling: Ruling) -> Iterator[tuple[str, pl.Expr]]:
    yield f"usable.{number}", ruling.usable
    yield f"alone.{number}", ruling.accepts.fill_null(value=False)
    for source in ruling.use.alternatives:
        name = ruling.use.ranked(source)
        yield f"pairs.{number}.{source}", n_used(ruling.rule.candidates, name)
    for clause in ruling.where.all_within() if ruling.where is not None else ():
        yield f"holds.{clause.at.path}", clause.holds


@dataclass(frozen=True)
class _Within:
    contains: bool
    words: str

    @classmethod
    def of(cls, subset: RandomSubset, uids: pl.Series) -> "_Within":
        draw = float(subset_draw(subset, uids)[0])
        drawn, fraction = distinguished(draw, subset.fraction)
        contains = draw < subset.fraction
        draw = f"draw {drawn} {'<' if contains else '>='} {fraction}"
        part = f"the random {percent(subset.fraction)} of the pool (seed {subset.seed})"
        return cls(contains, f"{'inside' if contains else 'outside'} {part}: {draw}")


def _rule(
    mix: Mix, number: int, ruling: Ruling, image: OneImage, within: _Within | None
) -> EvaluatedRule:
    where = None if ruling.where is None else _evaluated(ruling.where, image)
    use = _use_words(ruling, number, image)
    alone: bool = image.values[f"alone.{number}"]
    this = f"rules.{number}"
    earlier = [i for i in range(number) if image.values[f"accepts.{i}"]]
    if within is not None and not within.contains:
        words = f"{this} is not asked: the image is outside the mix's part of the pool"
        return EvaluatedRule(number, "not_asked", alone, words, use, where)
    if image.values[f"accepts.{number}"]:
        return EvaluatedRule(number, "takes", alone, f"{this} takes it: {use}", use, where)
    if mix.combine == "first" and earlier:
        otherwise = "would take it too" if alone else "would pass it on"
        words = f"{this} is not asked: rules.{earlier[0]} took the image (it {otherwise})"
        return EvaluatedRule(number, "not_asked", alone, words, use, where)
    reason = _reason(image.values[f"usable.{number}"], use, where)
    words = f"{reason}, so {this} passes it on"
    return EvaluatedRule(number, "passes_on", alone, words, use, where)


def _reason(usable: bool, use: str, where: EvaluatedClause | None) -> str:  # noqa: FBT001 - private
    if not usable or where is None:
        return use
    return f"its condition {_TOLD[where.holds]}" if where.parts else where.words


def _evaluated(clause: Clause, image: OneImage) -> EvaluatedClause:
    holds: bool | None = image.values[f"holds.{clause.at.path}"]
    words = clause.condition.words(clause.at, holds, image)
    parts = tuple(_evaluated(part, image) for part in clause.parts)
    return EvaluatedClause(clause.at.path, holds, words, parts)


def _use_words(ruling: Ruling, number: int, image: OneImage) -> str:
    use = ruling.use
    if not image.values[f"usable.{number}"]:
        return use.why_unusable(image)
    chosen: int | None = image.values.get(f"choice.{number}")
    words = use.words(image, chosen, ruling.rule.weight)
    further = _further(ruling, number, chosen, image)
    absent = [source for source in use.sources if not image.has_text(use.ranked(source))]
    return "; ".join([words, *further, *(f"{source} has no text" for source in absent)])


def _further(ruling: Ruling, number: int, chosen: int | None, image: OneImage) -> Iterator[str]:
    """What is said of the candidates after the best one."""
    if ruling.rule.candidates == 1:
        return
    for i, source in enumerate(ruling.use.alternatives):
        if not image.has_text(ruling.use.ranked(source)) or chosen not in (None, i):
            continue
        n: int = image.values[f"pairs.{number}.{source}"]
        each = ruling.rule.weight * ruling.use.share(source) / n
        if n > 1:
            yield f"{source} gives its {n} best candidates, weight {each:g} each"


def _summary(
    rules: Sequence[EvaluatedRule], pairs: pl.DataFrame, within: _Within | None, drawn: str | None
) -> str:
    if within is not None and not within.contains:
        return "not in the mix: it takes only a random part of the pool, without this image"
    if pairs.is_empty() and drawn is not None:
        return f"not in the mix: a rule takes it, and it is {drawn}"
    if pairs.is_empty():
        return f"not in the mix: {'all' if len(rules) > 1 else 'its'} {_count(rules)} it on"
    taken = pairs.group_by("rule", maintain_order=True).agg("source")
    sentences = [f"rules.{rule} takes it with {joined(sources)}" for rule, sources in taken.rows()]
    return f"in the mix: {'; '.join(sentences)}" + ("" if drawn is None else f"; {drawn}")


def _count(rules: Sequence[EvaluatedRule]) -> str:
    return f"{len(rules)} rules pass" if len(rules) > 1 else "one rule passes"
