"""A reader of one facet stays up to date while that facet stays, whatever else changes."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from recap_assets.artefacts.facets import HASHES, IMAGES, POOL_FACETS, TEXTS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.graph.building import Built, build_partition
from recap_assets.graph.content import StoredRows, TablesLook, held_rows
from recap_assets.graph.former import Former
from recap_assets.graph.node import Dependency, Graph, Node, Outcome, Place, Rows, Step, merged
from recap_assets.graph.planner import plan
from recap_assets.graph.records import NO_VERSIONS
from recap_assets.storage.content import facet_version
from recap_assets.storage.tables import TableStore
from recap_assets_tests.tiny import Memory

PARTITIONS: tuple[str, ...] = ("00000", "00001", "00002")
POOL = RAW_POOL.key()
READS: Mapping[str, tuple[Dependency, ...]] = {
    "captions": (Dependency(POOL, "same", (IMAGES,)),),
    "languages": (Dependency(POOL, "same", (TEXTS,)),),
    "pairs": (Dependency(POOL, "same", (TEXTS,)), Dependency(POOL, "same", (IMAGES,))),
    "page": (Dependency(POOL, "all"),),
    "copies": (Dependency(POOL, "all", (IMAGES,)),),
    "leaks": (Dependency(POOL, "all", (HASHES,)),),
}


def sample(shard: int, number: int) -> dict[str, object]:
    return {
        "shard": shard, "uid": bytes([shard, number] * 8), "key": f"{number:04d}",
        "offset": 512 * (number + 1), "size": 100, "image_format": "JPEG", "width": 20,
        "height": 30, "text": f"text {shard} {number}", "sha256": bytes([shard, number] * 16),
        "perceptual_hash": 100 * shard + number, "status": "ok",
    }  # fmt: skip


class Pool(Memory):
    """A pool in a real table, whose samples a test edits, and readers whose result is a name."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.tables = TableStore(str(folder))
        self.samples = {p: [sample(i, n) for n in range(4)] for i, p in enumerate(PARTITIONS)}
        self.reads = dict(READS)
        self.asked: list[str] = []
        self.shards = dict.fromkeys(PARTITIONS, 0)

    @property
    def graph(self) -> Graph:
        content = StoredRows(self.tables, RAW_POOL, facets=POOL_FACETS)
        pool = Node(
            key=POOL, stage="test", dimension="pool", dependencies=(), implementation=1,
            decides="{}", compute=self._index, description="", content=content,
            outside=lambda partition: str(self.shards[partition]),
        )  # fmt: skip
        readers = [
            Node(
                key=key, stage="test", implementation=1, decides=json.dumps(key), description="",
                dimension="pool" if reads[0].partitions == "same" else "none",
                dependencies=reads, compute=lambda step: Outcome(step.asset, n_rows=1),
            )
            for key, reads in self.reads.items()
        ]  # fmt: skip
        look = lambda: TablesLook(self.tables)  # noqa: E731
        return Graph([pool, *readers], lambda _: PARTITIONS, look=look, formers=self)

    def _index(self, step: Step) -> Rows:
        rows = pl.DataFrame(self.samples[step.partition], schema=RAW_POOL.unsliced)
        return Rows(rows)

    def of(self, asset: str, partition: str, fingerprint: str) -> Iterable[Former]:  # noqa: ARG002
        self.asked.append(fingerprint)
        return ()

    def build(self, asset: str, partition: str = "") -> Built:
        graph = self.graph
        built = build_partition(graph, self, graph.nodes[asset], partition)
        self.keep(graph.nodes[asset], partition, built)
        return built

    def index(self, partition: str, **edited: object) -> None:
        """Edit the first sample of a partition, and index it again."""
        self.samples[partition][0] |= edited
        self.shards[partition] += 1
        assert (POOL, partition) in self.planned()
        self.build(POOL, partition)

    def waiting(self, partition: str) -> set[tuple[str, str]]:
        return {
            (key, partition if reads[0].partitions == "same" else "")
            for key, reads in self.reads.items()
        }

    def planned(self) -> set[tuple[str, str]]:
        return {(entry.asset, entry.partition) for entry in plan(self.graph, self).entries}

    def reasons(self) -> dict[str, str]:
        return {entry.name: entry.reason for entry in plan(self.graph, self).entries}

    def bring_up_to_date(self) -> None:
        while ready := plan(self.graph, self).ready:
            self.build(ready[0].asset, ready[0].partition)

    def forget_facets(self) -> None:
        """Make the records those of a version that knew no facets."""
        for asset, records in self.records.items():
            self.records[asset] = {
                key: replace(record, facets=NO_VERSIONS, read=()) for key, record in records.items()
            }


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    pool = Pool(tmp_path)
    pool.bring_up_to_date()
    return pool


