"""A small experiment without any model, built by Dagster in this process, to forget samples of."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import is_usable
from recap_assets.defs.session import Session
from recap_assets.graph.project import Project
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.assembly.forgetting.searched import Wanted
from recap_assets_tests.cli.shards_built import build

SMALL: Mapping[str, Any] = {
    "name": "small",
    "seed": 3,
    "pool": {
        "kind": "embedded", "samples": 45, "samples_per_shard": 15, "shards_per_partition": 1,
    },
    "sources": {"t": {"kind": "template", "template": "a picture, {raw}"}},
    "scorers": {"w": {"kind": "words", "measure": "words"}},
    "mixes": {
        "raw": [{"use": "raw"}],
        "top": [{"use": "raw", "where": {"top": 0.5}}, {"use": "t"}],
    },
    "exports": {
        "tars": {"mix": "top", "to": "webdataset"},
        "uids": {"mix": "top", "to": "subset"},
        "hub": {"mix": "raw", "to": "huggingface"},
    },
}  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """What was built, in a folder that a test may change."""

    folder: Path
    file: Path
    name: str

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    @property
    def workspace(self) -> Workspace:
        """Where the results are."""
        return Workspace(self.data, self.name)

    def copied(self, folder: Path) -> "Scene":
        """The same in another folder."""
        shutil.copytree(self.data, folder / "data")
        shutil.copy(self.file, folder / "experiment.yaml")
        return Scene(folder, folder / "experiment.yaml", self.name)

    def samples(self) -> pl.DataFrame:
        """Usable samples whose text and image no other has, by uid."""
        rows = self.workspace.tables.read(RAW_POOL).filter(is_usable())
        alone = ~pl.col("text").is_duplicated() & ~pl.col("sha256").is_duplicated()
        return rows.filter(alone & (pl.col("text").str.len_bytes() > 12)).sort("uid")

    def wanted(self, row: Mapping[str, Any], project: Project) -> Wanted:
        """What a search for a sample looks for, its image read from the pool."""
        content = Path(project.shards[row["shard"]].url).read_bytes()
        image = content[row["offset"] : row["offset"] + row["size"]]
        return Wanted(row["uid"], row["sha256"], image, (row["text"],))


def built(folder: Path, experiment: Mapping[str, Any], *assets: str) -> Scene:
    """Build an experiment whole, or these assets and what they read, where RECAP_DATA says."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "experiment.yaml"
    file.write_text(yaml.safe_dump(dict(experiment)))
    graph = Session(file).graph
    wanted = graph.ancestors(assets or graph.nodes)
    build(file, *(key for key in graph.nodes if key in wanted))
    return Scene(folder, file, str(experiment["name"]))
