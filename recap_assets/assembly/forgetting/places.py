"""The experiments of a data folder, as their own tables describe them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from recap_assets.artefacts.lineage import EXPERIMENTS, LINEAGE
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.assembly.graph import build_graph
from recap_assets.graph.node import Graph
from recap_assets.graph.project import Project
from recap_assets.specs.loading import parse_experiment
from recap_assets.specs.yaml_lines import Source
from recap_assets.storage.errors import StorageError
from recap_assets.storage.locations import is_url
from recap_assets.storage.workspace import Workspace
from recap_assets.untrusted.errors import RecapError


@dataclass(frozen=True)
class Place:
    """One experiment in the data folder.

    Attributes:
        workspace: Its folders.
    """

    workspace: Workspace

    @property
    def name(self) -> str:
        """The experiment's name."""
        return self.workspace.name

    @cached_property
    def project(self) -> Project | None:
        """The experiment as it was built last; None where no table says what it was."""
        tables = self.workspace.tables
        try:
            newest = tables.read(LINEAGE).sort("built_at")["experiment"]
            known = dict(tables.read(EXPERIMENTS).select("experiment", "content").iter_rows())
            content = known.get(newest[-1]) if len(newest) else None
            if content is None:
                return None
            experiment = parse_experiment(json.loads(content), Source(self.name))
        except RecapError:
            return None
        return Project(experiment, self.workspace, is_read_only=True)

    @cached_property
    def graph(self) -> Graph | None:
        """Its nodes; None where they cannot be had, such as without a package of its kinds."""
        try:
            return build_graph(self.project) if self.project else None
        except RecapError:
            return None

    @property
    def owns_pool(self) -> bool:
        """Whether the platform wrote the pool's shards: it drew or fetched them."""
        project = self.project
        return project is not None and project.pool.made_by is not None and not project.is_frozen


def places_of(data: Path, tables_root: str | None) -> Iterator[Place]:
    """All experiments of a data folder that have tables.

    Raises:
        StorageError: The tables are in an object store.
    """
    if tables_root is not None and is_url(tables_root):
        msg = (
            f"the tables are in {tables_root}: `recap forget` rewrites tables on a disk only. Copy "
            "them below a folder, name that with RECAP_TABLES, and copy them back, without the "
            "bucket's own versions"
        )
        raise StorageError(msg)
    root = data if tables_root is None else Path(tables_root)
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        workspace = Workspace(data, folder.name, tables_root)
        tables = (LINEAGE, RAW_POOL)
        if any((Path(workspace.tables.uri(table)) / "_delta_log").is_dir() for table in tables):
            yield Place(workspace)
