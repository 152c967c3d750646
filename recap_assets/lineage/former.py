"""Results that were computed before, found by the receipts of all experiments of a data folder."""

import json
import time
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.graph.former import Former, Wanted
from recap_assets.graph.kept_rows import KeptSlice
from recap_assets.lineage.kept_rows import KeptSlices
from recap_assets.storage.errors import StorageError
from recap_assets.storage.locations import is_url
from recap_assets.storage.workspace import Workspace

LOOK_SECONDS = 30.0
"""How long a look at an experiment's receipts holds. What is recorded meanwhile is computed here,
too, where it would have been taken over."""


class ReceiptsOfAll:
    """The receipts of an experiment and of its neighbours in the data folder.

    Neighbours are looked at where the tables are on a disk; in an object store an experiment knows
    its own former results only.

    Args:
        workspace: The experiment's own.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._own = workspace
        self._looked: dict[tuple[str, str], tuple[float, pl.DataFrame]] = {}
        self._slices = KeptSlices(workspace, self._computed)

    def of(self, asset: str, partition: str, fingerprint: str) -> Iterable[Former]:
        """Results of an asset's partition with this fingerprint: its own, then the neighbours'."""
        for workspace in self._workspaces:
            rows = self._computed(workspace, asset)
            wanted = rows.filter(partition=partition, fingerprint=fingerprint)
            for row in wanted.sort("built_at", descending=True).iter_rows(named=True):
                yield self._former(workspace, row)

    def slices(self, wanted: Wanted) -> Iterable[KeptSlice]:
        """Slices that were computed under equal settings: its own, then the neighbours'."""
        for workspace in self._workspaces:
            yield from self._slices.of(workspace, wanted)

    @cached_property
    def _workspaces(self) -> tuple[Workspace, ...]:
        return (self._own, *_neighbours(self._own))

    def _computed(self, workspace: Workspace, asset: str) -> pl.DataFrame:
        """What was computed of an asset: the columns of LINEAGE."""
        key = (workspace.name, asset)
        looked, rows = self._looked.get(key, (-LOOK_SECONDS, LINEAGE.empty()))
        now = time.monotonic()
        if now - looked > LOOK_SECONDS:
            rows = _read(workspace, asset)
            self._looked[key] = (now, rows)
        return rows

    def _former(self, there: Workspace, row: dict[str, Any]) -> Former:
        return Former(
            there,
            self._own,
            row["data_version"],
            row["n_rows"],
            row["seconds"],
            row["device"],
            json.loads(row["rejected"]),
            json.loads(row["facts"]),
            json.loads(row["provenance"]),
            json.loads(row["table_versions"]),
            f"{row['built_at']:%Y-%m-%d}",
        )


def _neighbours(own: Workspace) -> Iterator[Workspace]:
    if own.tables_root is not None and is_url(own.tables_root):
        return
    root = own.data if own.tables_root is None else Path(own.tables_root)
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        workspace = Workspace(own.data, folder.name, own.tables_root)
        log = Path(workspace.tables.uri(LINEAGE)) / "_delta_log"
        if folder.name != own.name and log.is_dir():
            yield workspace


def _read(workspace: Workspace, asset: str) -> pl.DataFrame:
    """None where the receipts cannot be read: it is another experiment's affair to mend them."""
    tables = workspace.tables
    try:
        rows = LINEAGE.empty() if tables.lost(LINEAGE) else tables.read(LINEAGE, asset=asset)
    except StorageError:
        return LINEAGE.empty()
    return rows.filter(~pl.col("reused")).unique(["partition", "instance", "event_id"])
