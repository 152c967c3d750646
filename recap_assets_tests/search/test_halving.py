"""The rounds of a search on objectives that train nothing."""

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recap_assets.search.halving import Candidate, Measure, Result, Rounds
from recap_assets.search.keeping import Kept
from recap_assets.search.progress import Budget
from recap_assets.search.verdict import rows_of
from recap_assets.specs.searches import Search, Settings

TOP, WEIGHT = "mixes.m.rules.0.where.top", "mixes.m.rules.1.weight"
OVER: dict[str, Any] = {
    TOP: {"low": 0.05, "high": 0.8},
    WEIGHT: {"low": 0.1, "high": 10, "log": True},
}
FULL, SEEDS = 27, (0, 1)
BY_HAND = {"m": 0.4, "other": 0.2}


def search(**fields: Any) -> Search:
    given = {"over": OVER, "samples_seen": 3, "trials": 9, "among": ["m", "other"], **fields}
    return Search.model_validate(given).with_defaults(SEEDS)


def peak(settings: Settings) -> float:
    """At its best, 0.9, where `top` is 0.3 and `weight` 2."""
    top, weight = float(settings[TOP]), float(settings[WEIGHT])
    return 0.9 - (top - 0.3) ** 2 - 0.1 * math.log(weight / 2) ** 2


def measured(of_settings: Callable[[Settings], float | None] = peak) -> Measure:
    """The objective, a little more with every seed; more samples change nothing."""

    def measure(one: Candidate, _samples: int, seed: int) -> Result:
        value = BY_HAND[one.name] if one.settings is None else of_settings(one.settings)
        reason = "no pair" if value is None else None
        return Result(None if value is None else value + 0.01 * seed, 10, reason)

    return measure


def run(one: Search, measure: Measure | None = None) -> pl.DataFrame:
    return rows_of(Rounds(one, measure or measured()).run(one.rounds(FULL, SEEDS)))


def test_the_best_third_continues_and_what_is_made_by_hand_always_does() -> None:
    rows = run(search())
    by_round = {
        number: part["trial"].unique().sort().to_list()
        for (number,), part in rows.group_by("round")
    }
    found = {n: [one for one in names if one.startswith("trial")] for n, names in by_round.items()}
    assert [len(found[n]) for n in sorted(found)] == [9, 3, 1]
    assert all({"m", "other"} <= set(names) for names in by_round.values())
    first = rows.filter(pl.col("round") == 0, pl.col("settings").is_not_null())
    best = first.sort("value", descending=True)["trial"].to_list()
    assert (sorted(best[:3]), best[:1]) == (found[1], found[2])


def test_the_known_best_settings_are_found_and_better_than_chance() -> None:
    def best(one: Search) -> float:
        return max(run(one).filter(pl.col("round") == 0)["value"].drop_nulls())

    at = {name: best(search(trials=40, sampler=name)) for name in ("tpe", "random")}
    assert at["tpe"] > 0.895
    assert at["tpe"] > at["random"]


def test_the_same_seed_proposes_the_same_and_another_one_something_else() -> None:
    assert run(search()).equals(run(search()))
    assert not run(search(seed=1)).equals(run(search()))


def test_values_are_within_their_ends_and_of_the_sort_that_is_asked_for() -> None:
    over = {
        "mixes.m.rules.0.candidates": {"low": 1, "high": 4, "whole": True},
        "mixes.m.rules.0.use": {"choices": ["raw", 1, True, 1.5]},
        **OVER,
    }
    one = search(over=over, trials=40, sampler="random", among=["m"])
    rows = run(one, measured(lambda _settings: 0.5))
    first = rows.filter(pl.col("round") == 0)["settings"].drop_nulls()
    settings = [json.loads(text) for text in first]
    kinds = {key: {type(each[key]) for each in settings} for key in over}
    assert kinds["mixes.m.rules.0.candidates"] == {int}
    assert kinds["mixes.m.rules.0.use"] == {str, int, bool, float}
    assert {each["mixes.m.rules.0.candidates"] for each in settings} == {1, 2, 3, 4}
    tops = [each[TOP] for each in settings]
    assert 0.05 <= min(tops) < max(tops) <= 0.8
    assert all(float(f"{top:.4g}") == top for top in tops)
    # By the logarithm as many are below 1 as above.
    assert 10 < sum(each[WEIGHT] < 1 for each in settings) < 30


def test_what_is_proposed_again_is_not_trained_again_and_does_not_continue() -> None:
    trained: Counter[str] = Counter()

    def measure(one: Candidate, samples: int, seed: int) -> Result:
        trained[json.dumps([one.written or one.name, samples, seed])] += 1
        return Result(0.5, 10)

    one = search(over={TOP: {"choices": [0.1, 0.2]}}, trials=9)
    rows = run(one, measure)
    assert max(trained.values()) == 1
    again = rows.filter(pl.col("reject_reason").is_not_null())
    assert again.height == 7
    assert set(again["reject_reason"]) <= {"repeated: as trial 0", "repeated: as trial 1"}
    assert rows.filter(pl.col("round") == 1)["trial"].to_list() == ["m", "other", "trial 0",
                                                                    "trial 1"]  # fmt: skip


