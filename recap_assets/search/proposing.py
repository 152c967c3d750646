"""Proposals of settings: optuna, asked and given the results, with a fixed seed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from recap_assets.specs.searches import Search, Settings, Values
from recap_assets.specs.setting_keys import Value

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import Trial

LEAST_AT_RANDOM = 4
"""Proposals before the sampler learns from results; or a third of all, if those are more."""


class Proposals:
    """Proposes settings of a search, one after another.

    The same results given in the same order bring the same proposals.
    """

    def __init__(self, search: Search) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._search = search
        self._failed = optuna.trial.TrialState.FAIL
        self._distributions = {key: _distribution(one) for key, one in search.over.items()}
        # In memory: no database, and nothing is pickled.
        self._study = optuna.create_study(direction="maximize", sampler=_sampler(search))
        self._open: Trial | None = None

    def propose(self) -> Settings:
        """The next settings; their result has to be given before the ones after."""
        self._open = self._study.ask(self._distributions)
        return {key: self._written(key) for key in self._search.over}

    def give(self, value: float | None) -> None:
        """Give the result of the last proposal; None where there is none."""
        assert self._open is not None, "something was proposed"  # noqa: S101 - of one caller
        if value is None:
            self._study.tell(self._open, state=self._failed)
        else:
            self._study.tell(self._open, value)
        self._open = None

    def _written(self, key: str) -> Value:
        assert self._open is not None, "something was proposed"  # noqa: S101 - of one caller
        found = cast("Mapping[str, int | float]", self._open.params)[key]
        of_key = self._search.over[key]
        # Of several choices optuna takes the number: 1, 1.0 and true are one to it.
        return of_key.choices[int(found)] if of_key.choices else of_key.rounded(found)


def optuna_version() -> str:
    """Version of what proposes: another one may propose otherwise."""
    from importlib import metadata

    return metadata.version("optuna")


def _distribution(values: Values) -> "BaseDistribution":
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if values.choices:
        return CategoricalDistribution(range(len(values.choices)))
    low, high = (float(end) for end in values.ends)
    if values.whole:
        return IntDistribution(int(low), int(high), log=values.log)
    return FloatDistribution(low, high, log=values.log)


def _sampler(search: Search) -> "BaseSampler":
    from optuna.samplers import RandomSampler, TPESampler

    if search.sampler == "random":
        return RandomSampler(seed=search.seed)
    at_random = max(LEAST_AT_RANDOM, search.trials // 3)
    return TPESampler(seed=search.seed, n_startup_trials=at_random)
