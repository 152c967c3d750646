"""What the partitions of a build are expected to take, for its bar and the time that is left."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from recap_assets.defs.build_state import AtWork, State, guessed, paced, shows_pace
from recap_assets.graph.batches import Batch
from recap_assets.graph.estimates import Estimates, Pace
from recap_assets.graph.node import Graph
from recap_assets.graph.planner import Plan, name_of
from recap_assets.graph.records import Records
from recap_assets.graph.taking_over import NOTHING, Key, TakingOver, taking_over

ESTIMATE_SECONDS = 5.0
TAKING_SECONDS = 0.5
"""What a result that is taken over counts: it is hashed and copied."""

Running = Callable[[], Iterable[tuple[Batch, float]]]
"""The batches that run, each with the time when it began."""


class WorkLeft:
    """Values all work of a build, by what was measured until now, itself included.

    Args:
        graph: The nodes.
        records: What was built.
        state: Is kept up to date with what is done and what is left.
        running: Gives the batches that run.
        reuses: Whether what was computed before is taken over.
    """

    def __init__(
        self, graph: Graph, records: Records, state: State, running: Running, *, reuses: bool
    ) -> None:
        self.seconds: dict[str, float] = {}
        self.unmeasured: dict[str, float] = {}
        self.paces: list[Pace] = []
        self.taking_over: TakingOver = NOTHING
        self._graph, self._records, self._state = graph, records, state
        self._running, self._reuses = running, reuses
        self._done: Counter[str] = Counter()
        self._n_taken = 0
        self._estimated_at = 0.0
        self._looked: frozenset[tuple[Key, str]] = frozenset()

    @property
    def estimates(self) -> Estimates:
        """What building is expected to take, whatever else of the build comes to be built."""
        return Estimates(self._graph, self._records, taking_over=self.taking_over.there)

    def estimate(self, *, at_once: bool = False) -> None:
        """Value a partition of each asset, where that was not done in the last seconds."""
        if at_once or time.monotonic() - self._estimated_at > ESTIMATE_SECONDS:
            estimates = self.estimates
            self.seconds = {key: estimates.of_asset(key).seconds for key in self._graph.nodes}
            self.unmeasured = {
                key: node.seconds
                for key, node in self._graph.nodes.items()
                if estimates.is_unmeasured(key)
            }
            self.paces = estimates.paces
            self._estimated_at = time.monotonic()

    def finish(self, keys: Collection[Key], taken: Collection[Key]) -> None:
        """Count what was done; what was taken over took no time that would show the speed."""
        self._done.update(asset for asset, partition in keys if (asset, partition) not in taken)
        self._n_taken += sum(key in taken for key in keys)

    def look(self, current: Plan) -> None:
        """Find out what of a plan is taken over, such as trainings and their results.

        Of what is computed row by row over the pool nothing is searched: it may have thousands of
        partitions.
        """
        if not self._reuses:
            return
        nodes = self._graph.nodes
        whole = [one for one in current.to_build if not nodes[one.asset].has_many]
        searched = [one for one in whole if nodes[one.asset].is_worth_keeping]
        look = frozenset(((one.asset, one.partition), one.state) for one in searched)
        if look != self._looked:
            self._looked = look
            self.taking_over = taking_over(self._graph, self._records, current.entries, most=0)

    def expect(self, current: Plan) -> None:
        """Value what is done and what a plan leaves to do."""
        seconds, guesses = self._paced()
        self.count_running(seconds)
        done = (n * seconds[asset] for asset, n in self._done.items())
        self._state.finished_seconds = sum(done) + self._n_taken * TAKING_SECONDS
        left = [
            (one.asset, self._of((one.asset, one.partition), seconds)) for one in current.to_build
        ]
        self._state.left_seconds = sum(takes for _, takes in left)
        self._state.guessed_seconds = sum(takes for asset, takes in left if asset in guesses)
        self._state.advance()

    def count_running(self, seconds: Mapping[str, float] | None = None) -> None:
        """Value what is done of what is at work."""
        seconds = seconds or self._paced()[0]
        self._state.running_seconds = sum(
            seconds[asset] * done for one in self._at_work() for asset, done in one.done
        )

    def _of(self, key: Key, seconds: Mapping[str, float]) -> float:
        is_taken = key in self.taking_over.known
        return min(TAKING_SECONDS, seconds[key[0]]) if is_taken else seconds[key[0]]

    def _at_work(self) -> Iterator[AtWork]:
        now, running, known = time.monotonic(), self._state.running, self.taking_over.known
        for batch, started in self._running():
            # How soon something is taken over says nothing of how long it is computed.
            computed = (key for key in batch.keys if key not in known)
            done = [(asset, running.get(name_of(asset, key), 0.0)) for asset, key in computed]
            yield AtWork(now - started, done)

    def _paced(self) -> tuple[Mapping[str, float], Collection[str]]:
        """What a partition of each asset takes, and of which of them that is still a guess."""
        at_work = list(self._at_work())
        seconds = paced(self.seconds, at_work)
        shown = {asset: seconds[asset] for asset in shows_pace(self.seconds, at_work)}
        guesses = guessed(self.unmeasured, shown, self.paces)
        return {**seconds, **guesses}, guesses.keys()
