"""From the environment to the experiment, its graph and Dagster's instance.

The command line, the web server, the daemon and worker processes all start here, so that they
agree on what they look at: RECAP_EXPERIMENT names the file, RECAP_SET settings laid over it,
RECAP_DATA the data folder, DAGSTER_HOME the folder with dagster.yaml.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from recap_assets.artefacts.catalogue import all_tables
from recap_assets.assembly.graph import build_graph
from recap_assets.defs.damaged_files import put_aside_damaged
from recap_assets.defs.failures import shorten_retries
from recap_assets.defs.kept_records import KeptRecords, kept_records
from recap_assets.defs.read_only import copied, is_writable
from recap_assets.defs.storage_files import home_of, is_shipped, write_configuration
from recap_assets.graph.node import Graph
from recap_assets.graph.project import Project
from recap_assets.graph.records import NoRecords, StoredRecords
from recap_assets.shards.pools import ReadablePool
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.found import default_experiment, named_experiment
from recap_assets.specs.kinds import fitting
from recap_assets.specs.loading import (
    ExperimentError,
    UnknownKindError,
    load_experiment,
)
from recap_assets.storage.errors import StorageError
from recap_assets.storage.kinds_used import kinds_used
from recap_assets.storage.workspace import Workspace
from recap_assets.untrusted.log_records import guard

if TYPE_CHECKING:
    import dagster as dg

    from recap_assets.defs.records import DagsterRecords

EXPERIMENT_VARIABLE = "RECAP_EXPERIMENT"
SETTINGS_VARIABLE = "RECAP_SET"
INSTANCE_VARIABLE = "RECAP_INSTANCE"
HOME_VARIABLE = "DAGSTER_HOME"


@dataclass(frozen=True)
class Session:
    """One experiment file, opened.

    Attributes:
        path: The file.
        settings: Settings laid over it.
        against: Another experiment's file, whose results this one is only compared with: nothing
            may be built then.
        only_reads: Whether nothing is made where nothing was built yet. Dagster is imported where
            there are records, and no sooner.
    """

    path: Path
    settings: tuple[str, ...] = ()
    against: Path | None = None
    only_reads: bool = False

    @classmethod
    def from_environment(cls) -> "Session":
        """What the environment names; by default what `specs.found` finds here."""
        named = os.environ.get(EXPERIMENT_VARIABLE)
        path = named_experiment(Path(named)) if named else default_experiment()
        settings = json.loads(os.environ.get(SETTINGS_VARIABLE, "[]"))
        return cls(path, tuple(settings))

    def reopened(self) -> Self:
        """The same, of the file as it is now."""
        return replace(self)

    @cached_property
    def project(self) -> Project:
        """The experiment in its workspace."""
        experiment = self._experiment
        if self.against is None:
            workspace = Workspace.from_environment(experiment.name)
            stays = self._finds_nothing or not is_writable(workspace.root)
            return Project(experiment, workspace, is_read_only=stays)
        other = load_experiment(self.against)
        as_other = experiment.model_copy(update={"name": other.name})
        return Project(as_other, Workspace.from_environment(other.name), is_read_only=True)

    @cached_property
    def _experiment(self) -> Experiment:
        guard()
        return _load(self.path, self.settings)

    @property
    def _finds_nothing(self) -> bool:
        """Whether the command only reads, and nothing was built yet, here or elsewhere."""
        return self.only_reads and self.is_new

    @cached_property
    def is_new(self) -> bool:
        """Whether nothing was built yet, here or elsewhere, as far as that is seen at once."""
        if self.against is not None:
            return False
        # Of a list of URLs nothing is known before its shards are planned, which are kept.
        if fitting("pool", self._experiment.pool, ReadablePool).plans_shards:
            return False
        workspace = Workspace.from_environment(self._experiment.name)
        home = Path(os.environ.get(HOME_VARIABLE) or home_of(workspace.instance))
        if workspace.tables_root is not None or not is_shipped(home):
            return False
        return not workspace.root.exists() or not any(workspace.root.iterdir())

    @cached_property
    def graph(self) -> Graph:
        """Everything that the experiment builds."""
        return build_graph(self.project)

    @cached_property
    def storage(self) -> Path:
        """Folder of Dagster's storage: a copy for reading, where the data folder is read-only."""
        workspace = self.project.workspace
        if is_writable(workspace.root):
            return workspace.instance
        say(
            f"{workspace.root} is read-only, or not yours: nothing is kept there. What is shown is "
            "of a copy of Dagster's records, which goes at the end"
        )
        return copied(workspace.instance)

    def refuse_read_only(self) -> None:
        """Refuse to build where nothing can be written.

        Raises:
            StorageError: Naming the folder.
        """
        root = self.project.workspace.root
        if not is_writable(root):
            msg = (
                f"{root} is read-only, or not yours: what is there can be read, but nothing "
                "can be built. Make it writable, or name another data folder with --data"
            )
            raise StorageError(msg)

    def export(self) -> None:
        """Put the session into the environment, for processes that are started from here."""
        os.environ[EXPERIMENT_VARIABLE] = str(self.path.absolute())
        os.environ[SETTINGS_VARIABLE] = json.dumps(self.settings)
        os.environ[INSTANCE_VARIABLE] = str(self.storage)
        os.environ.setdefault(HOME_VARIABLE, str(home_of(self.storage)))
        os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "yes")

    def open_instance(self) -> "dg.DagsterInstance":
        """Dagster's instance of this experiment, with the pool's partitions in it."""
        import dagster as dg

        from recap_assets.defs.remembering import remember

        self.project.workspace.refuse_unusable()
        shorten_retries()
        self.export()
        self.storage.mkdir(parents=True, exist_ok=True)
        if Path(os.environ[HOME_VARIABLE]) == self.storage:
            write_configuration(self.storage)
        # Of two processes that create SQLite's tables or add a partition at once, one fails.
        with self._alone():
            for found in put_aside_damaged(self.storage):
                say(found)
            instance = dg.DagsterInstance.get()
            remember(instance)
            self._restore(instance)
            if self.against is None:
                self.project.scan()
                register_partitions(instance, list(self.project.partitions))
        return instance

    def _alone(self) -> AbstractContextManager[object]:
        if self.storage != self.project.workspace.instance:
            return nullcontext()
        # A database of several machines keeps its own order.
        return self.project.workspace.claims.on_this_machine().hold("the storage of Dagster")

    def _restore(self, instance: "dg.DagsterInstance") -> None:
        from recap_assets.defs.restoring import restore_records

        done = restore_records(self.project, instance, lambda: self.graph)
        if done is None:
            return
        name = self.project.experiment.name
        why = (
            f"`recap forget` took the events of {name} away, with the texts in them"
            if done.after_forgetting
            else f"Dagster's records of {name} were gone"
        )
        rest = f"; {done.n_left_out:,} were written later, and are built again"
        say(
            f"{why}: {done.n_events:,} records were recreated from the table lineage"
            f"{rest if done.n_left_out else ''}"
        )

    def read_records(self) -> StoredRecords:
        """The records of what was built; the instance is opened where there may be any."""
        if self._finds_nothing:
            return NoRecords()
        ask = lambda: self.records(self.open_instance())  # noqa: E731
        return self._kept(ask) or ask()

    def _kept(self, ask: Callable[[], StoredRecords]) -> KeptRecords | None:
        """The records without Dagster, for a command that only reads where nothing has changed."""
        self.project.workspace.refuse_unusable()
        if not self.only_reads or not is_shipped(Path(os.environ[HOME_VARIABLE])):
            return None
        if self.against is None:
            self.project.scan()
        return kept_records(self.storage, self.graph.nodes, ask)

    def records(self, instance: "dg.DagsterInstance") -> "DagsterRecords":
        """The records of what was built."""
        from recap_assets.defs.records import DagsterRecords

        return DagsterRecords(instance, self.storage)

    def create_tables(self) -> None:
        """Make the tables before several processes write to them."""
        for table in all_tables().values():
            self.project.workspace.tables.create(table)


def say(text: str) -> None:
    """Warn whoever watches, beside what the command prints."""
    sys.stderr.write(f"{text}\n")


def register_partitions(instance: "dg.DagsterInstance", wanted: Sequence[str]) -> None:
    """Give Dagster the pool's partitions; those that left the pool go."""
    from recap_assets.defs.assets import POOL_PARTITIONS

    known = set(instance.get_dynamic_partitions(POOL_PARTITIONS))
    if new := [key for key in wanted if key not in known]:
        instance.add_dynamic_partitions(POOL_PARTITIONS, new)
    for key in known.difference(wanted):
        instance.delete_dynamic_partition(POOL_PARTITIONS, key)


def _load(path: Path, settings: tuple[str, ...]) -> Experiment:
    try:
        return load_experiment(path, settings)
    except UnknownKindError as error:
        known = kinds_used(Workspace.from_environment(error.experiment).kinds_used)
        came = {f"{family}.{word}" for family, word in error.words} & known.keys()
        if not came:
            raise
        givers = "; ".join(f"{name} was last built with {known[name]}" for name in sorted(came))
        msg = f"{error}\n{givers}: install that again, or take the kind out of the file"
        raise ExperimentError(msg) from error
