"""Recomputed hashes against recorded ones, and rebuilds against receipts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.graph.node import Look, Node, Outcome, Place
from recap_assets.lineage.origin import Origin
from recap_assets.lineage.rows import Receipt
from recap_assets.lineage.verification import (
    CHANGED_SINCE,
    EDITED,
    REBUILT,
    SUPERSEDED,
    WHY_NOT,
    Verification,
    cause_of,
    compare,
    verify,
)
from recap_assets.lineage.walk import lineage_of
from recap_assets.storage.tables import StorageError
from recap_assets_tests.lineage.receipts import Log, small_log


@dataclass(frozen=True)
class Shelf:
    """Content that says which versions it holds."""

    versions: Mapping[str, str | None]
    in_table: bool = True

    def present(self, look: Look) -> set[str]:  # noqa: ARG002
        return set(self.versions)

    def places(self, partition: str) -> tuple[Place, ...]:
        return (Place(RAW_POOL, {"partition": partition}),) if self.in_table else ()

    def data_version(self, partition: str, table_versions: Mapping[str, int]) -> str | None:
        if partition not in self.versions:
            msg = f"table raw_pool has no version {table_versions}"
            raise StorageError(msg)
        return self.versions[partition]


def node(asset: str, shelf: Shelf) -> Node:
    return Node(
        key=asset, stage="pool", dimension="pool", dependencies=(), implementation=1, decides="{}",
        compute=lambda _step: Outcome("", 0), description="", content=shelf,
    )  # fmt: skip


def shelves(origin: Origin) -> dict[str, Node]:
    """Nodes that hold just what was recorded."""
    return {name: node(name, Shelf(held)) for name, held in origin.data_versions.items()}


def test_everything_in_the_tree_is_hashed_and_equal() -> None:
    origin = lineage_of(small_log().receipts(), "curated_mixes/m")
    nodes = shelves(origin)
    found = verify(origin, lambda asset, _: nodes[asset], lambda _: {}, present=False)
    assert not found.differences
    assert found.n_checked == sum(len(held) for held in origin.data_versions.values()) == 10


@pytest.mark.parametrize(
    ("shelf", "found", "meaning"),
    [
        (Shelf({"00000": "v2", "00001": "edited"}), "edited", EDITED),
        (Shelf({"00000": "v2", "00001": "later"}, in_table=False), "later", REBUILT),
        (Shelf({"00000": "v2"}), None, "cannot be read: table raw_pool has no version"),
    ],
)
def test_a_difference_names_partition_versions_and_meaning(
    shelf: Shelf, found: str | None, meaning: str
) -> None:
    origin = lineage_of(small_log().receipts(), "curated_mixes/m")
    nodes = {**shelves(origin), "raw_pool": node("raw_pool", shelf)}
    newest = {"00001": {"data_version": "later"}} if not shelf.in_table else {}
    result = verify(origin, lambda asset, _: nodes[asset], lambda _: newest, present=False)
    (difference,) = result.differences
    assert (difference.asset, difference.partition) == ("raw_pool", "00001")
    assert (difference.recorded, difference.found) == ("v5", found)
    assert meaning in difference.meaning


def test_what_cannot_be_hashed_is_told_and_is_no_difference() -> None:
    origin = lineage_of(small_log().receipts(), "curated_mixes/m")
    nodes = {**shelves(origin), "models/captioner": node("models/captioner", Shelf({"": None}))}
    del nodes["raw_pool"]
    found = verify(origin, lambda asset, _: nodes.get(asset), lambda _: {}, present=False)
    assert not found.differences
    assert set(found.unchecked) == {"raw_pool", "models/captioner"}
    assert found.n_checked == 7


def test_each_row_is_read_at_the_delta_version_that_was_recorded() -> None:
    asked: list[tuple[str, int]] = []

    @dataclass(frozen=True)
    class Asks(Shelf):
        def data_version(self, partition: str, table_versions: Mapping[str, int]) -> str | None:
            asked.append((partition, table_versions["raw_pool"]))
            return super().data_version(partition, table_versions)

    origin = lineage_of(small_log().receipts(), "raw_pool")
    asks = node("raw_pool", Asks({"00000": "v2", "00001": "v5"}))
    verify(origin, lambda *_: asks, lambda _: {}, present=False)
    assert asked == [("00000", 2), ("00001", 5)]


def test_what_the_table_holds_now_is_hashed_too_where_the_receipt_is_the_last() -> None:
    @dataclass(frozen=True)
    class EditedSince(Shelf):
        def data_version(self, partition: str, table_versions: Mapping[str, int]) -> str | None:
            return super().data_version(partition, table_versions) if table_versions else "edited"

    origin = lineage_of(small_log().receipts(), "raw_pool")
    shelf = node("raw_pool", EditedSince({"00000": "v2", "00001": "v5"}))
    last = {"00000": {"data_version": "v2"}, "00001": {"data_version": "built since"}}
    found = verify(origin, lambda *_: shelf, lambda _: last, present=True)
    assert [(d.partition, d.found, d.meaning) for d in found.differences] == [
        ("00000", "edited", CHANGED_SINCE)
    ]
    assert found.n_checked == 2
    assert not verify(origin, lambda *_: shelf, lambda _: last, present=False).differences


@dataclass(frozen=True)
class Vacuumed(Shelf):
    """Of the pool the table has Delta version 3 only; of anything else what was asked for."""

    def data_version(self, partition: str, table_versions: Mapping[str, int]) -> str | None:
        if table_versions.get("raw_pool", 3) != 3:
            msg = "its files were vacuumed"
            raise StorageError(msg)
        return super().data_version(partition, table_versions)


def edited(facets_read: Mapping[str, str], texts: str, images: str) -> Verification:
    """What verifying captions finds after their pool was indexed again, and the old rows went."""
    log = Log()
    log.build("raw_pool", "0", version="old", facets={"images": "i", "texts": "t"})
    log.build("captions", "0", {"raw_pool": "same"}, version="c", facets_read=facets_read)
    log.build("raw_pool", "0", version="new", facets={"images": images, "texts": texts})
    nodes = {
        "raw_pool": node("raw_pool", Vacuumed({"0": "new"})),
        "captions": node("captions", Shelf({"0": "c"})),
    }
    receipts = log.receipts()

    def newest(asset: str) -> dict[str, dict[str, Any]]:
        return {row["partition"]: row for row in receipts.of(asset).iter_rows(named=True)}

    origin = lineage_of(receipts, "captions")
    # What was read is proven by the receipts, however old it is.
    assert origin.root.uncertain == frozenset()
    assert origin.ancestors["raw_pool"].rows["data_version"].to_list() == ["old"]
    return verify(origin, lambda asset, _: nodes[asset], newest, present=True)


def test_a_version_that_is_kept_no_longer_is_verified_by_the_facets_that_were_read() -> None:
    found = edited({"raw_pool": "images=i"}, texts="other", images="i")
    assert not found.differences
    assert found.unchecked == {"raw_pool": SUPERSEDED}
    assert found.n_checked == 2


@pytest.mark.parametrize(
    ("facets_read", "texts", "images"),
    [
        ({}, "other", "i"),
        ({"raw_pool": "images=i"}, "t", "other"),
        ({"raw_pool": "images+texts=both"}, "other", "i"),
    ],
    ids=["all of it was read", "another facet now", "one of two facets is another"],
)
def test_a_version_that_is_kept_no_longer_is_a_difference_otherwise(
    facets_read: Mapping[str, str], texts: str, images: str
) -> None:
    (lost,) = edited(facets_read, texts, images).differences
    assert (lost.asset, lost.recorded, lost.found) == ("raw_pool", "old", None)


def built(**changes: object) -> Receipt:
    log = Log()
    log.build("a", "0", inputs={"outside": "s", "b": "v"})
    row = {**log.frame().row(0, named=True)}
    return Receipt(**{**vars(Receipt.parse(row)), **changes})


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"inputs": {"outside": "t", "b": "v"}}, "what it reads from outside changed"),
        ({"inputs": {"outside": "s", "b": "w"}}, "it reads b, which differs"),
        ({"implementation": 2}, "other code: implementation 1 then, 2 now"),
        ({"decides": "{}"}, "specs are read in another way"),
        ({"provenance": {"recap.commit": "abc", "recap.polars": "3"}}, "polars 2.1 then, 3 now"),
        ({"provenance": {"recap.polars": "2.1"}}, "commit abc then, unknown now"),
        ({"device": "H200"}, "device cpu then, H200 now"),
        ({}, WHY_NOT),
    ],
)
def test_the_probable_cause_of_a_difference(changes: dict[str, object], cause: str) -> None:
    assert cause in cause_of(built(), built(**changes))


def test_a_rebuild_is_compared_partition_by_partition_upstream_first() -> None:
    recorded = lineage_of(small_log().receipts(), "curated_mixes/m")
    log = small_log()
    for row in log.rows:
        if (row["asset"], row["partition"]) == ("raw_pool", "00001"):
            row["data_version"], row["inputs"] = "other", {"outside": "new shards"}
    again = lineage_of(log.receipts(), "curated_mixes/m")
    compared = list(compare(recorded, again))
    assert [one.asset for one in compared][-1] == "curated_mixes/m"
    assert [(c.asset, c.partition, c.found) for c in compared if not c.equal] == [
        ("raw_pool", "00001", "other")
    ]


def test_a_partition_that_was_not_built_again_differs() -> None:
    recorded = lineage_of(small_log().receipts(), "curated_mixes/m")
    again = lineage_of(small_log(["00000"]).receipts(), "curated_mixes/m")
    lost = [c for c in compare(recorded, again) if c.found is None]
    assert {c.partition for c in lost} == {"00001"}
    assert "left the pool" in lost[0].cause
