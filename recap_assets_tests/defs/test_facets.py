"""An edited alt-text costs no caption, an edited image does: planned, asked for and built alike.

Captions come from a server on loopback, so nothing here loads a model.
"""

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest
from PIL import Image

from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.defs import assets as dagster_assets
from recap_assets.defs.automation.in_sync import verdicts
from recap_assets.defs.automation.outlook import Watch
from recap_assets.defs.events import BUILT, DATA_VERSION, INPUT_VERSION, materialization
from recap_assets.defs.platform import definitions_of
from recap_assets.defs.records import DagsterRecords
from recap_assets.defs.restoring import _entry
from recap_assets.defs.session import Session
from recap_assets.defs.storage_files import RECORDS_READ
from recap_assets.graph.content import StoredRows
from recap_assets.graph.planner import plan
from recap_assets.graph.records import Record
from recap_assets.graph.versions import Reading
from recap_assets.lineage.pins import receipts_of
from recap_assets.lineage.rows import Receipt
from recap_assets.lineage.walk import lineage_of
from recap_assets.storage.tables import TableStore
from recap_assets_tests.chat_server import MODEL, ChatServer
from recap_assets_tests.defs.test_building import TRIMMED
from recap_assets_tests.defs.test_events import events_of, runs_of

RAW, CAPTIONS, COPIES = "raw_pool", "synthetic_captions/server", "duplicates/same_bytes"
OF_RAW, OF_CAPTIONS = "diversity_statistics/raw", "diversity_statistics/server"
ALL = (RAW, CAPTIONS, COPIES, OF_RAW, OF_CAPTIONS)
PARTITIONS = ("00000", "00001")
Planned = Mapping[str, str]