OF_TEXT = {("languages", "00001"), ("pairs", "00001"), ("page", "")}
OF_IMAGE = {("captions", "00001"), ("pairs", "00001"), ("page", ""), ("copies", "")}


def test_an_edited_text_reaches_those_who_read_texts(pool: Pool) -> None:
    pool.index("00001", text="edited", text_note="text_cut")
    assert pool.planned() == OF_TEXT
    pool.bring_up_to_date()
    assert pool.planned() == set()


def test_another_image_reaches_those_who_read_images(pool: Pool) -> None:
    pool.index("00001", sha256=b"o" * 32)
    assert pool.planned() == OF_IMAGE
    pool.index("00001", perceptual_hash=7)
    assert pool.planned() == OF_IMAGE | {("leaks", "")}


def test_a_sample_more_reaches_all(pool: Pool) -> None:
    pool.samples["00001"].append(sample(1, 9))
    pool.index("00001")
    assert pool.planned() == pool.waiting("00001")


@pytest.mark.parametrize(
    "edited",
    [
        {"offset": 9_999, "size": 5, "key": "moved"},
        {"url": "http://example.org", "original_sha256": b"x" * 32, "image_format": "PNG"},
    ],
    ids=["place", "metadata"],
)
def test_what_no_facet_holds_reaches_readers_of_the_whole(
    pool: Pool, edited: dict[str, object]
) -> None:
    pool.index("00001", **edited)
    assert pool.planned() == {("page", "")}


def test_the_place_counts_for_an_image_without_a_hash(tmp_path: Path) -> None:
    pool = Pool(tmp_path)
    pool.samples["00001"][0]["sha256"] = None
    pool.bring_up_to_date()
    pool.index("00001", offset=9_999)
    assert pool.planned() == OF_IMAGE


def test_the_reasons_name_the_facet(pool: Pool) -> None:
    pool.index("00001", sha256=b"o" * 32)
    assert pool.reasons() == {
        "captions[00001]": "raw_pool: images changed",
        "pairs[00001]": "raw_pool: images and texts changed",
        "page": "raw_pool: 1 of 3 partitions changed",
        "copies": "raw_pool: images of 1 of 3 partitions changed",
    }
    pool.index("00002", text="edited")
    assert pool.reasons()["copies"] == "raw_pool: images of up to 2 of 3 partitions changed"


def test_what_is_up_to_date_is_not_computed_whoever_asks(pool: Pool) -> None:
    before = pool.records["captions"]["00001"]
    pool.index("00001", text="edited")
    built = pool.build("captions", "00001")
    assert built.reused
    assert built.record.fingerprint == before.fingerprint
    # The event names the whole version that there is now, beside the event that it points to.
    now = pool.records[POOL]["00001"]
    assert built.record.inputs.by_name == {POOL: now.data_version}
    assert built.input_events == {POOL: now.event_id}
    assert pool.planned() == OF_TEXT


