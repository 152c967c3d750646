"""A build that is killed again and again: what must hold after each kill, and at the end."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import yaml
from deltalake import DeltaTable

from recap_assets.artefacts.catalogue import TABLES
from recap_assets.artefacts.costs import COSTS
from recap_assets.artefacts.lineage import EXPERIMENTS, LINEAGE
from recap_assets.defs.assets import asset_key
from recap_assets.defs.session import Session
from recap_assets.storage.content import slice_version
from recap_assets.storage.workspace import Workspace

REPOSITORY = Path(__file__).parents[1]
OF_EVENTS = (COSTS.name, LINEAGE.name, EXPERIMENTS.name)
"""Tables that tell of runs and times, which no two builds share."""

Versions = Mapping[tuple[str, str], str]
"""Data version by asset and partition, as recorded."""

Contents = Mapping[str, str]
"""A hash of each table's rows, read in plain polars."""


@dataclass(frozen=True)
class Killed:
    """A build that was stopped.

    Attributes:
        after: Seconds from its start to the kill.
        n_recorded: Partitions that were recorded by then.
        finished: Whether it had ended by itself before.
    """

    after: float
    n_recorded: int
    finished: bool


class KilledBuild:
    """One experiment in a data folder of its own, built by `recap build` in its own processes."""

    tables_root: str | None = None
    home: Path = REPOSITORY
    """The folder with Dagster's configuration."""

    def __init__(self, folder: Path, experiment: Mapping[str, Any], *, jobs: int = 2) -> None:
        self.data = folder / "data"
        self.file = folder / "experiment.yaml"
        self.name = str(experiment["name"])
        self.jobs = jobs
        folder.mkdir(parents=True, exist_ok=True)
        self.file.write_text(yaml.safe_dump(dict(experiment)))

    @property
    def workspace(self) -> Workspace:
        """Where it puts things."""
        return Workspace(self.data, self.name, self.tables_root)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """`recap build` as the first of a process group, with more words at its end."""
        command = [
            sys.executable, "-m", "recap_assets.cli.main", "--data", str(self.data),
            "-e", str(self.file), "build", "--yes", "--jobs", str(self.jobs), *words,
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
        for name in ("RECAP_TABLES", "RECAP_SET", "RECAP_EXPERIMENT", "RECAP_INSTANCE"):
            environment.pop(name, None)
        environment["DAGSTER_HOME"] = str(REPOSITORY)
        return subprocess.Popen(  # noqa: S603 - our own words
            command, cwd=REPOSITORY, env=environment, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def finish(self, *words: str) -> str:
        """Build to the end, with more words; what it printed.

        Raises:
            AssertionError: It failed.
        """
        with self.start(*words) as process:
            output, _ = process.communicate()
        assert process.returncode == 0, output
        return output

    def kill(self, after: float) -> Killed:
        """Start a build, kill it with its workers, and look at what it left."""
        with self.start() as process:
            try:
                output, _ = process.communicate(timeout=after)
                assert process.returncode == 0, output
                finished = True
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                finished = False
        self.check_tables()
        self.check_instance()
        return Killed(after, len(self.versions()), finished)

    def check_tables(self) -> None:
        """Every table that was ever begun opens and reads in plain polars, without our code."""
        for name, uri in tables_in(self.workspace):
            frame = pl.read_delta(uri)
            assert set(frame.columns) == set(TABLES[name].columns), name

    def check_instance(self) -> None:
        """Dagster's SQLite files are whole."""
        for path in sorted(self.workspace.instance.glob("*.db")):
            with closing(sqlite3.connect(path)) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",), path

    def versions(self) -> Versions:
        """The recorded data version of every partition."""
        if not (self.workspace.instance / "event_log.db").exists():
            return {}
        with self.opened() as (session, instance):
            records = session.records(instance)
            return {
                (asset, partition): record.data_version
                for asset in session.graph.nodes
                for partition, record in records.latest(asset).items()
            }

    def check_no_run_is_open(self) -> None:
        """What was killed is not shown as going on."""
        with self.opened() as (_, instance):
            going_on = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING]
            assert not instance.get_runs(dg.RunsFilter(statuses=going_on))

    def check_nothing_was_recorded_twice(self) -> None:
        """What was finished before a kill was not done again after it."""
        with self.opened() as (session, instance):
            for asset in session.graph.nodes:
                events = instance.fetch_materializations(asset_key(asset), limit=1_000).records
                partitions = [event.partition_key or "" for event in events]
                assert len(partitions) == len(set(partitions)), (asset, partitions)

    def opened(self) -> "Opened":
        """The session and Dagster's instance, with the environment put back afterwards."""
        return Opened(self)


class Opened:
    """A context: what `Session` exports is undone when it ends."""

    def __init__(self, build: KilledBuild) -> None:
        self._build = build

    def __enter__(self) -> tuple[Session, dg.DagsterInstance]:
        self._environment = dict(os.environ)
        os.environ["RECAP_DATA"] = str(self._build.data)
        os.environ["DAGSTER_HOME"] = str(self._build.home)
        session = Session(self._build.file)
        self._instance = session.open_instance()
        return session, self._instance

    def __exit__(self, *_: object) -> None:
        self._instance.dispose()
        os.environ.clear()
        os.environ.update(self._environment)


def kill_until_built(
    make: Callable[[int], KilledBuild],
    moments: Iterable[float],
    versions: Versions,
    contents: Contents,
) -> Iterator[Killed]:
    """Kill builds at the given moments; each ends equal to the undisturbed one.

    Args:
        make: A fresh build by number; the next one is begun when one finished before its kill.
        moments: Seconds from a build's start to its kill, one after the other.
        versions: Of the undisturbed build.
        contents: Of the undisturbed build.

    Raises:
        AssertionError: Something was broken, lost, done twice or different.
    """
    number = 0
    build = make(number)
    known: Versions = {}
    for moment in moments:
        killed = build.kill(moment)
        found = build.versions()
        assert known.items() <= found.items(), "a record of before the kill is gone or changed"
        known = found
        yield killed
        if killed.finished:
            check_equal(build, versions, contents)
            number, known = number + 1, {}
            build = make(number)
    build.finish()
    check_equal(build, versions, contents)


def check_lineage(build: KilledBuild, versions: Versions) -> None:
    """The newest event of every partition is in the lineage, also of steps that were killed."""
    lineage = pl.read_delta(build.workspace.tables.uri(LINEAGE)).sort("event_id")
    newest = lineage.unique(["asset", "partition"], keep="last")
    told = newest.select("asset", "partition", "data_version").iter_rows()
    assert {(asset, partition): version for asset, partition, version in told} == versions


def check_equal(build: KilledBuild, versions: Versions, contents: Contents) -> None:
    """The finished build holds the very content of the undisturbed one."""
    assert build.versions() == versions
    assert contents_of(build.workspace) == contents
    check_lineage(build, versions)
    build.check_no_run_is_open()
    build.check_nothing_was_recorded_twice()


def contents_of(workspace: Workspace) -> Contents:
    """The content of every table that does not tell of runs and times."""
    return {
        name: slice_version(TABLES[name], pl.read_delta(uri))
        for name, uri in tables_in(workspace)
        if name not in OF_EVENTS
    }


def tables_in(workspace: Workspace) -> Iterator[tuple[str, str]]:
    """Name and place of every table that was ever begun, by plain deltalake."""
    for name in sorted(TABLES):
        uri = workspace.tables.uri(TABLES[name])
        if DeltaTable.is_deltatable(uri):
            yield name, uri
