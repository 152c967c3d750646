"""Slices whose rows can be taken over, by the receipts of all experiments of a data folder."""

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import polars as pl

from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.artefacts.table import Table
from recap_assets.engines.protocols import SAME_SIZE
from recap_assets.graph.former import Wanted
from recap_assets.graph.kept_rows import UNREADABLE, KeptSlice, settings_digest
from recap_assets.graph.records import OUTSIDE
from recap_assets.storage.workspace import Workspace

Computed = Callable[[Workspace, str], pl.DataFrame]
"""What was computed of an asset of a workspace: the columns of LINEAGE."""

Kept = tuple[str, str, KeptSlice]
"""The digest of the settings, the partition, and a slice that was computed under them."""


class KeptSlices:
    """Parses the receipts of assets, each asset's once while they stay the same.

    Args:
        own: The workspace that is built.
        computed: Reads receipts.
    """

    def __init__(self, own: Workspace, computed: Computed) -> None:
        self._own, self._computed = own, computed
        self._parsed: dict[tuple[str, str], tuple[pl.DataFrame, list[Kept]]] = {}

    def of(self, workspace: Workspace, wanted: Wanted) -> Iterator[KeptSlice]:
        """The slices of one workspace, of the asset itself first."""
        for asset in self._assets(workspace, wanted):
            is_asset = workspace.root == self._own.root and asset == wanted.asset
            for digest, partition, kept in self._of_asset(workspace, asset, wanted):
                if digest == wanted.digest:
                    yield _own_or_not(kept, is_own=is_asset and partition == wanted.partition)

    def _assets(self, workspace: Workspace, wanted: Wanted) -> list[str]:
        try:
            slices = workspace.tables.slices(LINEAGE)
        except UNREADABLE:
            return []
        name, begins = wanted.by.table.name, wanted.by.table.key("")
        names = (at["asset"] for at in slices)
        assets = {one for one in names if one == name or one.startswith(begins)}
        return sorted(assets, key=lambda asset: (asset != wanted.asset, asset))

    def _of_asset(self, workspace: Workspace, asset: str, wanted: Wanted) -> list[Kept]:
        rows = self._computed(workspace, asset)
        key = (workspace.name, asset)
        before, parsed = self._parsed.get(key, (None, []))
        if before is not rows:
            parsed = list(self._parse(workspace, asset, rows, wanted))
            self._parsed[key] = (rows, parsed)
        return parsed

    def _parse(
        self, workspace: Workspace, asset: str, rows: pl.DataFrame, wanted: Wanted
    ) -> Iterator[Kept]:
        table = wanted.by.table
        names = dict(zip(table.slices, asset.split("/")[1:], strict=False))
        is_here = workspace.root == self._own.root
        elsewhere = asset if is_here else f"experiment {workspace.name}"
        receipts = list(rows.sort("built_at", descending=True).iter_rows(named=True))
        versions = _versions(table, receipts)
        for row in receipts:
            partition = row["partition"]
            written = json.loads(row["table_versions"]).get(table.name)
            if written is None or json.loads(row["facts"]).get("reproducible") == SAME_SIZE:
                continue
            of_partition = versions[partition]
            later = of_partition[bisect_right(of_partition, written) :]
            whose = elsewhere
            if is_here and asset == wanted.asset:
                whose = "earlier versions" if later else "the present version"
            kept = KeptSlice(
                workspace.tables, table.slice_at(partition, names), written,
                later[0] if later else None, row["data_version"], row["n_rows"], row["seconds"],
                row["device"], json.loads(row["provenance"]), whose,
            )  # fmt: skip
            yield _digest_of(row, wanted), partition, kept


def _own_or_not(kept: KeptSlice, *, is_own: bool) -> KeptSlice:
    return KeptSlice(**{**vars(kept), "is_own": is_own}) if is_own else kept


def _versions(table: Table, receipts: list[dict[str, Any]]) -> Mapping[str, list[int]]:
    """The versions at which each partition's slice was written, in order."""
    found: dict[str, set[int]] = {}
    for row in receipts:
        if (version := json.loads(row["table_versions"]).get(table.name)) is not None:
            found.setdefault(row["partition"], set()).add(version)
    return {partition: sorted(versions) for partition, versions in found.items()}


def _digest_of(row: Mapping[str, Any], wanted: Wanted) -> str:
    reads, inputs = json.loads(row["reads"]), json.loads(row["inputs"])
    whole = {
        name: version
        for name, version in inputs.items()
        if reads.get(name) == "all" or (name == OUTSIDE and not wanted.by.is_outside_hashed)
    }
    decides = json.loads(row["decides"])
    return settings_digest(row["implementation"], decides, wanted.by.names, whole)