def test_records_from_before_facets_hold_on(pool: Pool) -> None:
    pool.forget_facets()
    assert pool.planned() == set()
    pool.index("00001")
    assert pool.planned() == set()
    assert pool.build("captions", "00001").reused


def test_records_from_before_facets_rebuild_by_facet(pool: Pool) -> None:
    pool.forget_facets()
    pool.index("00001", text="edited")
    assert pool.planned() == OF_TEXT
    pool.index("00001", text="edited again")
    assert pool.planned() == OF_TEXT
    pool.index("00001", sha256=b"o" * 32)
    assert pool.planned() == OF_TEXT | OF_IMAGE


def test_some_readers_were_built_before_facets_and_some_after(pool: Pool) -> None:
    pool.forget_facets()
    pool.index("00001", text="edited")
    pool.bring_up_to_date()
    pool.index("00000", text="edited")
    pool.bring_up_to_date()
    pool.index("00001", text="edited again")
    assert pool.planned() == OF_TEXT
    pool.index("00002", sha256=b"o" * 32)
    assert {("captions", "00002"), ("copies", "")} <= pool.planned()


def test_rows_are_read_again_only_for_versions_of_another_kind(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def noted(tables: TableStore, place: Place) -> pl.DataFrame | None:
        asked.append(place.table.name)
        return held_rows(tables, place)

    monkeypatch.setattr("recap_assets.graph.content.held_rows", noted)
    pool.index("00001", text="edited")
    assert asked == []
    pool.forget_facets()
    pool.index("00001", text="edited again")
    assert asked == [RAW_POOL.name]


def test_a_facet_defined_anew_rebuilds_nothing(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    wider: Callable[[pl.DataFrame], pl.DataFrame] = lambda rows: rows.select("uid", "text", "url")  # noqa: E731
    monkeypatch.setitem(POOL_FACETS, TEXTS, wider)  # type: ignore[arg-type]
    pool.index("00001", sha256=b"o" * 32)
    assert pool.planned() == OF_IMAGE


def test_who_reads_another_facet_now_is_up_to_date_while_the_whole_is(pool: Pool) -> None:
    pool.index("00001", text="edited")
    pool.bring_up_to_date()
    pool.reads["languages"] = (Dependency(POOL, "same", (IMAGES,)),)
    assert pool.planned() == set()
    pool.index("00001", text="edited again")
    # What its record says of texts says nothing of images.
    assert ("languages", "00001") in pool.planned()


def test_a_former_result_is_asked_for_by_both_fingerprints(pool: Pool) -> None:
    graph, record = pool.graph, pool.records["captions"]["00001"]
    node = replace(
        graph.nodes["captions"], is_worth_keeping=True, content=graph.nodes[POOL].content
    )
    build_partition(pool.graph, pool, replace(node, implementation=2), "00001")
    newer = replace(node, implementation=2).code_version
    assert pool.asked == [
        record.as_read.fingerprint(newer),
        record.inputs.fingerprint(newer),
    ]


def test_damaged_rows_give_facets_new_versions(pool: Pool) -> None:
    pool.forget_facets()
    for path in Path(pool.tables.uri(RAW_POOL)).rglob("partition=00001/*.parquet"):
        path.unlink()
    pool.samples["00001"][0]["text"] = "edited"
    pool.build(POOL, "00001")
    rows = pool.tables.read(RAW_POOL, partition="00001")
    expected = {name: facet_version(of(rows)) for name, of in POOL_FACETS.items()}
    assert pool.records[POOL]["00001"].facets.by_name == expected


def test_edges_to_one_asset_are_one_edge() -> None:
    texts, images = Dependency("x", "same", (TEXTS,)), Dependency("x", "same", (IMAGES,))
    assert merged([texts, images]) == (Dependency("x", "same", (IMAGES, TEXTS)),)
    assert merged([texts, Dependency("x", "same"), images]) == (Dependency("x", "same"),)
    every = Dependency("x", "all")
    assert merged([texts, every, texts]) == (texts, every)
