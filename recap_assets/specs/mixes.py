"""The selection language: which caption of which image is trained on.

A mix is a list of rules. Each rule uses one caption source where a condition holds; an image takes
the first rule that accepts it. The strategies of the paper are a few lines each::

    raw_top30:                       # Raw top 30 %
      - {use: raw, where: {top: 0.3}}
    raw_top30_and_blip2_filtered:    # Raw top 30 % + BLIP2 on the rest, by the same cut-off
      - {use: raw,   where: {top: 0.3}}
      - {use: blip2, where: {at_least: {top: 0.3, of: raw}}}
"""

from collections.abc import Collection, Iterator
from typing import Annotated, Any, Literal, cast

from pydantic import Field, model_validator

from recap_assets.specs.base import Name, Spec
from recap_assets.specs.columns import (
    USED,
    ColumnName,
    Reads,
    column_references,
    of_source,
    scorer_and_name,
)
from recap_assets.specs.conditions import AnyCondition, Place
from recap_assets.specs.references import Reference, sources_named
from recap_assets.specs.sources import MOST_CANDIDATES
from recap_assets.specs.uses import AnyUse


class Rule(Spec):
    """Use this caption where the condition holds (everywhere if there is none)."""

    use: AnyUse
    where: AnyCondition | None = None
    candidates: Annotated[int, Field(gt=0, le=MOST_CANDIDATES)] | Literal["all"] = Field(
        default=1,
        description="How many of the best candidates of the used source give a pair each; the "
        "weight is split evenly among them. The condition looks at the best one.",
    )
    weight: float = Field(
        default=1.0, gt=0, le=1e9, description="How often training draws the pair, relatively."
    )

    @model_validator(mode="after")
    def _candidates_fit_the_use(self) -> "Rule":
        if self.use.why_one_candidate and self.candidates != 1:
            msg = f"candidates: {self.use.why_one_candidate}"
            raise ValueError(msg)
        return self

    @property
    def weights(self) -> frozenset[float]:
        """The weights that its pairs may have, as it is written: candidates share theirs."""
        most = MOST_CANDIDATES if self.candidates == "all" else self.candidates
        shares = {self.use.share(source) for source in self.use.sources}
        return frozenset(self.weight * share / n for share in shares for n in range(1, most + 1))

    def columns(self, number: int) -> Iterator[str]:
        """The score columns that decide it, as rule `number` of a mix, from 0.

        Raises:
            ValueError: Its condition does not say which of several used sources it means.
        """
        yield from sources_named(self.use)
        yield from map(self.use.ranked, self.use.sources)
        if self.where is not None:
            for column in self.where.reads(self.place(number)):
                yield from self.behind(column)

    def behind(self, column: str) -> Iterator[str]:
        """The columns that a column stands for: `used` for those of its sources."""
        scorer, name = scorer_and_name(column)
        if name == USED:
            yield from (of_source(scorer, source) for source in self.use.sources)
        else:
            yield column

    def place(self, number: int) -> Place:
        """Where its condition stands, in a mix of which it is this rule, from 0."""
        sources = self.use.sources
        return Place(f"rules.{number}.where", sources[0] if len(sources) == 1 else None)


class RandomSubset(Spec):
    """A random part of the pool, by (seed, uid); smaller parts are nested in larger ones."""

    fraction: float = Field(gt=0, le=1, description="Share of the pool.")
    seed: int = 0


class Copies(Spec):
    """A draw with repeats: how many copies of each pair there are, by (seed, uid).

    The expected number of copies of a pair is

        min(cap, log(1 + (exp(penalty) - 1) * ratio) / penalty)

    with `ratio` the pair's weight over the weight of which one copy is expected; without a penalty
    that is min(cap, ratio). The weight is exp(score / temperature), or the score itself where
    `weights` is linear. The one free number, the score of which one copy is expected, is found over
    the pool so that the expected copies add up to `size`; it is stored in `thresholds`. The number
    that is drawn is the expected one, rounded up or down by chance, so a pair's copies depend on
    nothing but its uid, its score and that number. A pair of no copies is not in the mix; nor is
    one without a score, or with a weight of 0.

    M-FLYT (Shechter and Carmon, arXiv 2503.08805) draws batches from the whole pool in two ways.
    Hard cap sampling: with replacement, until a pair has been drawn `cap` times. Soft cap sampling:
    without replacement within a batch, where each draw of a pair takes `penalty` (0.15 there) off
    its score, at temperature 1. Here a pair's copies are what such a draw gives without its chance:
    with k a continuous quantity that grows at the rate weight * exp(-penalty * k), it is the
    formula above. So the total is `size` up to chance (a standard deviation of at most half the
    root of the number of pairs), a pair's copies differ from their expectation by less than one,
    both caps may be combined, no pair depends on another one's draw, and no pass holds the pool.
    """

    of: ColumnName = Field(
        default=USED, description="The score that decides; by default that of the text taken."
    )
    size: int = Field(gt=0, le=10**12, description="Copies of all pairs together.")
    cap: int = Field(gt=0, le=10_000, description="Most copies of one uid.")
    weights: Literal["softmax", "linear"] = Field(
        default="softmax",
        description="softmax: by exp(score / temperature). linear: by the score; none below 0.",
    )
    temperature: float = Field(
        default=1.0, gt=0, le=1e9, description="Of the softmax: the smaller, the more for the best."
    )
    penalty: float = Field(
        default=0.0,
        ge=0,
        le=100,
        description="What each copy takes off the logarithm of a pair's weight: the repetition "
        "penalty of M-FLYT, 0.15 there.",
    )
    seed: int = 0

    @model_validator(mode="after")
    def _temperature_is_of_softmax(self) -> "Copies":
        if self.weights == "linear" and self.temperature != 1:
            msg = "temperature: linear weights have none"
            raise ValueError(msg)
        return self

    def refers(self) -> Iterator[Reference]:
        """What the column names."""
        yield from column_references("of", self.of)


