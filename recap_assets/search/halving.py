"""The rounds of a search: who is trained in which, and who continues. What a training is, is given.

Of equal values the earlier proposal continues. The hand-made mixes are in every round.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from recap_assets.search.proposing import Proposals
from recap_assets.specs.searches import Round, Search, Settings


@dataclass(frozen=True)
class Candidate:
    """What is trained on.

    Attributes:
        name: `trial 07`, or a hand-made mix's name.
        settings: Proposed; None for a hand-made mix.
    """

    name: str
    settings: Settings | None = None

    @property
    def written(self) -> str | None:
        """The settings as JSON."""
        return None if self.settings is None else json.dumps(dict(self.settings))


@dataclass(frozen=True)
class Result:
    """What a training gave.

    Attributes:
        value: What is maximised; None where nothing could be trained.
        n_pairs: Pairs of the candidate.
        reason: Why there is no value, a word or two, then a colon and what more is to say; None
            where there is a value.
    """

    value: float | None
    n_pairs: int
    reason: str | None = None


Measure = Callable[[Candidate, int, int], Result]
"""Trains on a candidate, with this number of samples and this seed, and evaluates."""


Valued = tuple[Candidate, float | None]
"""A candidate with its mean over a round's seeds."""


@dataclass(frozen=True)
class Training:
    """A row of the search: one candidate in one round with one seed."""

    round: Round
    candidate: Candidate
    seed: int
    result: Result


@dataclass
class Rounds:
    """A search in progress.

    Attributes:
        search: With `among` and `seeds` spelled out.
        measure: Trains and evaluates one.
        trainings: What was done, in its order.
    """

    search: Search
    measure: Measure
    trainings: list[Training] = field(default_factory=list[Training])

    def run(self, rounds: Sequence[Round]) -> list[Training]:
        """All rounds, the first with proposals.

        Args:
            rounds: Of `Search.rounds`.
        """
        values: list[Valued] = []
        for each in rounds:
            for name in self.search.hand_made:
                self._train(each, Candidate(name))
            if each.number == 0:
                values = self._propose(each)
            else:
                continuing = best_of(values)[: each.n_found]
                values = [(one, self._train(each, one)) for one in continuing]
        return self.trainings

    def _propose(self, first: Round) -> list[Valued]:
        proposals, digits = Proposals(self.search), len(str(first.n_found - 1))
        values: list[Valued] = []
        seen: dict[str | None, Valued] = {}
        for number in range(first.n_found):
            one = Candidate(f"trial {number:0{digits}}", proposals.propose())
            if one.written in seen:
                same, value = seen[one.written]
                self._set_aside(first, one, f"repeated: as {same.name}")
            else:
                value = self._train(first, one)
                seen[one.written] = (one, value)
                values.append((one, value))
            proposals.give(value)
        return values

    def _train(self, each: Round, one: Candidate) -> float | None:
        """The mean over the round's seeds; None where one of them has no value."""
        found: list[float] = []
        for seed in each.seeds:
            result = self.measure(one, each.samples_seen, seed)
            self.trainings.append(Training(each, one, seed, result))
            if result.value is None:
                return None
            found.append(result.value)
        return sum(found) / len(found)

    def _set_aside(self, each: Round, one: Candidate, reason: str) -> None:
        result = Result(None, 0, reason)
        self.trainings.append(Training(each, one, each.seeds[0], result))


def best_of(values: Iterable[Valued]) -> list[Candidate]:
    """Those with a value, the best first, of equal ones the earlier."""
    ranked = [(value, one) for one, value in values if value is not None]
    return [one for _, one in sorted(ranked, key=lambda pair: -pair[0])]


def planned(search: Search, rounds: Sequence[Round]) -> Iterator[tuple[int, int]]:
    """Number of trainings of each round, and the samples of each."""
    for each in rounds:
        yield (each.n_found + len(search.hand_made)) * len(each.seeds), each.samples_seen
