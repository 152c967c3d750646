"""Searches: the settings of one mix that train the best CLIP, found with small trainings.

`over: {mixes.best.rules.0.where.top: {low: 0.05, high: 0.8}}` proposes values of one setting of the
mix `best`. All settings of a search are of one mix.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, prod
from typing import Literal, Self

from pydantic import Field, model_validator

from recap_assets.specs.base import Name, Spec
from recap_assets.specs.recipe import AVERAGE
from recap_assets.specs.references import listed
from recap_assets.specs.setting_keys import SettingKey, SettingKeyError, Value, read_key
from recap_assets.specs.training import Seeds

MOST_SETTINGS = 16
MOST_CHOICES = 32
MOST_WORDINGS = 64
"""Combinations of words: each may read other tables, and all of them are built first."""
DIGITS = 4
"""Significant ones of a proposed number: what is shown is what was trained on."""

Settings = Mapping[str, Value]
"""Values by the key of their setting."""


class Values(Spec):
    """The values that a setting may take: all between two numbers, or some."""

    low: float | None = Field(default=None, description="The least.")
    high: float | None = Field(default=None, description="The greatest.")
    log: bool = Field(
        default=False, description="Propose by the logarithm: as many below 1 as above, of 0.1-10."
    )
    whole: bool = Field(default=False, description="Whole numbers only.")
    choices: tuple[Value, ...] = Field(
        default=(), max_length=MOST_CHOICES, description="The values, in place of two ends."
    )

    @model_validator(mode="after")
    def _ends_or_choices(self) -> Self:
        if self.choices:
            given = self.model_fields_set - {"choices"}
            if given and any(getattr(self, name) not in (None, False) for name in given):
                msg = "write `choices`, or `low` and `high`, and not both"
                raise ValueError(msg)
            if len(set(map(repr, self.choices))) < len(self.choices):
                msg = "choices: a value is there twice"
                raise ValueError(msg)
        else:
            self._check_ends()
        return self

    def _check_ends(self) -> None:
        if self.low is None or self.high is None or not self.low < self.high:
            msg = "write `low` and a greater `high`, or `choices`"
            raise ValueError(msg)
        if self.log and self.low <= 0:
            msg = "low: only a number above 0 has a logarithm"
            raise ValueError(msg)
        if self.whole and not (self.low.is_integer() and self.high.is_integer()):
            msg = "low, high: with `whole`, write whole numbers"
            raise ValueError(msg)

    @property
    def ends(self) -> tuple[Value, Value]:
        """The first and the last value."""
        if self.choices:
            return self.choices[0], self.choices[-1]
        assert self.low is not None and self.high is not None  # noqa: S101, PT018 - checked
        return self.rounded(self.low), self.rounded(self.high)

    @property
    def wordings(self) -> tuple[Value, ...]:
        """The choices where one of them is a word, and may so name a part; else a single value."""
        named = any(isinstance(one, str) for one in self.choices)
        return self.choices if named else self.ends[:1]

    def rounded(self, number: float) -> Value:
        """A number of the range as it is written: whole, or of a few digits."""
        return round(number) if self.whole else float(f"{number:.{DIGITS}g}")


@dataclass(frozen=True)
class Round:
    """One round of trainings.

    Attributes:
        number: From 0.
        samples_seen: Of each training.
        n_found: Proposed settings in it; the hand-made mixes are in every round.
        seeds: Trainings of each.
    """

    number: int
    samples_seen: int
    n_found: int
    seeds: tuple[int, ...]


class Search(Spec):
    """A search for the settings of a mix that train the best CLIP."""

    over: dict[str, Values] = Field(
        min_length=1,
        max_length=MOST_SETTINGS,
        description="For each key of a setting the values that it may take; all of one mix.",
    )
    among: tuple[Name, ...] = Field(
        default=(),
        max_length=100,
        description="Hand-made mixes, in every round; by default the mix as it is written.",
    )
    on: str = Field(default=AVERAGE, description="What is maximised: average, or a task.")
    trials: int = Field(default=16, gt=0, le=10_000, description="Settings that are proposed.")
    samples_seen: int = Field(
        gt=0,
        le=10**12,
        description="Pairs seen by each training of the first round; the last round has the "
        "training's own number.",
    )
    reduction: int = Field(
        default=3,
        ge=2,
        le=1_000,
        description="Of the proposals of a round one in this number continues, with this number "
        "of times the samples.",
    )
    seeds: Seeds | None = Field(
        default=None,
        description="Trainings of the last round for each that is left; by default the training's "
        "seeds. The rounds before have the first.",
    )
    sampler: Literal["tpe", "random"] = Field(
        default="tpe",
        description="What proposes: optuna's tree-structured Parzen estimator, or chance.",
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="Of the proposals.")

    @model_validator(mode="after")
    def _is_of_one_mix(self) -> Self:
        for key in self.over:
            try:
                read_key(key, ("mixes",))
            except SettingKeyError as error:
                msg = f"over.{error}"
                raise ValueError(msg) from error
        if len(mixes := {one.name for one in self.keys}) > 1:
            msg = f"over: the settings are of several mixes: {', '.join(sorted(mixes))}"
            raise ValueError(msg)
        if len({one.keys for one in self.keys}) < len(self.over):
            msg = "over: a setting is there twice"
            raise ValueError(msg)
        if (n := prod(len(one.wordings) for one in self.over.values())) > MOST_WORDINGS:
            msg = f"over: the words combine in {n:,} ways, at most {MOST_WORDINGS} are allowed"
            raise ValueError(msg)
        return self

    @property
    def keys(self) -> tuple[SettingKey, ...]:
        """The settings, in their order."""
        return tuple(read_key(key, ("mixes",)) for key in self.over)

    @property
    def mix(self) -> str:
        """The mix that they are of."""
        return self.keys[0].name

    @property
    def hand_made(self) -> tuple[str, ...]:
        """The mixes that the proposals are compared with."""
        return tuple(dict.fromkeys(self.among)) or (self.mix,)

    def with_defaults(self, seeds: Sequence[int]) -> "Search":
        """The same with `among` and `seeds` spelled out."""
        chosen = tuple(dict.fromkeys(self.seeds or seeds))
        return self.model_copy(update={"among": self.hand_made, "seeds": chosen})

    @property
    def ends(self) -> tuple[Settings, Settings]:
        """The settings with every value at its first, and at its last."""
        first, last = zip(*(one.ends for one in self.over.values()), strict=True)
        return dict(zip(self.over, first, strict=True)), dict(zip(self.over, last, strict=True))

    @property
    def wordings(self) -> Iterator[Settings]:
        """Settings with every combination of words, and of other values the first."""
        for values in product(*(one.wordings for one in self.over.values())):
            yield dict(zip(self.over, values, strict=True))

    def rounds(self, samples_seen: int, seeds: tuple[int, ...]) -> list[Round]:
        """What is trained: successive halving, up to a last round at full size.

        A share of 1 / `reduction` of the proposals continues, rounded up, with `reduction` times
        the samples. Where one is left, the last round follows at once.

        Args:
            samples_seen: Of the last round.
            seeds: Of the last round; the first is that of the others.
        """
        found: list[Round] = []
        n_found, samples = self.trials, self.samples_seen
        while samples < samples_seen and (n_found > 1 or not found):
            found.append(Round(len(found), samples, n_found, seeds[:1]))
            n_found, samples = ceil(n_found / self.reduction), samples * self.reduction
        return [*found, Round(len(found), samples_seen, n_found, seeds)]

    def problems(self, mixes: Collection[str], tasks: Collection[str], n: int) -> Iterator[str]:
        """Names that the experiment does not have, and proxies that are none.

        Args:
            mixes: Its mixes.
            tasks: Its evaluation tasks.
            n: Samples seen by its trainings.
        """
        named = [("over", self.mix), *(("among", name) for name in self.among)]
        for field, name in named:
            if name not in mixes:
                yield f"{field}: there is no mix {name!r}; known are {listed(mixes)}"
        if self.on != AVERAGE and self.on not in tasks:
            yield f"on: there is no task {self.on!r}; known are {AVERAGE}, {listed(tasks)}"
        if self.samples_seen > n:
            yield (
                f"samples_seen: {self.samples_seen:,} are more than those of a whole training, "
                f"{n:,} by `training.samples_seen`"
            )
