"""`recap_assets.RecapExperiment`: an experiment's assets within another Dagster project.

The project's instance, resources and executor are in charge there; `recap` and its own instance are
not needed. docs/your_project.md shows how.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Self

import dagster as dg

from recap_assets.assembly.graph import build_graph
from recap_assets.defs.platform import definitions_within
from recap_assets.defs.records import DagsterRecords
from recap_assets.graph.node import Graph
from recap_assets.graph.project import Project
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.file_places import located
from recap_assets.specs.loading import load_experiment, parse_experiment
from recap_assets.specs.yaml_lines import Source
from recap_assets.storage.files import write_atomically
from recap_assets.storage.workspace import Workspace

DATA = "data"
EXPERIMENT_FILE = "experiment.yaml"
OWN_FILES = ("defs.yaml", "component.yaml", "component.py")
STARTING_FILE = files("recap_assets") / "experiments" / "smoke.yaml"
"""What a scaffolded component begins with: it needs no data and no model."""


@dataclass(frozen=True)
class ComponentExperiment:
    """An experiment that a component names, opened; see `defs.automation.outlook.OpenExperiment`.

    Attributes:
        path: Its file, or the component's where it is written there.
        data: The data folder.
        content: The experiment, where it is written in the component's own file.
    """

    path: Path
    data: Path
    content: Mapping[str, Any] | None = None

    @cached_property
    def project(self) -> Project:
        """The experiment in its workspace."""
        experiment = self._experiment
        return Project(experiment, Workspace(self.data, experiment.name))

    @cached_property
    def _experiment(self) -> Experiment:
        if self.content is None:
            return load_experiment(self.path)
        return located(
            parse_experiment(dict(self.content), Source(str(self.path))), self.path.parent
        )

    @cached_property
    def graph(self) -> Graph:
        """Everything that the experiment builds."""
        return build_graph(self.project)

    def records(self, instance: dg.DagsterInstance) -> DagsterRecords:
        """The records of what was built, in the project's own instance."""
        return DagsterRecords(instance, self.project.workspace.root)

    def reopened(self) -> Self:
        """The same, of the file as it is now; what is written in the component stays."""
        return replace(self)


class ExperimentScaffolder(dg.Scaffolder[Any]):
    """Writes the component's file, and an experiment to begin with."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        """Write both; an experiment that is there stays."""
        dg.scaffold_component(request, {"experiment": EXPERIMENT_FILE, "data": DATA})
        path = Path(request.target_path) / EXPERIMENT_FILE
        if not path.exists():
            write_atomically(path, STARTING_FILE.read_bytes())


@dg.scaffold_with(ExperimentScaffolder)
class RecapExperiment(dg.Component, dg.Model, dg.Resolvable):
    """A Recap experiment: its assets, checks, schedules and sensors beside those of the project.

    Its assets keep their own keys, so a project holds one experiment.
    """

    experiment: Annotated[
        str | dict[str, Any],
        dg.Resolver.default(
            description="The experiment's YAML file, below this component's folder, or its content."
        ),
    ]
    data: Annotated[
        str,
        dg.Resolver.default(description="The data folder, below the project's root."),
    ] = DATA

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Everything that Dagster's UI shows of an experiment; the project chooses the executor."""
        return definitions_within(self._opened(context), lists_pool=True)

    def _opened(self, context: dg.ComponentLoadContext) -> ComponentExperiment:
        data = context.project_root / self.data
        if isinstance(self.experiment, str):
            return ComponentExperiment(context.path / self.experiment, data)
        # Its own file, which the UI links to, and which is read again to see whether it changed.
        own = next(path for name in OWN_FILES if (path := context.path / name).exists())
        return ComponentExperiment(own, data, self.experiment)
