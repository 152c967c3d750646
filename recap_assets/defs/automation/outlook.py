"""The plan as a tick sees it: of the experiment file as it is now, made once a tick."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Protocol, Self

import dagster as dg

from recap_assets.defs.dead_runs import close_dead_runs
from recap_assets.defs.records import DagsterRecords
from recap_assets.graph.node import Graph
from recap_assets.graph.planner import OutOfDate, Plan, plan
from recap_assets.graph.project import Project
from recap_assets.graph.records import Records, RememberedRecords
from recap_assets.graph.versions import VersionReader
from recap_assets.specs.loading import ExperimentError


class OpenExperiment(Protocol):
    """An experiment file that was opened, such as `defs.session.Session`."""

    @property
    def path(self) -> Path:
        """The file."""
        ...

    @cached_property
    def project(self) -> Project:
        """The experiment in its workspace."""
        ...

    @cached_property
    def graph(self) -> Graph:
        """Everything that it builds."""
        ...

    def records(self, instance: dg.DagsterInstance) -> DagsterRecords:
        """The records of what was built."""
        ...

    def reopened(self) -> Self:
        """The same, of the file as it is now."""
        ...


@dataclass(frozen=True)
class Outlook:
    """What is out of date, at one moment."""

    graph: Graph
    plan: Plan
    records: Records
    reader: VersionReader
    events: Mapping[tuple[str, str], int]
    """The last event of each ready partition when the plan was made; 0 where there was none."""

    @cached_property
    def ready(self) -> Mapping[str, Mapping[str, OutOfDate]]:
        """What can be built now: for each asset its partitions."""
        found: dict[str, dict[str, OutOfDate]] = {}
        for entry in self.plan.ready:
            found.setdefault(entry.asset, {})[entry.partition] = entry
        return found

    def wanted(self, asset: str, partition: str) -> str:
        """The fingerprint that the partition would have if it were up to date, shortened."""
        node = self.graph.nodes[asset]
        return self.reader.fingerprint(node, partition)[:12]

    def built_since(self, asset: str) -> set[str]:
        """The partitions that were ready when the plan was made and were built since then."""
        latest = self.records.latest(asset)
        return {
            partition
            for partition in self.ready.get(asset, {})
            if (record := latest.get(partition)) is not None
            and record.event_id != self.events[asset, partition]
        }


class Watch:
    """Looks at an experiment whose file may be edited at any time.

    A code location that keeps running keeps the definitions that it loaded, while each run
    loads them again. Reading the file as it is now makes both agree without a reload; only
    assets that are new to the file need one.
    """

    def __init__(self, session: OpenExperiment) -> None:
        self._session = session
        self._content = session.path.read_bytes()
        self._last: tuple[object, Outlook] | None = None
        self._lock = Lock()

    def session(self) -> OpenExperiment:
        """The session, opened again where its file was edited.

        Raises:
            ExperimentError: The file cannot be used as it is now, or names another experiment.
        """
        content = self._session.path.read_bytes()
        if content != self._content:
            session = self._session.reopened()
            was, now = (s.project.experiment.name for s in (self._session, session))
            if now != was:
                msg = (
                    f"{session.path}: name: was {was!r} when the code location was loaded and is "
                    f"{now!r} now; results and runs of another name are elsewhere: start again"
                )
                raise ExperimentError(msg)
            self._session, self._content = session, content
        return self._session

    def look(self, instance: dg.DagsterInstance, *, moment: object = None) -> Outlook:
        """What is out of date now; looks of one `moment` share one plan.

        Args:
            instance: Where the records are.
            moment: Compared by identity; None is never shared.
        """
        with self._lock:
            if moment is None or self._last is None or self._last[0] is not moment:
                self._last = (moment, self._look(instance))
            return self._last[1]

    def _look(self, instance: dg.DagsterInstance) -> Outlook:
        # What a dead run was to build would pass for being built, for ever.
        close_dead_runs(instance)
        session = self.session()
        graph, records = session.graph, session.records(instance)
        # Each asset's records are read once: what comes later is news to `built_since`.
        seen = RememberedRecords(records)
        current, reader = plan(graph, seen), VersionReader(graph, seen)
        events = {
            (entry.asset, entry.partition): record.event_id if record is not None else 0
            for entry in current.ready
            for record in [reader.latest(entry.asset).get(entry.partition)]
        }
        records.save()
        return Outlook(graph, current, records, reader, events)
