"""How far a search is, by the samples that its trainings see."""

from collections.abc import Callable, Iterable

from recap_assets.search.halving import Candidate, Measure, Result


class Budget:
    """The samples of a search, planned and seen; proposals that fall away are not counted out."""

    def __init__(
        self, trainings: Iterable[tuple[int, int]], progress: Callable[[float], None]
    ) -> None:
        """Report to `progress`; `trainings` are those of `halving.planned`."""
        self._planned = max(1, sum(n * samples for n, samples in trainings))
        self._progress = progress
        self._seen = self._current = 0

    def counting(self, measure: Measure) -> Measure:
        """The same measure, whose trainings are counted."""

        def counted(candidate: Candidate, samples_seen: int, seed: int) -> Result:
            self._current = samples_seen
            result = measure(candidate, samples_seen, seed)
            self._seen += samples_seen
            self._progress(min(1.0, self._seen / self._planned))
            return result

        return counted

    def within(self, fraction: float) -> None:
        """Report how far the present training is."""
        done = self._seen + self._current * min(1.0, fraction)
        self._progress(min(1.0, done / self._planned))
