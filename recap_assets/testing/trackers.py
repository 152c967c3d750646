"""What a kind of tracker must keep; subclass `TrackerContract` in tests of one."""

from pathlib import Path

import polars as pl

from recap_assets.tracking.kind import RunIdentity, Tracker

KEY = "0123456789abcdef"


class TrackerContract:
    """Tests of one tracker; the subclass gives it, and reads back what it holds.

    Attributes:
        tracker: The tracker.
        folder: An empty folder for the library's own files.
    """

    tracker: Tracker
    folder: Path

    def curve(self, project: str, key: str) -> list[tuple[int, float]]:
        """Step and loss of all points of the run of a key; of several such runs this raises."""
        raise NotImplementedError

    def result(self, project: str, key: str, name: str) -> float:
        """A result of the run of a key."""
        raise NotImplementedError

    def test_it_needs_nothing_more(self) -> None:
        """Where it is set up there is nothing to report."""
        self.tracker.require_library()
        assert list(self.tracker.problems()) == []

    def test_a_run_that_is_opened_again_is_the_same_run(self) -> None:
        """Curve and results of a run that was interrupted, resumed and evaluated are one run's."""
        run = RunIdentity(KEY, "demo/best/seed-0", "demo", {"mix": "best"}, {"recap.commit": "abc"})
        first = self.tracker.open(run, self.folder)
        first.log(1, {"loss": 4.0, "samples_seen": 128})
        first.close("failed")
        again = self.tracker.open(run, self.folder)
        again.log(2, {"loss": 3.0, "samples_seen": 256})
        again.close("finished")
        evaluated = self.tracker.open(run, self.folder)
        evaluated.summarize({"coarse/top1": 0.5})
        evaluated.table("board", pl.DataFrame({"mix": ["best"], "mean": [0.5]}))
        evaluated.close("finished")
        assert self.curve("demo", KEY) == [(1, 4.0), (2, 3.0)]
        assert self.result("demo", KEY, "coarse/top1") == 0.5
