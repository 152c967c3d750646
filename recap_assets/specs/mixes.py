"""The selection language: which caption of which image is trained on.

A mix is a list of rules. Each rule uses one caption source where a condition holds; an image takes
the first rule that accepts it. The strategies of the paper are a few lines each::

    raw_top30:                       # Raw top 30 %
      - {use: raw, where: {top: 0.3}}
    raw_top30_and_blip2_filtered:    # Raw top 30 % + BLIP2 on the rest, by the same cut-off
      - {use: raw,   where: {top: 0.3}}
      - {use: blip2, where: {at_least: {top: 0.3, of: raw}}}
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, cast

from pydantic import ConfigDict, Field, model_validator

from recap_assets.specs.base import Name, Spec
from recap_assets.specs.conditions import AnyCondition, Place
from recap_assets.specs.references import Reference
from recap_assets.specs.sources import MOST_CANDIDATES
from recap_assets.specs.uses import AnyUse


class Rule(Spec):
    """Use this caption where the condition holds (everywhere if there is none)."""

    # Built with the experiment, as all that has kinds inside.
    model_config = ConfigDict(defer_build=True)

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

    def place(self, number: int) -> Place:
        """Where its condition stands, in a mix of which it is this rule, from 0."""
        sources = self.use.sources
        return Place(f"rules.{number}.where", sources[0] if len(sources) == 1 else None)


class RandomSubset(Spec):
    """A random part of the pool, by (seed, uid); smaller parts are nested in larger ones."""

    fraction: float = Field(gt=0, le=1, description="Share of the pool.")
    seed: int = 0


class Mix(Spec):
    """A curated training set: an image takes the first rule that accepts it, or all."""

    model_config = ConfigDict(defer_build=True)

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
        """The weights that its images may have, as it is written; candidates share theirs."""
        rules = [(rule.weight, rule.use) for rule in self.rules]
        return frozenset(weight * use.share(one) for weight, use in rules for one in use.sources)

    @property
    def gives_several(self) -> bool:
        """Whether an image may give several pairs, several candidates of one source aside."""
        return self.combine == "all" or any(rule.use.gives_several for rule in self.rules)

    def refers(self) -> Iterator[Reference]:
        """The scorer, and what uses and conditions name."""
        if self.scorer is not None:
            yield Reference("scorer", self.scorer, "scorers")
        yield from super().refers()

    def problems(self) -> Iterator[str]:
        """Conditions that do not say which source they mean, by their place."""
        for number, rule in enumerate(self.rules):
            if rule.where is not None:
                try:
                    rule.where.check(rule.place(number))
                except ValueError as error:
                    yield str(error)


def sources_read(mix: Mix) -> tuple[str, ...]:
    """Every source whose captions or scores decide this mix, in order of appearance."""
    return _named(mix, "source_names")


def sets_read(mix: Mix) -> tuple[str, ...]:
    """Every set whose members decide this mix, in order of appearance."""
    return _named(mix, "sets")


def _named(mix: Mix, section: str) -> tuple[str, ...]:
    names = (one.name for rule in mix.rules for one in rule.refers() if one.section == section)
    return tuple(dict.fromkeys(names))
