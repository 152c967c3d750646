"""The public contracts of conditions and uses, kept by every kind of ours and of somebody else."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import polars as pl
import pytest
from pydantic import TypeAdapter

from recap_assets.mixes.conditions.kind import Condition, Known
from recap_assets.mixes.one_image import OneImage
from recap_assets.mixes.uses.kind import Use
from recap_assets.specs.conditions import AnyCondition, Cutoff, Place
from recap_assets.specs.kinds import kinds_of
from recap_assets.specs.references import Reference
from recap_assets.specs.uses import AnyUse, UseSpec
from recap_assets.testing.conditions import ConditionContract
from recap_assets.testing.uses import UseContract
from recap_assets_tests.third_party.package.recap_shades.mixes import ShortestOf, Wordy

CONDITIONS: list[dict[str, Any]] = [
    {"top": 0.3},
    {"best": 7, "of": "a"},
    {"at_least": 0.4},
    {"at_least": {"top": 0.3, "of": "a"}},
    {"at_least": {"best": 5}, "of": "a"},
    {"in_set": "some"},
    {"all": [{"top": 0.5}, {"any": [{"best": 20, "of": "a"}, {"in_set": "some"}]}]},
    {"any": [{"at_least": 0.5}, {"without": {"in_set": "some"}}]},
    {"without": {"all": [{"at_least": 0.2}, {"at_least": 0.6, "of": "a"}]}},
    {"top": 0.3, "of": "itm.a"},
    {"at_least": {"top": 0.3, "of": "a"}, "of": "itm.raw"},
    {"any": [{"best": 9, "of": "itm.used"}, {"at_least": 0.7, "of": "used"}]},
]
USES: list[Any] = [
    "raw",
    {"best_of": ["raw", "a", "b"]},
    {"best_of": ["raw", "a", "b"], "scorer": "itm"},
    {"random_of": {"raw": 1, "a": 2, "b": 0.5}, "seed": 4},
    {"join": ["raw", "a"], "separator": ". "},
    {"each": {"raw": 1, "a": 2, "b": 1}},
]


def condition(written: object) -> Condition:
    return cast("Condition", TypeAdapter(AnyCondition).validate_python(written))


def use(written: object) -> Use:
    return cast("Use", TypeAdapter(AnyUse).validate_python(written))


class TestConditionsOfOurs(ConditionContract):
    @pytest.fixture(autouse=True, params=CONDITIONS, ids=str)
    def given(self, request: pytest.FixtureRequest) -> None:
        self.condition = condition(request.param)


class TestWordy(ConditionContract):
    condition = Wordy(words_at_least=4)


class TestUsesOfOurs(UseContract):
    @pytest.fixture(autouse=True, params=USES, ids=str)
    def given(self, request: pytest.FixtureRequest) -> None:
        self.use = use(request.param)


class TestShortest(UseContract):
    use = ShortestOf(shortest_of=("raw", "a"))


def test_every_kind_of_ours_is_held_to_its_contract() -> None:
    written = [*CONDITIONS, *({"source": one} if isinstance(one, str) else one for one in USES)]
    words = {next(iter(one)) for one in written}
    ours = [k for family in ("conditions", "uses") for k in kinds_of(family).values() if k.is_ours]
    assert {kind.name for kind in ours} <= words


class ByRow(Wordy):
    """Looks at where the image stands."""

    def holds(self, at: Place, known: Known, parts: Sequence[pl.Expr]) -> pl.Expr:  # noqa: ARG002
        return pl.int_range(pl.len()) < self.words_at_least


class Peeking(Wordy):
    """Reads a source that it does not name."""

    def holds(self, at: Place, known: Known, parts: Sequence[pl.Expr]) -> pl.Expr:  # noqa: ARG002
        return pl.col("score.a") > 0


class Hiding(Wordy):
    """Does not say that it looks at the captions."""

    reads_texts = False


class Sharing(Wordy):
    """Its cut-off has the same name wherever it stands."""

    def needs(self, at: Place) -> Iterator[Cutoff]:
        yield Cutoff("rules.0.where.mine", "absolute", 0.2, at.source(self.of))


class Silent(Wordy):
    """Has nothing to tell."""

    def words(self, at: Place, holds: bool | None, image: OneImage) -> str:  # noqa: ARG002
        return ""


class Vague(Wordy):
    """Looks at the used source, and does not say so."""

    @property
    def looks_at(self) -> tuple[str | None, ...]:
        return ()


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (Vague, "test_it_says_which_source_it_means"),
        (ByRow, "test_an_image_is_decided_alone"),
        (Peeking, "test_an_image_is_decided_alone"),
        (Hiding, "test_texts_change_nothing_unless_it_says_so"),
        (Sharing, "test_cutoffs_are_of_the_place_where_it_stands"),
        (Silent, "test_what_it_decides_is_selected_and_told"),
    ],
)
def test_a_condition_that_keeps_no_contract_fails_it(kind: type[Wordy], test: str) -> None:
    contract = ConditionContract()
    contract.condition = kind(words_at_least=4)
    with pytest.raises((AssertionError, ValueError, pl.exceptions.ColumnNotFoundError)):
        getattr(contract, test)()


class Turning(ShortestOf):
    """Takes the sources in turn."""

    def choice(self, uids: pl.Series) -> pl.Expr:  # noqa: ARG002
        return pl.int_range(pl.len()) % 2


class Losing(ShortestOf):
    """Takes the second source's caption alone, and says that either will do."""

    def choice(self, uids: pl.Series) -> pl.Expr:  # noqa: ARG002
        return pl.when(pl.col("has.a")).then(pl.lit(1))


class Weighing(ShortestOf):
    """A weight that it says only of the first source."""

    def taken(self, images: Any, depth: Any, choice: pl.Expr | None) -> Iterator[Any]:
        for one in super().taken(images, depth, choice):
            yield type(one)(**{**vars(one), "share": 2.0 if one.source == "a" else 1.0})


class Staying(ShortestOf):
    """Stays the same without one of its sources."""

    def without(self, source: str) -> UseSpec | None:  # noqa: ARG002
        return self


class Counting(ShortestOf):
    """Each candidate has the whole weight."""

    def taken(self, images: Any, depth: Any, choice: pl.Expr | None) -> Iterator[Any]:
        for one in super().taken(images, depth, choice):
            yield type(one)(**{**vars(one), "n_pairs": pl.lit(1)})


class Unsaid(ShortestOf):
    """Does not say that it looks at the captions."""

    reads_texts = False


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (Turning, "test_an_image_is_decided_alone"),
        (Losing, "test_every_image_with_the_texts_gives_a_pair"),
        (Weighing, "test_weights_are_those_that_it_says"),
        (Counting, "test_candidates_share_the_weight_of_their_image"),
        (Unsaid, "test_texts_change_no_choice_unless_it_says_so"),
        (Staying, "test_what_is_left_without_a_source_does_not_use_it"),
    ],
)
def test_a_use_that_keeps_no_contract_fails_it(kind: type[ShortestOf], test: str) -> None:
    contract = UseContract()
    contract.use = kind(shortest_of=("raw", "a"))
    with pytest.raises((AssertionError, pl.exceptions.ColumnNotFoundError)):
        getattr(contract, test)()


def test_a_condition_may_only_refer_to_what_is_in_the_file() -> None:
    found = list(condition({"at_least": {"top": 0.3, "of": "b"}, "of": "a"}).refers())
    assert found == [
        Reference("of", "a", "source_names", also="image_scorers"),
        Reference("at_least.of", "b", "source_names", also="image_scorers"),
    ]