class Mix(Spec):
    """A curated training set: an image takes the first rule that accepts it, or all."""

    rules: tuple[Rule, ...] = Field(min_length=1)
    scorer: Name | None = Field(
        default=None, description="Needed where the experiment has several scorers."
    )
    combine: Literal["first", "all"] = Field(
        default="first", description="all: an image gives one pair for every rule that accepts it."
    )
    within: RandomSubset | None = Field(
        default=None,
        description="Only this part of the pool exists for the mix, for its cut-offs as well.",
    )
    copies: Copies | None = Field(
        default=None,
        exclude_if=lambda copies: copies is None,
        description="How many copies of each pair there are; by default one.",
    )
    description: str = ""
    leave_one_source_out: bool = Field(
        default=False,
        description="Adds a mix `<this>_without_<source>` for each caption source of this one.",
    )

    @model_validator(mode="before")
    @classmethod
    def _bare_list_of_rules(cls, value: Any) -> Any:  # noqa: ANN401 - pydantic hands over raw input
        return {"rules": cast("object", value)} if isinstance(value, list | tuple) else value

    @property
    def reads_texts(self) -> bool:
        """Whether it takes the captions themselves to say which are taken."""
        return any(
            rule.use.reads_texts or (rule.where is not None and rule.where.needs_texts)
            for rule in self.rules
        )

    @property
    def weights(self) -> frozenset[float]:
        """The weights that its pairs may have, as it is written: candidates share theirs."""
        return frozenset(weight for rule in self.rules for weight in rule.weights)

    @property
    def gives_several(self) -> bool:
        """Whether an image may give several pairs, several candidates of one source aside."""
        return self.combine == "all" or any(rule.use.gives_several for rule in self.rules)

    @model_validator(mode="after")
    def _copies_are_of_one_pair(self) -> "Mix":
        several = self.gives_several or any(rule.candidates != 1 for rule in self.rules)
        if self.copies is not None and several:
            msg = (
                "copies: a uid's copies are those of its one pair, and an image may give several "
                "here (by `combine: all`, `each` or `candidates`)"
            )
            raise ValueError(msg)
        return self

    def refers(self) -> Iterator[Reference]:
        """The scorer, and what uses and conditions name."""
        if self.scorer is not None:
            yield Reference("scorer", self.scorer, "scorers")
        yield from super().refers()

    def numbers(self) -> Iterator[tuple[str, str, float]]:
        """The fixed cut-offs that are written: path, score column, number."""
        for number, rule in enumerate(self.rules):
            if rule.where is not None:
                try:
                    for one in rule.where.needs(rule.place(number)):
                        if one.kind == "absolute":
                            yield one.path, one.source, one.requested
                except ValueError:
                    return  # `problems` says what is wrong

    def problems(self) -> Iterator[str]:
        """Conditions that do not say which score they mean, by their place."""
        for number, rule in enumerate(self.rules):
            if rule.where is not None:
                try:
                    rule.where.check(rule.place(number))
                except ValueError as error:
                    yield str(error)


def columns_read(mix: Mix) -> tuple[str, ...]:
    """Every score column that decides this mix, in order of appearance.

    A source's name stands for its captions too. `used` is not among them: the columns of the
    sources that may be taken are.

    Raises:
        ValueError: A condition does not say which of several used sources it means.
    """
    found = [column for i, rule in enumerate(mix.rules) for column in rule.columns(i)]
    if mix.copies is not None:
        found += [column for rule in mix.rules for column in rule.behind(mix.copies.of)]
    return tuple(dict.fromkeys(found))


def sources_read(mix: Mix) -> tuple[str, ...]:
    """Every source and image scorer that decides this mix, in order of appearance."""
    return tuple(column for column in columns_read(mix) if scorer_and_name(column)[0] is None)


def reads_of(mix: Mix, sources: Collection[str]) -> Reads:
    """What decides this mix, of an experiment with these sources, `raw` among them."""
    return Reads.of(columns_read(mix), sources)


def sets_read(mix: Mix) -> tuple[str, ...]:
    """Every set whose members decide this mix, in order of appearance."""
    named = (one for rule in mix.rules for one in rule.refers() if one.section == "sets")
    return tuple(dict.fromkeys(one.name for one in named))
