"""An experiment over tars that tests write, built here, with receipts as Dagster keeps them."""

import io
import json
import shutil
import tarfile
from collections.abc import Collection, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.assembly.graph import build_graph
from recap_assets.defs.events import Account, account_of
from recap_assets.defs.lineage import described_by
from recap_assets.graph.building import Built, build_partition
from recap_assets.graph.node import Node
from recap_assets.graph.planner import OutOfDate, plan
from recap_assets.graph.project import Project
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.defs.counting_kinds import asked
from recap_assets_tests.tiny import Memory, tiny_experiment


@dataclass(frozen=True)
class Sample:
    """A sample whose image is decided by a number."""

    uid: int
    text: str
    image: int

    def members(self) -> Iterator[tuple[str, bytes]]:
        pixels = np.random.default_rng(self.image).integers(0, 256, (16, 16, 3), np.uint8)
        png = io.BytesIO()
        Image.fromarray(pixels).save(png, "PNG")
        yield "txt", self.text.encode()
        yield "png", png.getvalue()
        yield "json", json.dumps({"uid": f"{self.uid:032x}", "boxes": BOXES}).encode()


BOXES = [[0, 0, 1, 0.5], [0, 0.5, 1, 1]]
"""The regions of an image: its halves."""

Shards = dict[str, list[Sample]]


def write_tar(path: Path, samples: Collection[Sample]) -> None:
    with tarfile.open(path, "w") as tar:
        for sample in samples:
            for ending, content in sample.members():
                member = tarfile.TarInfo(f"{sample.uid:09d}.{ending}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


@dataclass
class Platform:
    """An experiment over some tars.

    Attributes:
        folder: Where the pool is, below `pool`.
        data: The data folder.
        settings: Top-level keys of the tiny experiment that are others.
        computed: What the last build computed: asset and partition, in order.
    """

    folder: Path
    data: Path
    settings: dict[str, Any]
    memories: dict[tuple[Path, str], Memory] = field(default_factory=dict)
    accounts: dict[tuple[Path | str, ...], Account] = field(default_factory=dict)
    computed: list[tuple[str, str]] = field(default_factory=list)

    def write(self, pool: Shards) -> None:
        """Make these the pool's shards."""
        (self.folder / "pool").mkdir(exist_ok=True)
        for old in (self.folder / "pool").glob("*.tar"):
            old.unlink()
        for name, samples in pool.items():
            write_tar(self.folder / "pool" / f"{name}.tar", samples)

    def open(self, **changes: Any) -> None:
        experiment = tiny_experiment(**{**self.settings, **changes})
        self.memory = self.memories.setdefault((self.data, experiment.name), Memory())
        self.project = Project(experiment, Workspace(self.data, experiment.name))
        self.project.scan()
        self.graph = build_graph(self.project)

    def build(self, stages: Collection[str] = (), **changes: Any) -> dict[str, int]:
        """Build what is out of date, of all stages or of some; what models were asked for."""
        asked()
        self.open(**changes)
        self.computed = []
        while ready := self.ready(stages):
            for entry in ready:
                self.build_one(entry)
        return asked()

    def build_one(self, entry: OutOfDate) -> None:
        """Build a partition of what is open."""
        node = self.graph.nodes[entry.asset]
        built = build_partition(self.graph, self.memory, node, entry.partition)
        self.memory.keep(node, entry.partition, built)
        self.receipt(node, entry.partition, built)
        self.computed.append((entry.asset, entry.partition))

    def copied(self, data: Path) -> "Platform":
        """What was built, in another data folder."""
        shutil.copytree(self.data, data)
        memories = {(data, name): deepcopy(one) for (_, name), one in self.memories.items()}
        accounts = {(data, *of): one for (_, *of), one in self.accounts.items()}
        return replace(self, data=data, memories=memories, accounts=accounts, computed=[])

    def ready(self, stages: Collection[str] = ()) -> list[OutOfDate]:
        """What can be built now."""
        found = plan(self.graph, self.memory).ready
        return [one for one in found if not stages or self.graph.nodes[one.asset].stage in stages]

    def receipt(self, node: Node, partition: str, built: Built) -> None:
        """Keep the receipt of what was built, as Dagster's events are copied."""
        key = (self.data, self.project.experiment.name, node.key, partition)
        self.accounts[key] = account_of(node, built, self.accounts.get(key))
        made: dict[str, Any] = {
            "asset": node.key, "partition": partition, "instance": "i",
            "event_id": self.memory.n_events, "built_at": datetime.now(UTC), "run_id": "",
            "input_events": "{}", "experiment": "",
        }  # fmt: skip
        row = {**described_by(built.record, self.accounts[key]), **made}
        self.project.workspace.tables.append(LINEAGE, pl.DataFrame([row], schema=LINEAGE.schema))

    def facts(self, asset: str, partition: str | None = None) -> Mapping[str, Any]:
        """Of what was built last of an asset, or of one partition of it."""
        rows = self.project.workspace.tables.read(LINEAGE, asset=asset).sort("event_id")
        rows = rows if partition is None else rows.filter(partition=partition)
        return json.loads(rows["facts"][-1])

    def contents(self, *tables: Any) -> dict[str, list[tuple[object, ...]]]:
        """What is stored, as far as it is content, whatever partitions and shards are called."""
        for one in self.graph.leaving():
            one.remove()
        found: dict[str, list[tuple[object, ...]]] = {}
        for table in tables:
            names = [n for n in table.content if n not in ("partition", "shard")]
            rows = self.project.workspace.tables.read(table).select(names)
            found[table.name] = sorted(rows.rows(), key=repr)
        return found
