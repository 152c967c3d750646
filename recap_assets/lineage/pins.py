"""Receipts: what a version of an asset came from, kept in a file of its own.

A receipt holds the whole lineage of the version, the experiment and the pool's manifest, so that
the version can be verified and rebuilt after the experiment went on. The Delta versions that it
names survive `recap gc`.
"""

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from recap_assets.artefacts import EXPERIMENTS, LINEAGE, RAW_POOL
from recap_assets.graph.node import Graph
from recap_assets.graph.project import Project
from recap_assets.graph.records import OUTSIDE
from recap_assets.lineage.origin import Origin, rows_of
from recap_assets.lineage.rows import LineageError, Receipts, canonical
from recap_assets.lineage.walk import lineage_of
from recap_assets.shards.manifest import Shard
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.file_places import located
from recap_assets.specs.loading import load_experiment, parse_experiment
from recap_assets.specs.yaml_lines import Source
from recap_assets.specs.yaml_text import dump_yaml
from recap_assets.storage.files import write_atomically
from recap_assets.storage.pins import MAX_BYTES
from recap_assets.storage.workspace import Workspace
from recap_assets.untrusted.errors import RecapError, UntrustedError
from recap_assets.untrusted.files import read_bounded
from recap_assets.untrusted.json_text import parse_json
from recap_assets.untrusted.showing import one_line

FORMAT = 1
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class ReceiptError(RecapError, ValueError):
    """A receipt cannot be written or read; the text says why and what to do."""


@dataclass(frozen=True)
class PoolPartition:
    """The shards that a pool partition was read from.

    Attributes:
        partition: Its key.
        shards: Its shards by the manifest as it is now.
        recorded: Version of the shards when they were read.
        now: Their version now; None where the partition left the pool.
    """

    partition: str
    shards: tuple[Shard, ...]
    recorded: str
    now: str | None

    @property
    def changed(self) -> bool:
        """Whether the shards are others than those that were read."""
        return self.recorded != self.now


@dataclass(frozen=True)
class Pinned:
    """A receipt as it was read from its file."""

    path: Path
    content: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name it was given."""
        return str(self.content["name"])

    @property
    def asset(self) -> str:
        """The asset whose version it is."""
        return str(self.content["asset"])

    @cached_property
    def receipts(self) -> Receipts:
        """The receipts in it."""
        return Receipts.from_frame(rows_of(self.content["lineage"]))

    @cached_property
    def origin(self) -> Origin:
        """The whole tree of the version."""
        return lineage_of(self.receipts, self.asset)

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment as it was."""
        return parse_experiment(dict(self.content["experiment"]), Source(str(self.path)))

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The pool's shards as they were."""
        shards = tuple(Shard(**row) for row in self.content["pool"]["shards"])
        for shard in shards:
            if not isinstance(shard.url, str) or not isinstance(shard.number, int):
                msg = f"{shard} is no shard of a pool"
                raise TypeError(msg)
        return shards


def receipts_of(workspace: Workspace, asset: str) -> Receipts:
    """What the table `lineage` remembers of an asset and of all that it ever read."""
    return Receipts.from_table(lambda: workspace.tables.scan(LINEAGE), asset)


def experiments_of(workspace: Workspace) -> Mapping[str, Experiment]:
    """Every experiment that was built in the workspace, by its hash."""
    rows = workspace.tables.read(EXPERIMENTS).select("experiment", "content").unique("experiment")
    return {
        key: parse_experiment(json.loads(content), Source(key)) for key, content in rows.iter_rows()
    }


def pool_partitions(project: Project, graph: Graph, origin: Origin) -> list[PoolPartition]:
    """The pool end of a tree: shards of each pool partition, and whether they changed since."""
    shards = project.partitions
    found = []
    for asset in (RAW_POOL.key(), project.pool.made_by):
        if asset is None or asset not in origin.ancestors:
            continue
        rows = origin.ancestors[asset].rows.unique("partition", keep="last").sort("partition")
        outside = graph.nodes[asset].outside if asset in graph.nodes else None
        for partition, text in rows.select("partition", "inputs").iter_rows():
            if (recorded := json.loads(text).get(OUTSIDE)) is None:
                continue
            now = outside(partition) if outside and partition in shards else None
            found.append(PoolPartition(partition, shards.get(partition, ()), recorded, now))
    return found


