"""The lineage after a removal: what is stored now is what it says was built.

A slice without some rows has another data version, and the versions of a table by which slices were
read are gone. Both are put right in the table `lineage`, in one transaction, from which Dagster's
records are made again. What is derived row by row from rewritten slices, without anything beside
that counts rows, is what a build would give, so it stays up to date. The rest is out of date, and
the next plan says so.
"""

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import polars as pl

from recap_assets.artefacts.catalogue import all_tables
from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import count_rejects
from recap_assets.assembly.forgetting.places import Place
from recap_assets.assembly.forgetting.recorded import (
    UNREADABLE,
    At,
    Key,
    Row,
    in_order,
    lost_rows,
    newest_rows,
)
from recap_assets.graph.content import StoredRows
from recap_assets.graph.node import Node
from recap_assets.graph.records import OUTSIDE, Inputs, Record
from recap_assets.graph.versions import facets_version
from recap_assets.storage.content import facet_version
from recap_assets.storage.purging import overwrite

FACT = "rewritten_by_forget"


@dataclass(frozen=True)
class Rewritten:
    """What became of one partition.

    Attributes:
        before: The data version that was recorded.
        record: The record from now on; of it data version, facets, rows and rejects count.
    """

    before: str
    record: Record


def relabel(
    place: Place,
    slices: Mapping[str, Collection[At]],
    purged: Collection[str],
    dropped: Collection[str],
    scrubbed: Collection[Key],
    unrecorded: Collection[Key],
) -> int:
    """Bring the lineage in line with what is stored.

    Args:
        place: The experiment.
        slices: Slices that lost rows, by table.
        purged: Tables of which only the present version is left.
        dropped: Assets whose files went: of these nothing was built.
        scrubbed: Partitions of assets whose files were rewritten.
        unrecorded: Partitions of which the lineage does not say what is stored: nothing counts as
            built of these.

    Returns:
        Partitions that have another data version now.
    """
    tables = place.workspace.tables
    rows = tables.read(LINEAGE)
    kept = [row for row in in_order(rows) if not _is_gone(row, dropped, unrecorded)]
    newest = newest_rows(kept)
    changed = _changed(place, newest, slices, scrubbed)
    versions = {key: row["data_version"] for key, row in newest.items()}
    now = {name: tables.version(all_tables()[name]) for name in purged}
    derived = _row_by_row(place)
    for row in kept:
        key = row["asset"], row["partition"]
        if row["data_version"] != versions[key]:
            continue
        _point_to_present(row, now)
        if key in changed:
            _rename(row, changed[key])
        if key[0] in derived:
            _update_inputs(row, changed)
        if key in scrubbed:
            _look_outside(row, place)
    frame = pl.DataFrame(kept, schema=LINEAGE.schema, orient="row")
    if not frame.equals(rows):
        overwrite(tables, LINEAGE, frame)
    return len(changed)


def _is_gone(row: Row, dropped: Collection[str], unrecorded: Collection[Key]) -> bool:
    return row["asset"] in dropped or (row["asset"], row["partition"]) in unrecorded


def _changed(
    place: Place,
    newest: Mapping[Key, Row],
    slices: Mapping[str, Collection[At]],
    scrubbed: Collection[Key],
) -> dict[Key, Rewritten]:
    found: dict[Key, Rewritten] = {}
    for key, row in newest.items():
        node = place.graph.nodes.get(key[0]) if place.graph else None
        if node is None or not (lost_rows(node, key[1], slices) or key in scrubbed):
            continue
        # What cannot be read is built again: its record stays another one's.
        with suppress(*UNREADABLE):
            if (version := node.stored_version(key[1], {})) is not None:
                found[key] = Rewritten(row["data_version"], _record(node, row, version))
    return {key: one for key, one in found.items() if one.before != one.record.data_version}


def _record(node: Node, row: Row, version: str) -> Record:
    recorded = Record(
        version, row["code_version"], Inputs.of(json.loads(row["inputs"])), row["n_rows"],
        rejected=tuple(json.loads(row["rejected"]).items()),
        facets=Inputs.of(json.loads(row["facets"])),
    )  # fmt: skip
    if not isinstance(node.content, StoredRows):
        return recorded
    main, *_ = node.content.places(row["partition"])
    rows = node.content.tables.read(main.table, None, **main.at)
    facets = {name: facet_version(of(rows)) for name, of in node.content.facets.items()}
    is_pool = main.table.name == RAW_POOL.name
    rejected = tuple(count_rejects(rows).items()) if is_pool else recorded.rejected
    return replace(recorded, n_rows=rows.height, rejected=rejected, facets=Inputs.of(facets))


def _row_by_row(place: Place) -> set[str]:
    """Assets whose rows depend on rows of the same uid alone, and that keep no sums beside."""
    nodes = place.graph.nodes.values() if place.graph else ()
    return {
        node.key
        for node in nodes
        if node.dimension == "pool"
        and isinstance(node.content, StoredRows)
        and all("uid" in one.table.columns for one in node.content.places(""))
    }


def _point_to_present(row: Row, now: Mapping[str, int | None]) -> None:
    versions = json.loads(row["table_versions"])
    present = {name: now[name] for name in versions.keys() & now.keys()}
    row["table_versions"] = _json({**versions, **present})


def _rename(row: Row, one: Rewritten) -> None:
    record = one.record
    row["data_version"] = record.data_version
    row["n_rows"] = record.n_rows
    row["rejected"] = _json(dict(record.rejected))
    row["facets"] = _json(record.facets.by_name)
    row["facts"] = _json({**json.loads(row["facts"]), FACT: "yes"})


def _update_inputs(row: Row, changed: Mapping[Key, Rewritten]) -> None:
    """Let it have read the present versions of what it read in the same partition."""
    reads = json.loads(row["reads"])
    inputs, facets = json.loads(row["inputs"]), json.loads(row["facets_read"])
    for asset, version in list(inputs.items()):
        one = changed.get((asset, row["partition"]))
        if one is None or reads.get(asset) != "same" or version != one.before:
            continue
        inputs[asset] = one.record.data_version
        if asset in facets:
            facets[asset] = facets_version(one.record, facets[asset])
    _set_inputs(row, inputs, facets)


def _look_outside(row: Row, place: Place) -> None:
    """Let it have read what there is outside now, such as the plan of a list without some rows."""
    node = place.graph.nodes.get(row["asset"]) if place.graph else None
    inputs = json.loads(row["inputs"])
    if node is not None and node.outside is not None and OUTSIDE in inputs:
        inputs[OUTSIDE] = node.outside(row["partition"])
        _set_inputs(row, inputs, json.loads(row["facets_read"]))


def _set_inputs(row: Row, inputs: Mapping[str, str], facets: Mapping[str, str]) -> None:
    whole = Inputs.of(inputs)
    read = Inputs(whole.names, whole.with_facets(facets) or whole.versions)
    row["inputs"], row["facets_read"] = _json(inputs), _json(facets)
    row["fingerprint"] = read.fingerprint(row["code_version"])


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True)
