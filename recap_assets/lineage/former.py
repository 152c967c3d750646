"""Results that were computed before, found by the receipts of all experiments of a data folder."""

import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.graph.former import Former, Wanted
from recap_assets.graph.kept_rows import KeptSlice
from recap_assets.graph.records import Inputs
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
        self._named: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._slices = KeptSlices(workspace, self._computed)

    def of(self, asset: str, partition: str, fingerprint: str) -> Iterable[Former]:
        """Results of an asset's partition with this fingerprint: its own, then the neighbours'."""
        for workspace in self._workspaces:
            rows = self._computed(workspace, asset)
            found = _newest_first(rows, partition)
            for row in found.filter(fingerprint=fingerprint).iter_rows(named=True):
                yield self._former(workspace, row, found)

    def named_otherwise(
        self, asset: str, partition: str, fingerprints: Collection[str], *, is_planned: bool = False
    ) -> Iterable[Former]:
        """Its own of another name, then the neighbours', the newest first of each asset.

        Receipts are read once more but for a plan: what this asks for takes far longer than that.
        """
        if not is_planned:
            self._looked.clear()
            self._named.clear()
        for workspace in self._workspaces:
            for other in self._alike(workspace, asset):
                found = _newest_first(self._computed(workspace, other), partition)
                for row in found.iter_rows(named=True):
                    if not _fingerprints_as(row, other, asset).isdisjoint(fingerprints):
                        yield self._former(workspace, row, found, (other, asset))

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

    def _alike(self, workspace: Workspace, asset: str) -> list[str]:
        """Assets with receipts that differ from an asset by the last part of their keys."""
        looked, names = self._named.get(workspace.name, (-LOOK_SECONDS, ()))
        now = time.monotonic()
        if now - looked > LOOK_SECONDS:
            names = _with_receipts(workspace)
            self._named[workspace.name] = (now, names)
        begins, _, _ = asset.rpartition("/")
        return sorted(n for n in names if n != asset and n.rpartition("/")[0] == begins)

    def _former(
        self,
        there: Workspace,
        row: dict[str, Any],
        of_partition: pl.DataFrame,
        named: tuple[str, str] = ("", ""),
    ) -> Former:
        other, asset = named
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
            other,
            {_name(asset): _name(other)} if other else {},
            row["data_version"] == of_partition["data_version"][0],
        )


def _name(asset: str) -> str:
    return asset.rpartition("/")[2]


def _newest_first(rows: pl.DataFrame, partition: str) -> pl.DataFrame:
    return rows.filter(partition=partition).sort("built_at", descending=True)


def _with_receipts(workspace: Workspace) -> tuple[str, ...]:
    try:
        return tuple(str(at["asset"]) for at in workspace.tables.slices(LINEAGE))
    except StorageError:
        return ()


def _fingerprints_as(row: Mapping[str, Any], other: str, asset: str) -> set[str]:
    """The fingerprints that a receipt would have if its asset had another one's name.

    By what was read, and by the wholes: of two assets one may have been recorded before facets.
    """
    whole: dict[str, str] = json.loads(row["inputs"])
    read = {**whole, **json.loads(row["facets_read"])}
    named = (Inputs.of(inputs).renamed(_name(other), _name(asset)) for inputs in (whole, read))
    return {inputs.fingerprint(row["code_version"]) for inputs in named}


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
