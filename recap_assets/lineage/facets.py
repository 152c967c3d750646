"""Which facets were read of versions that the storage no longer has."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from recap_assets.lineage.origin import Origin

Row = Mapping[str, Any]
"""A row of the table `lineage`."""


def still_holds(origin: Origin, asset: str, row: Row, now: Row) -> bool:
    """Whether all that was read of a receipt's version is as it was in a later one.

    Args:
        origin: The tree that the receipt is in.
        asset: What the receipt is of.
        row: The receipt.
        now: The later one, of the same partition.
    """
    read = list(_read(origin, asset, row, now))
    facets = {facet for one in read for facet in one}
    is_known = bool(read) and all(read)
    return is_known and all(_version(row, facet) == _version(now, facet) for facet in facets)


def _version(row: Row, facet: str) -> str:
    return json.loads(row["facets"]).get(facet, row["data_version"])


def _read(origin: Origin, asset: str, row: Row, now: Row) -> Iterator[list[str]]:
    """The facets that each reader of the receipt's version read; none where it read all of it."""
    for ancestor in origin.ancestors.values():
        if asset not in ancestor.reads:
            continue
        for reader in ancestor.rows.iter_rows(named=True):
            reach = json.loads(reader["reads"]).get(asset)
            newest = json.loads(reader["input_events"]).get(asset, -1)
            is_own = reach == "all" or reader["partition"] in ("", row["partition"])
            if reach and is_own and row["event_id"] <= newest < now["event_id"]:
                names, _, _ = json.loads(reader["facets_read"]).get(asset, "").rpartition("=")
                yield names.split("+") if names else []