def test_what_cannot_be_trained_is_a_row_with_a_reason_and_does_not_continue() -> None:
    small = lambda settings: None if settings[TOP] < 0.5 else 0.5  # noqa: E731
    rows = run(search(), measured(small))
    first = rows.filter(pl.col("round") == 0, pl.col("settings").is_not_null())
    aside = first.filter(pl.col("value").is_null())
    assert 0 < aside.height < 9
    assert set(aside["reject_reason"]) == {"no pair"}
    assert set(aside["status"]) == {"rejected"}
    later = rows.filter(pl.col("round") > 0)
    assert set(later["trial"]).isdisjoint(aside["trial"])


def test_with_no_proposal_left_nothing_is_decided() -> None:
    rows = run(search(), measured(lambda _settings: None))
    assert rows["verdict"].null_count() == rows.height
    assert rows.filter("is_best")["trial"].unique().to_list() == ["m"]


@pytest.mark.parametrize(
    ("of_seeds", "verdict"),
    [
        # Against `m` at 0.4 and 0.41: 0.1 ± 0.07; 0.1 ± 0.14; nothing.
        ((0.45, 0.56), "better"),
        ((0.4, 0.61), "no better"),
        ((0.3, 0.31), "no better"),
    ],
)
def test_better_is_what_is_above_its_deviation(of_seeds: tuple[float, float], verdict: str) -> None:
    def measure(one: Candidate, samples: int, seed: int) -> Result:
        by_hand = measured()(one, samples, seed) if one.settings is None else None
        return by_hand or Result(of_seeds[seed], 10)

    rows = run(search(trials=1), measure)
    assert rows["verdict"].drop_nulls().to_list() == [verdict] * 2
    best = rows.filter("is_best")
    assert set(best["trial"]) == {"m", "trial 0"}
    assert set(best["round"]) == {1}


def test_one_seed_decides_nothing() -> None:
    one = search(trials=1)
    rows = rows_of(Rounds(one, measured()).run(one.rounds(FULL, (0,))))
    assert rows["verdict"].drop_nulls().to_list() == ["undecided"]


class Killed(BaseException):
    """As a process is."""


def test_after_a_kill_nothing_is_trained_twice_and_the_rows_are_the_same(tmp_path: Path) -> None:
    path, one, trained = tmp_path / "kept" / "trainings.jsonl", search(), list[str]()

    def killed_after(n: int) -> Measure:
        def measure(candidate: Candidate, samples: int, seed: int) -> Result:
            if len(trained) == n:
                raise Killed
            trained.append(json.dumps([candidate.written or candidate.name, samples, seed]))
            return measured()(candidate, samples, seed)

        return measure

    for n in (1, 5, 12):
        with pytest.raises(Killed):
            run(one, Kept(killed_after(n), path))
    rows = run(one, Kept(killed_after(-1), path))
    assert rows.equals(run(one))
    assert len(trained) == len(set(trained)) == rows.height


@pytest.mark.parametrize(
    "damage",
    [b"no json", b'["a"]', b'{"of": 1}', b'{"of": "a", "value": NaN, "n_pairs": 1}', b"{" * 9,
     b'{"of": "a", "value": "b", "n_pairs": 1, "reason": null}', b"\xff\xfe", b"{" + b" " * 70_000,
     b'{"of": "[]", "value": null, "n_pairs": true, "reason": "x"}'],
)  # fmt: skip
def test_a_damaged_line_costs_its_own_training(tmp_path: Path, damage: bytes) -> None:
    path, one = tmp_path / "trainings.jsonl", search()
    rows = run(one, Kept(measured(), path))
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([damage, *lines[1:]]))
    trained: list[str] = []

    def measure(candidate: Candidate, samples: int, seed: int) -> Result:
        trained.append(candidate.name)
        return measured()(candidate, samples, seed)

    assert run(one, Kept(measure, path)).equals(rows)
    assert trained == ["m"]


def test_progress_is_by_the_samples_that_are_seen() -> None:
    reported: list[float] = []
    budget = Budget([(1, 10), (1, 30)], reported.append)

    def measure(_candidate: Candidate, _samples: int, _seed: int) -> Result:
        budget.within(0.5)
        return Result(0.5, 1)

    counting = budget.counting(measure)
    for samples in (10, 30):
        counting(Candidate("m"), samples, 0)
    assert reported == [0.125, 0.25, 0.625, 1.0]