def write_tar(folder: Path, number: int, texts: list[str], shade: int = 0) -> None:
    """A shard whose images are the same whenever it is written; the first one is of the shade."""
    folder.mkdir(exist_ok=True)
    with tarfile.open(folder / f"{number:08d}.tar", "w") as tar:
        for i, text in enumerate(texts):
            name, grey = 10 * number + i, 20 + 40 * number + 20 * i + (0 if i else shade)
            pixels = np.random.default_rng(name).integers(grey, grey + 16, (40, 40, 3), np.uint8)
            jpeg = io.BytesIO()
            Image.fromarray(pixels).save(jpeg, "JPEG")
            facts = json.dumps({"uid": f"{name:032x}"}).encode()
            # The text comes first: one of another length moves the image.
            contents = {"txt": text.encode(), "jpg": jpeg.getvalue(), "json": facts}
            for ending, content in contents.items():
                member = tarfile.TarInfo(f"{name:09d}.{ending}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


@dataclass
class Platform:
    """An experiment over two tars, and the server that captions their images."""

    pool: Path
    server: ChatServer
    open_session: Callable[[], Session]

    def __post_init__(self) -> None:
        write_tar(self.pool, 0, ["a boat on the sea", "a tree"])
        write_tar(self.pool, 1, ["a red house", "two dogs run"])
        self.session = self.open_session()
        self.session.create_tables()
        self.instance = self.session.open_instance()

    def run(self, *assets: str) -> None:
        for asset in assets:
            assert runs_of(self.session, self.instance)(asset, partitions=PARTITIONS).success

    def edit(self, first: str, shade: int = 0) -> None:
        """Another first text in a tar; of another shade, another first image with the same uid."""
        write_tar(self.pool, 1, [first, "two dogs run"], shade)
        self.session = self.open_session()
        self.session.project.scan()

    def planned(self) -> Planned:
        entries = plan(self.session.graph, DagsterRecords(self.instance)).entries
        return {one.name: one.reason for one in entries if one.asset in ALL}

    def asked_for(self) -> dict[str, set[str | None]]:
        """What the daemon would ask for now."""
        result = dg.evaluate_automation_conditions(definitions_of(self.session), self.instance)
        requested = {
            "/".join(one.key.path): set(result.get_requested_partitions(one.key))
            for one in result.results
            if not one.true_subset.is_empty
        }
        return {key: found for key, found in requested.items() if key in ALL}

    def out_of_sync(self) -> set[str]:
        """The assets whose check `in_sync` says that they are out of date."""
        found = verdicts(Watch(self.session).look(self.instance), ALL)
        return {key for key, verdict in found.items() if not verdict.passed}

    def record(self, asset: str, partition: str) -> Record:
        return DagsterRecords(self.instance).latest(asset)[partition]


@pytest.fixture
def platform(opened: Callable[..., Session], tmp_path: Path) -> Iterator[Platform]:
    server = ChatServer()
    source = {"kind": "openai", "model": MODEL, "base_url": server.base_url, "prompt": "Describe."}
    changes: dict[str, Any] = {
        **TRIMMED,
        "pool": {
            "kind": "webdataset", "shards": str(tmp_path / "pool"), "shards_per_partition": 1,
        },
        "sources": {"server": source},
        "sets": {"same_bytes": {"kind": "unique", "by": "sha256"}},
        "mixes": {"raw": [{"use": "raw", "where": {"in_set": "same_bytes"}}]},
        "automation": {"stages": ["pool", "captions", "sets", "diversity"]},
    }  # fmt: skip
    yield Platform(tmp_path / "pool", server, lambda: opened(**changes))
    server.stop()


TEXT_READERS = {f"{OF_RAW}[00001]": "raw_pool: texts changed"}
IMAGE_READERS = {
    f"{CAPTIONS}[00001]": "raw_pool: images changed",
    COPIES: "raw_pool: images and sizes of up to 2 of 2 partitions changed",
}


def test_an_edited_text_asks_for_no_caption(platform: Platform) -> None:
    platform.run(*ALL)
    n_asked = len(platform.server.asked)
    assert platform.planned() == {}
    platform.edit("a house that is red, and larger than any other: " * 20)
    platform.run(RAW)
    assert platform.planned() == TEXT_READERS
    assert platform.asked_for() == {OF_RAW: {"00001"}}
    assert platform.out_of_sync() == {OF_RAW}

    # Whoever materializes all of it in the UI computes nothing but that.
    platform.run(CAPTIONS, COPIES, OF_RAW, OF_CAPTIONS)
    assert len(platform.server.asked) == n_asked
    (told,) = [e for e in events_of(platform.instance, CAPTIONS)[2:] if e.partition == "00001"]
    assert told.metadata["reused"].value == "yes"
    # Dagster's tags are of wholes: it does not call the captions stale either.
    newest = events_of(platform.instance, RAW)[-1]
    assert newest.partition == "00001"
    assert told.tags[INPUT_VERSION + RAW] == newest.tags[DATA_VERSION]
    assert platform.planned() == {}


def test_another_image_asks_for_its_captions(platform: Platform) -> None:
    platform.run(*ALL)
    platform.edit("a red house", shade=70)
    platform.run(RAW)
    planned = platform.planned()
    assert planned.items() >= IMAGE_READERS.items()
    assert platform.asked_for().items() >= {CAPTIONS: {"00001"}, COPIES: {None}}.items()

    # The other image of the partition keeps its caption.
    platform.run(CAPTIONS)
    (told,) = [e for e in events_of(platform.instance, CAPTIONS)[2:] if e.partition == "00001"]
    rows = {name: told.metadata[name].value for name in told.metadata if "rows_" in name}
    assert rows == {
        "rows_computed": 1, "rows_reused": 1, "rows_reused_from/the present version": 1,
    }  # fmt: skip


def test_the_lineage_of_captions_that_stayed_is_proven(platform: Platform) -> None:
    platform.run(*ALL)
    before = platform.record(RAW, "00001").data_version
    platform.edit("edited")
    platform.run(RAW, OF_RAW)
    for _ in range(2):
        origin = lineage_of(receipts_of(platform.session.project.workspace, CAPTIONS), CAPTIONS)
        pool = origin.ancestors[RAW].rows
        assert not any(ancestor.uncertain for ancestor in origin.ancestors.values())
        assert pool.filter(partition="00001")["data_version"].to_list() == [before]
        # Where a run found them up to date they still come from what they were computed from.
        platform.run(CAPTIONS)


def test_what_is_recorded_is_read_back_from_events_lineage_and_file(platform: Platform) -> None:
    platform.run(*ALL)
    known = {asset: DagsterRecords(platform.instance).latest(asset) for asset in ALL}
    assert known[RAW]["00001"].facets.names == (
        "files", "images", "keys", "perceptual_hashes", "rejected_samples", "rejects", "samples",
        "sizes", "texts",
    )  # fmt: skip
    assert set(known[CAPTIONS]["00001"].facets_read) == {RAW}
    folder = platform.session.project.workspace.root
    for _ in range(2):
        records = DagsterRecords(platform.instance, folder)
        assert {asset: records.latest(asset) for asset in ALL} == known
        records.save()
    # The file of an earlier version is as good as none.
    file = folder / RECORDS_READ
    pl.read_parquet(file).drop("facets", "facet_versions", "read").write_parquet(file)
    assert DagsterRecords(platform.instance, folder).latest(CAPTIONS) == known[CAPTIONS]

    for row in platform.session.project.workspace.tables.read(LINEAGE).to_dicts():
        receipt = Receipt.parse(row)
        record = known[receipt.asset][receipt.partition]
        assert (receipt.fingerprint, receipt.facets) == (record.fingerprint, record.facets.by_name)
        event = _entry(receipt).dagster_event.step_materialization_data.materialization
        account = event.metadata[BUILT].value
        assert account["facets_read"] == record.facets_read


@pytest.fixture
def before_facets() -> Iterator[pytest.MonkeyPatch]:
    """Records as they were before facets were, until it is undone."""

    def event(*given: Any) -> dg.AssetMaterialization:
        made = materialization(*given)
        for name in ("facets", "facets_read"):
            assert made.metadata[BUILT].value.pop(name) == {}
        return made

    whole = lambda reading, record: replace(record, inputs=reading.whole)  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Reading, "record_with", whole)
        patch.setattr(StoredRows, "_facets", lambda *_: {})
        patch.setattr(dagster_assets, "materialization", event)
        yield patch


