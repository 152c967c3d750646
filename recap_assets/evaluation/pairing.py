"""Differences between mixes, taken seed by seed: what a seed does to both cancels out."""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Difference:
    """Seed-paired: mean and deviation (None below two common seeds).

    Attributes:
        mean: In the unit of the values, mostly fractions of one.
        deviation: Likewise.
        n_seeds: Common seeds.
        in_points: Whether it is shown in points of 100, as fractions are.
    """

    mean: float | None
    deviation: float | None
    n_seeds: int
    in_points: bool = True

    @property
    def text(self) -> str:
        """With sign and deviation."""
        if self.mean is None:
            return "no seed in common"
        times = 100 if self.in_points else 1
        if self.deviation is None:
            return f"{times * self.mean:+.1f}, one seed"
        return f"{times * self.mean:+.1f} ± {times * self.deviation:.1f}, {self.n_seeds} seeds"

    @property
    def holds(self) -> bool | None:
        """None where it cannot be said."""
        if self.mean is None or self.deviation is None:
            return None
        return self.mean > self.deviation


class Runs:
    """One value for each mix and seed: columns mix, seed, value."""

    def __init__(self, values: pl.DataFrame) -> None:
        self._values: dict[str, dict[int, float]] = {}
        for mix, seed, value in values.sort("mix", "seed").select("mix", "seed", "value").rows():
            self._values.setdefault(mix, {})[seed] = value
        each = (value for of_mix in self._values.values() for value in of_mix.values())
        self._are_fractions = all(abs(value) <= 1 for value in each)

    @classmethod
    def of_task(cls, results: pl.DataFrame, task: str | None) -> "Runs":
        """The main metric of one task, from EVALUATION_RESULTS."""
        return cls(results.filter(pl.col("is_main") & pl.col("task").eq(pl.lit(task))))

    def mean(self, mix: str) -> float:
        """Over the mix's seeds."""
        values = self._values[mix].values()
        return sum(values) / len(values)

    def percent(self, mix: str) -> str:
        """The mean as per cent, or as it is where values exceed one, as variances of ranks do."""
        mean = self.mean(mix)
        return f"{100 * mean:.1f} %" if self._are_fractions else f"{mean:.1f}"

    def best(self, mixes: Iterable[str]) -> str | None:
        """The measured mix of the highest mean, the first of equals; None where there is none."""
        measured = [mix for mix in mixes if mix in self._values]
        return max(measured, key=self.mean, default=None)

    def missing(self, mixes: dict[str, str | None]) -> str | None:
        """What is not there, as a sentence; None where all are."""
        if nameless := unnamed(mixes):
            return nameless
        absent = [mix for mix in mixes.values() if mix is not None and mix not in self._values]
        return f"no results of {', '.join(absent)}" if absent else None

    def compare(self, mix: str, base: str, factor: float = 1.0) -> Difference:
        """`mix` minus `factor` times `base`, on the seeds that both have."""
        ours, theirs = self._values[mix], self._values[base]
        differences = pl.Series(
            [ours[seed] - factor * theirs[seed] for seed in ours if seed in theirs],
            dtype=pl.Float64,
        )
        mean, deviation = differences.mean(), differences.std(ddof=1)
        return Difference(
            mean if isinstance(mean, float) else None,
            deviation if isinstance(deviation, float) else None,
            len(differences),
            self._are_fractions,
        )

    def ratio(self, mix: str, base: str) -> str:
        """The mix's mean as a multiple of the base's."""
        below = self.mean(base)
        return f"{self.mean(mix) / below:.1f} times" if below else "from nothing"


def unnamed(names: dict[str, str | None]) -> str | None:
    """Which parts no mix plays, as a sentence; None where each has one."""
    absent = [part for part, name in names.items() if name is None]
    return f"the report names no measured {', '.join(absent)}" if absent else None
