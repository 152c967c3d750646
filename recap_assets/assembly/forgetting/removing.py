"""The removal itself: each step leaves what can be read, and may be done twice."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from recap_assets.artefacts.catalogue import all_tables
from recap_assets.artefacts.exports import EXPORT_SHARDS, EXPORTS
from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.artefacts.report import REPORT
from recap_assets.artefacts.table import UID_BYTES, Table
from recap_assets.assembly.forgetting.finding import Found, files_with
from recap_assets.assembly.forgetting.identity import Identity
from recap_assets.assembly.forgetting.matching import without
from recap_assets.assembly.forgetting.places import Place
from recap_assets.assembly.forgetting.recorded import Key
from recap_assets.assembly.forgetting.relabelling import relabel
from recap_assets.assembly.forgetting.searching import holds
from recap_assets.captions.reply_cache import ReplyCache
from recap_assets.pool.assets import pool_of
from recap_assets.shards.manifest import partition_key
from recap_assets.storage.files import write_atomically
from recap_assets.storage.pins import MAX_BYTES, TABLE_VERSIONS
from recap_assets.storage.purging import overwrite, purge
from recap_assets.storage.refused import Refused
from recap_assets.untrusted.files import read_bounded
from recap_assets.untrusted.json_text import parse_json

OnStep = Callable[[str], None]
"""Called with what is being done."""
TakeEvents = Callable[[Path], int]
"""Removes the events of a folder of Dagster's storage; how many."""


@dataclass
class Gone:
    """What this call removed from one experiment.

    Attributes:
        n_members: Members of the platform's own tars.
        n_files: Old data files of tables.
        n_log_files: Entries of their logs.
        n_events: Dagster's events.
        n_relabelled: Partitions that have another data version now.
        files: Files and folders that were dropped or rewritten.
        receipts: Receipts that pin no version of the tables any more.
    """

    n_members: int = 0
    n_files: int = 0
    n_log_files: int = 0
    n_events: int = 0
    n_relabelled: int = 0
    files: list[str] = field(default_factory=list[str])
    receipts: list[str] = field(default_factory=list[str])