def test_an_upgrade_computes_nothing(platform: Platform, before_facets: pytest.MonkeyPatch) -> None:
    platform.run(*ALL)
    before_facets.undo()
    n_asked = len(platform.server.asked)
    assert platform.record(RAW, "00001").facets.names == ()
    assert platform.planned() == {}
    # The tars are copied: indexed again, with equal content.
    platform.edit("a red house")
    platform.run(RAW)
    assert platform.planned() == {}
    platform.run(*ALL)
    assert len(platform.server.asked) == n_asked
    # And an edit of a text afterwards is one.
    platform.edit("edited")
    platform.run(RAW)
    assert platform.planned() == TEXT_READERS


def test_the_first_edit_after_an_upgrade_is_of_its_facet_too(
    platform: Platform, before_facets: pytest.MonkeyPatch
) -> None:
    platform.run(*ALL)
    before_facets.undo()
    platform.edit("edited")
    platform.run(RAW)
    assert platform.planned() == TEXT_READERS
    platform.edit("edited", shade=70)
    platform.run(RAW)
    assert platform.planned().items() >= IMAGE_READERS.items()


def test_a_lineage_table_from_before_facets_is_read_and_appended_to(tmp_path: Path) -> None:
    later = ("facets", "facets_read")
    columns = {name: one for name, one in LINEAGE.columns.items() if name not in later}
    before, tables = replace(LINEAGE, columns=columns), TableStore(str(tmp_path))
    row = LINEAGE.empty().clear(1).with_columns(
        pl.lit("{}" if dtype == pl.String else 1).cast(dtype).alias(name)
        for name, dtype in LINEAGE.schema.items()
    )  # fmt: skip
    tables.append(before, row.drop(later))
    assert tables.read(LINEAGE).rows() == row.rows()
    newer = row.with_columns(
        pl.lit('{"images": "i"}').alias("facets"), event_id=pl.lit(2, pl.Int64)
    )
    tables.append(LINEAGE, newer)
    assert tables.read(LINEAGE).sort("event_id").rows() == [*row.rows(), *newer.rows()]
    # One that has not been upgraded yet writes as before.
    tables.append(before, row.drop(later))
    assert tables.read(LINEAGE)["facets"].to_list().count("{}") == 2
