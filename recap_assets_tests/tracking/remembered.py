"""A tracker that keeps everything in memory, as a kind of another package."""

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal

import polars as pl
import pytest

from recap_assets.tracking import sending
from recap_assets.tracking.kind import RunIdentity, Tracker
from recap_assets_tests.registering import registered
from recap_assets_tests.waiting import SECONDS

TRACK = {"kind": "remembered"}


class Remembered(Tracker):
    """Keeps everything in memory, unless it is down or hangs."""

    kind: Literal["remembered"]
    runs: ClassVar[dict[str, "Run"]] = {}
    down: ClassVar[str] = ""
    hangs: ClassVar[threading.Event | None] = None

    def open(self, run: RunIdentity, folder: Path) -> "Run":  # noqa: ARG002 - of the contract
        if self.hangs:
            self.hangs.wait(SECONDS)
            raise TimeoutError
        if self.down:
            raise ConnectionError(self.down)
        return self.runs.setdefault(run.key, Run(run))

    def problems(self) -> Iterator[str]:
        if self.down:
            yield self.down


class Run:
    def __init__(self, identity: RunIdentity) -> None:
        self.identity = identity
        self.points: list[tuple[int, Mapping[str, float]]] = []
        self.results: dict[str, float] = {}
        self.tables: dict[str, pl.DataFrame] = {}
        self.ended: list[str] = []

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        self.points.append((step, figures))

    def summarize(self, figures: Mapping[str, float]) -> None:
        self.results.update(figures)

    def table(self, name: str, rows: pl.DataFrame) -> None:
        self.tables[name] = rows

    def close(self, status: str) -> None:
        self.ended.append(status)


@pytest.fixture
def remembering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    point = "remembered = recap_assets_tests.tracking.remembered:Remembered"
    with registered(tmp_path_factory.mktemp("site"), "trackers", point):
        yield


@pytest.fixture
def runs(remembering: None, monkeypatch: pytest.MonkeyPatch) -> dict[str, Run]:  # noqa: ARG001 - the kind is known
    """What was sent, by the run's key."""
    found: dict[str, Run] = {}
    monkeypatch.setattr(Remembered, "runs", found)
    monkeypatch.setattr(sending, "ABORT_SECONDS", SECONDS)
    monkeypatch.setattr(sending, "_warned", set())
    return found