class Removal:
    """One experiment's removal.

    Args:
        place: The experiment.
        found: What it held before anything was changed.
        identity: Everything that is known of the samples.
        refused: The list, with the samples on it.
        take_events: Removes Dagster's events.
    """

    def __init__(
        self,
        place: Place,
        found: Found,
        identity: Identity,
        refused: Refused,
        take_events: TakeEvents,
    ) -> None:
        self._place, self._found = place, found
        self._identity, self._refused = identity, refused
        self._take_events = take_events
        self._dropped: set[str] = set()
        self.gone = Gone()

    def run(self, on_step: OnStep) -> Gone:
        """Remove everything; what was removed by a call before this one is no error."""
        name = self._place.name
        steps: list[tuple[str, Callable[[], object]]] = [
            ("its shards", self._shards),
            ("its tables", self._tables),
            ("its files", self._files),
            ("its receipts", self._receipts),
            ("its lineage", self._lineage),
            ("Dagster's events", self._events),
        ]
        for what, step in steps:
            on_step(f"{name}: removing from {what}")
            step()
        return self.gone

    def _shards(self) -> None:
        """Before the tables, which say in which shards the samples are."""
        project = self._place.project
        if project is None or not self._place.owns_pool:
            return
        self.gone.n_members = pool_of(project).forget(project, self._found.shards)

    def _tables(self) -> None:
        for table in all_tables().values():
            if table.name not in self._found.purged:
                continue
            self._rewrite(table)
            gone = purge(self._place.workspace.tables, table)
            self.gone.n_files += gone.n_files
            self.gone.n_log_files += gone.n_log_files

    def _rewrite(self, table: Table) -> None:
        store = self._place.workspace.tables
        slices = self._found.slices.get(table.name, ())
        if table.append_only and slices:
            rows = store.read(table)
            overwrite(store, table, without(table, rows, self._identity, self._refused))
            return
        for at in slices:
            rows = store.read(table, None, **at)
            left = without(table, rows, self._identity, self._refused)
            if not left.equals(rows):
                store.replace(table, at, left.drop(*table.slices) if table.slices else left)

    def _files(self) -> None:
        workspace = self._place.workspace
        data = workspace.data
        known = (data / name for name in self._found.files)
        hit = dict.fromkeys([*known, *files_with(self._place, self._identity)])
        if self._found.is_any and workspace.report.exists():
            # Its thumbnails are drawn again, so that no search finds what they show.
            hit |= dict.fromkeys([workspace.report])
        for path in hit:
            self._take(path)

    def _take(self, path: Path) -> None:
        """Rewrite a file where its others must stay; drop it, or its folder, elsewhere."""
        target = self._target(path)
        if path.suffix == ".uids":
            _without_uids(path, self._identity)
        elif target != path:
            target.with_name(f".{target.name}.files.json").unlink(missing_ok=True)
            shutil.rmtree(target, ignore_errors=True)
        elif holds(path, self._identity) and not self._is_shard(path):
            path.unlink(missing_ok=True)
        self._note(target)

    def _target(self, path: Path) -> Path:
        """What goes with a file: of an export and a report the whole folder."""
        workspace = self._place.workspace
        if path.is_relative_to(workspace.exports) and path != workspace.exports:
            return workspace.exports / path.relative_to(workspace.exports).parts[0]
        if path.is_relative_to(workspace.report.parent):
            return workspace.report.parent
        return path

    def _is_shard(self, path: Path) -> bool:
        project = self._place.project
        return (
            project is not None
            and self._place.owns_pool
            and any(Path(shard.url) == path for shard in project.shards.values())
        )

    def _note(self, target: Path) -> None:
        workspace = self._place.workspace
        if target.parent == workspace.exports:
            self._dropped |= {EXPORTS.key(target.name), EXPORT_SHARDS.key(target.name)}
        if target == workspace.report.parent:
            self._dropped.add(REPORT.key())
        data = workspace.data
        shown = str(target.relative_to(data)) if target.is_relative_to(data) else str(target)
        if shown not in self.gone.files:
            self.gone.files.append(shown)

    def _receipts(self) -> None:
        for path in sorted(self._place.workspace.receipts.glob("*.json")):
            content = cast("dict[str, Any]", parse_json(read_bounded(path, MAX_BYTES), MAX_BYTES))
            pinned = content[TABLE_VERSIONS]
            left = {name: at for name, at in pinned.items() if name not in self._found.purged}
            if left != pinned:
                write_atomically(path, json.dumps({**content, TABLE_VERSIONS: left}).encode())
                self.gone.receipts.append(path.stem)

    def _lineage(self) -> None:
        if not self._found.is_any:
            return
        self.gone.n_relabelled = relabel(
            self._place, self._found.slices, self._found.purged, self._dropped,
            list(self._scrubbed()), self._found.unrecorded,
        )  # fmt: skip
        purge(self._place.workspace.tables, all_tables()[LINEAGE.name])

    def _scrubbed(self) -> Iterator[Key]:
        project = self._place.project
        if project is None or not self._place.owns_pool or project.pool.made_by is None:
            return
        for number in self._found.shards:
            yield project.pool.made_by, partition_key(number, project.pool.shards_per_partition)

    def _events(self) -> None:
        if self._found.is_any:
            self.gone.n_events = self._take_events(self._place.workspace.instance)


def take_replies(path: Path, identity: Identity, *, dry_run: bool = False) -> int:
    """Remove the replies of captioning servers that hold a text of the samples alone.

    Returns:
        How many went, or would.
    """
    if not path.exists() or not identity.texts:
        return 0
    with ReplyCache(path) as kept:
        found = kept.with_texts(identity.texts)
        if found and not dry_run:
            kept.drop(found)
    return len(found)


def _without_uids(path: Path, identity: Identity) -> None:
    if not path.exists():
        return
    content = path.read_bytes()
    uids = [content[at : at + UID_BYTES] for at in range(0, len(content), UID_BYTES)]
    left = b"".join(uid for uid in uids if uid not in identity.uids)
    if left:
        write_atomically(path, left)
    else:
        path.unlink()
