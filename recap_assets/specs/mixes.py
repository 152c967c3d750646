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

from pydantic import Discriminator, Field, Tag, model_validator

from recap_assets.specs.base import Name, Spec
from recap_assets.specs.sources import MOST_CANDIDATES


class TopFraction(Spec):
    """Own-quantile: the best `top` of the pool by this source's score (DataComp's tie rule)."""

    top: float = Field(
        gt=0, le=1, description="Share of the scored pool, in (0, 1]; 1.0 keeps all."
    )
    of: Name | None = Field(
        default=None, description="The source whose score ranks; by default the used one."
    )


class TargetSize(Spec):
    """The best `best` samples by this source's score, with all ties of the last one."""

    best: int = Field(gt=0, le=10**15, description="Samples to keep.")
    of: Name | None = Field(
        default=None, description="The source whose score ranks; by default the used one."
    )


Cutoff = Annotated[float, Field(ge=-1, le=1)]


class AtLeast(Spec):
    """Score at or above a cut-off: a number, or the cut-off of another source (transferred)."""

    at_least: Cutoff | TopFraction | TargetSize = Field(
        description="A cosine in [-1, 1], or {top: 0.3, of: raw} for that source's realised "
        "cut-off."
    )
    of: Name | None = Field(
        default=None, description="The source that is tested; by default the used one."
    )


class InSet(Spec):
    """Membership in a named set of uids (DataComp's image-based filter is one)."""

    in_set: Name = Field(description="A name under `sets`.")


class Every(Spec):
    """Intersection: all of the conditions."""

    all: tuple["Condition", ...] = Field(min_length=1)


class Either(Spec):
    """Union: at least one of the conditions."""

    any: tuple["Condition", ...] = Field(min_length=1)


class Without(Spec):
    """Difference: where the condition does not hold."""

    without: "Condition"


def _condition_tag(value: Any) -> str | None:  # noqa: ANN401 - pydantic hands over whatever was written
    keys = ("top", "best", "at_least", "in_set", "all", "any", "without")
    for key in keys:
        if key in value if isinstance(value, dict) else hasattr(value, key):
            return key
    return None


Condition = Annotated[
    Annotated[TopFraction, Tag("top")]
    | Annotated[TargetSize, Tag("best")]
    | Annotated[AtLeast, Tag("at_least")]
    | Annotated[InSet, Tag("in_set")]
    | Annotated[Every, Tag("all")]
    | Annotated[Either, Tag("any")]
    | Annotated[Without, Tag("without")],
    Discriminator(
        _condition_tag,
        custom_error_type="condition",
        custom_error_message="a condition is one of top, best, at_least, in_set, all, any, without",
    ),
]


class BestOf(Spec):
    """Per image, the caption with the highest score; ties go to the source named first."""

    best_of: tuple[Name, ...] = Field(min_length=2)


class RandomOf(Spec):
    """Per image, one source drawn by (seed, uid) with the given weights."""

    random_of: dict[Name, Annotated[float, Field(gt=0)]] = Field(min_length=2)
    seed: int = 0


class Join(Spec):
    """Per image, the captions of several sources joined into one text; its score is their mean."""

    join: tuple[Name, ...] = Field(min_length=2)
    separator: str = " "


class Each(Spec):
    """Per image, one pair for every source; training draws one by weight at each sight."""

    each: dict[Name, Annotated[float, Field(gt=0)]] = Field(min_length=2)


Use = Name | BestOf | RandomOf | Join | Each


class Rule(Spec):
    """Use this caption where the condition holds (everywhere if there is none)."""

    use: Use
    where: Condition | None = None
    candidates: Annotated[int, Field(gt=0, le=MOST_CANDIDATES)] | Literal["all"] = Field(
        default=1,
        description="How many of the best candidates of the used source give a pair each; the "
        "weight is split evenly among them. The condition looks at the best one.",
    )
    weight: float = Field(
        default=1.0, gt=0, le=1e9, description="How often training draws the pair, relatively."
    )

    @model_validator(mode="after")
    def _joined_texts_have_no_candidates(self) -> "Rule":
        if isinstance(self.use, Join) and self.candidates != 1:
            msg = "candidates: `join` makes one text of the best candidate of each source"
            raise ValueError(msg)
        return self


class RandomSubset(Spec):
    """A random part of the pool, by (seed, uid); smaller parts are nested in larger ones."""

    fraction: float = Field(gt=0, le=1, description="Share of the pool.")
    seed: int = 0


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
    description: str = ""
    leave_one_source_out: bool = Field(
        default=False,
        description="Adds a mix `<this>_without_<source>` for each caption source of this one.",
    )

    @model_validator(mode="before")
    @classmethod
    def _bare_list_of_rules(cls, value: Any) -> Any:  # noqa: ANN401 - pydantic hands over raw input
        return {"rules": cast("object", value)} if isinstance(value, list | tuple) else value


def sources_used(use: Use) -> tuple[str, ...]:
    """The caption sources that a rule's `use` reads."""
    match use:
        case str():
            return (use,)
        case BestOf():
            return use.best_of
        case RandomOf():
            return tuple(use.random_of)
        case Join():
            return use.join
        case Each():
            return tuple(use.each)


def conditions_within(condition: Condition | None) -> Iterator[Condition]:
    """The condition and all conditions inside it, outermost first, cut-offs' own included."""
    if condition is None:
        return
    yield condition
    match condition:
        case Every():
            inner = condition.all
        case Either():
            inner = condition.any
        case Without():
            inner = (condition.without,)
        case AtLeast(at_least=TopFraction() | TargetSize() as cutoff):
            inner = (cutoff,)
        case _:
            inner = ()
    for part in inner:
        yield from conditions_within(part)


def sources_read(mix: Mix) -> tuple[str, ...]:
    """Every source whose captions or scores decide this mix, in order of appearance."""
    names: dict[str, None] = {}
    for rule in mix.rules:
        names |= dict.fromkeys(sources_used(rule.use))
        for part in conditions_within(rule.where):
            if (of := getattr(part, "of", None)) is not None:
                names[of] = None
    return tuple(names)