def pin(project: Project, origin: Origin, name: str) -> Path:
    """Write the receipt of an asset's present state.

    Raises:
        ReceiptError: The name is taken, or is none that a file can have.
    """
    path = _path(project.workspace, name)
    if path.exists():
        given = ", ".join(sorted(p.stem for p in path.parent.glob("*.json")))
        msg = f"a receipt {name!r} exists already and is never replaced; taken names: {given}"
        raise ReceiptError(msg)
    content = {
        "recap_receipt": FORMAT,
        "name": name,
        "asset": origin.asset,
        "version": origin.root.version,
        "pinned_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "experiment": project.experiment.model_dump(mode="json"),
        "pool": {"shards": [asdict(shard) for shard in project.shards.values()]},
        "data_versions": origin.data_versions,
        "table_versions": origin.table_versions,
        "lineage": origin.as_json(),
    }
    write_atomically(path, canonical(content).encode())
    return path


def experiment_to_rebuild(pinned: Pinned) -> dict[str, Any]:
    """The experiment of a receipt, to be built in a folder of its own: exports go there as well.

    Places in old receipts may be relative; those are below the working folder.
    """
    content = located(pinned.experiment, Path.cwd()).model_dump(mode="json")
    for export in content.get("exports", {}).values():
        export["folder"] = None
    return content


def write_experiment(pinned: Pinned, path: Path) -> None:
    """Write the experiment of a receipt as a file, to be built in a folder of its own.

    Raises:
        ReceiptError: The file would not be read as what the receipt holds: a text of the receipt
            is data, and nothing in it is filled in from this machine's environment.
    """
    content = experiment_to_rebuild(pinned)
    write_atomically(path, dump_yaml(content).encode())
    if load_experiment(path) != parse_experiment(content, Source(str(pinned.path))):
        msg = (
            f"{pinned.path}: {path}, written from it, is read as another experiment on this "
            "machine, so nothing is built of it; please report it"
        )
        raise ReceiptError(msg)


def reached_outside(pinned: Pinned) -> list[str]:
    """What a rebuild would read or ask beyond its own folder: places, servers, names of keys."""
    shards = {posixpath.dirname(shard.url) for shard in pinned.shards}
    places = [f"pool: {one_line(place, 300)}" for place in sorted(shards)]
    return places + list(_places(experiment_to_rebuild(pinned), ""))


def _places(value: object, key: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _places(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _places(inner, key)
    elif isinstance(value, str) and ("/" in value or key.endswith("_env")):
        yield f"{key}: {one_line(value, 300)}"


def read_receipt(where: str | Path, workspace: Workspace | None = None) -> Pinned:
    """A receipt from a file, or by its name in a workspace.

    Raises:
        ReceiptError: There is none, or the file is no receipt.
    """
    path = Path(where) if workspace is None else _path(workspace, str(where))
    try:
        content = parse_json(read_bounded(path, MAX_BYTES), MAX_BYTES)
    except FileNotFoundError as error:
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.json"))) or "none"
        msg = f"there is no receipt {path}; receipts there: {known}. `recap pin` writes one"
        raise ReceiptError(msg) from error
    except (OSError, UntrustedError) as error:
        raise ReceiptError(f"{path} cannot be read as JSON: {error}") from error
    return _checked(path, content)


def _checked(path: Path, content: object) -> Pinned:
    if not isinstance(content, dict) or content.get("recap_receipt") != FORMAT:
        msg = f"{path} is no receipt of format {FORMAT}, as `recap pin` writes them"
        raise ReceiptError(msg)
    pinned = Pinned(path, content)
    _check_name(path, content)
    try:
        if pinned.origin.root.version != content["version"]:
            msg = (
                f"{path}: its rows give version {pinned.origin.root.version}, not "
                f"{content['version']} as it says; it was edited or damaged"
            )
            raise ReceiptError(msg)
        _ = (pinned.shards, pinned.experiment, pinned.name)
    except (KeyError, TypeError, ValueError, AttributeError, LineageError) as error:
        if isinstance(error, RecapError) and not isinstance(error, LineageError):
            raise
        raise ReceiptError(f"{path} is damaged: {one_line(repr(error), 300)}") from error
    return pinned


def _check_name(path: Path, content: Mapping[str, Any]) -> None:
    """A receipt is data: its name is that of a folder, and leads nowhere else."""
    name = content.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        msg = f"{path}: a receipt cannot be called {one_line(str(name), 80)!r}; it was edited"
        raise ReceiptError(msg)


def _path(workspace: Workspace, name: str) -> Path:
    if not NAME.fullmatch(name):
        msg = (
            f"a receipt cannot be called {name!r}: use letters, digits, dots, dashes and "
            "underscores, at most 64, beginning with a letter or digit"
        )
        raise ReceiptError(msg)
    return workspace.receipts / f"{name}.json"
