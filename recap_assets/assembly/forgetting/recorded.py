"""What the lineage says of slices, and whether that is what is stored."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import polars as pl

from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.assembly.forgetting.places import Place
from recap_assets.graph.content import StoredRows
from recap_assets.graph.node import Node
from recap_assets.storage.errors import StorageError

At = Mapping[str, str | int]
Key = tuple[str, str]
"""An asset and a partition."""
Row = dict[str, Any]
"""Of the table `lineage`."""

UNREADABLE = (StorageError, OSError, ValueError, pl.exceptions.PolarsError)


def in_order(rows: pl.DataFrame) -> list[Row]:
    """Rows of the lineage, the newest of each partition last."""
    began = pl.col("built_at").min().over("instance")
    return rows.sort(began, "instance", "event_id").to_dicts()


def newest_rows(rows: list[Row]) -> dict[Key, Row]:
    """The newest row of each partition."""
    return {(row["asset"], row["partition"]): row for row in rows}


def unrecorded(place: Place, slices: Mapping[str, Collection[At]]) -> Iterator[Key]:
    """The partitions of these slices that hold something else than their newest row says."""
    rows = in_order(place.workspace.tables.read(LINEAGE))
    for key, row in newest_rows(rows).items():
        node = place.graph.nodes.get(key[0]) if place.graph else None
        if node is not None and lost_rows(node, key[1], slices):
            try:
                version = node.stored_version(key[1], {})
            except UNREADABLE:
                version = ""
            if version not in (None, row["data_version"]):
                yield key


def lost_rows(node: Node, partition: str, slices: Mapping[str, Collection[At]]) -> bool:
    """Whether a partition of an asset is one of these slices, or is made of some of them."""
    if isinstance(node.content, StoredRows):
        main, *_ = node.content.places(partition)
        return any(dict(at) == dict(main.at) for at in slices.get(main.table.name, ()))
    # Content in many slices, such as that of an import: named by the first of the slice columns.
    table, *names = node.key.split("/")
    found = (list(map(str, at.values())) for at in slices.get(table, ()))
    return any(names == values[: len(names)] for values in found)
