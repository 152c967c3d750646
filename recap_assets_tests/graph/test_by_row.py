"""Rows that were computed before are taken over where they are the same, and computed elsewhere."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from recap_assets.artefacts.table import INPUT_HASH, PARTITION, SHARD, SOURCE, UID, Column, Table
from recap_assets.graph.by_row import by_row
from recap_assets.graph.content import StoredRows
from recap_assets.graph.kept_rows import (
    UNKNOWN_GPU,
    ByRow,
    KeptSlice,
    class_of,
    input_hashes,
    settings_digest,
)
from recap_assets.graph.node import Rows, Step
from recap_assets.graph.reuse import Account, Reuse
from recap_assets.storage.tables import TableStore

WORDS = Table(
    "words", "Words.",
    {
        "source": SOURCE, "partition": PARTITION, "shard": SHARD, "uid": UID,
        "text": Column(pl.String, "It.", nullable=True), "input_hash": INPUT_HASH,
    },
    slices=("source", "partition"), order=("shard", "uid"),
)  # fmt: skip
BY = ByRow(WORDS, by_uid=True)
CPU = {
    "recap.torch": "2.9", "recap.torch_threads": "1", "recap.torch_kernels": "AVX512",
    "recap.processor": "one",
}  # fmt: skip
GPU = {"recap.torch": "2.9", "recap.gpu_device": "H200", "recap.gpu_capability": "9.0"}


def wanted(*uids: int, shard: int = 0, image: int = 0) -> pl.DataFrame:
    """Images of these uids; another `image` has another hash."""
    rows = {"shard": [shard] * len(uids), "uid": [bytes([uid]) * 16 for uid in uids]}
    hashes = [bytes([uid, image]) * 8 for uid in uids]
    schema = {"shard": pl.Int32, "uid": pl.Binary, "input_hash": pl.Binary}
    return pl.DataFrame({**rows, "input_hash": hashes}, schema=schema)


def written(rows: pl.DataFrame, word: str = "w") -> pl.DataFrame:
    return rows.with_columns(text=pl.lit(word) + pl.col("uid").bin.encode("hex").str.slice(0, 2))


class Store:
    """Slices of one table, each with what a receipt says of it."""

    def __init__(self, folder: Path) -> None:
        self.tables = TableStore(str(folder))

    def keep(self, rows: pl.DataFrame, partition: str = "0", source: str = "a") -> KeptSlice:
        at = {"source": source, "partition": partition}
        done = self.tables.replace(WORDS, at, rows)
        assert done.table_version is not None
        return KeptSlice(
            self.tables, at, done.table_version, None, done.data_version, rows.height, 8.0,
            "cpu", CPU, f"partition {partition}",
        )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def asked_of(rows: pl.DataFrame, *kept: KeptSlice, by: ByRow = BY) -> list[int]:
    """The uids that are left to ask for."""
    _, left = Reuse(by, lambda: kept).divided(WORDS, rows, CPU)
    return [uid[0] for uid in left["uid"]]


def test_only_what_changed_or_is_new_is_asked_for(store: Store) -> None:
    kept = replace(store.keep(written(wanted(1, 2, 3, 4))), is_own=True)
    other = store.keep(written(wanted(7)), "1")
    rows = pl.concat([wanted(1, 2), wanted(3, image=9), wanted(7, 8)])
    reuse = Reuse(BY, lambda: [kept, other])
    found, left = reuse.divided(WORDS, rows.with_columns(shard=pl.lit(5, pl.Int32)), CPU)
    assert [uid[0] for uid in left["uid"]] == [3, 8]
    assert found["text"].to_list() == ["w01", "w02", "w07"]
    # They are rows of the shard in which their images are now, and keep their hashes.
    assert found.select("shard").unique().rows() == [(5,)]
    assert found["input_hash"].to_list() == wanted(1, 2, 7)["input_hash"].to_list()
    assert reuse.account.facts == {
        "rows_computed": 2, "rows_reused": 3, "seconds_reused": 12.0,
        "rows_reused_from/partition 0": 2, "rows_reused_from/partition 1": 1,
    }  # fmt: skip
    # Of the seconds of four rows those of two, and all of the other slice's.
    assert reuse.account.seconds == 8.0 / 2 + 8.0


def test_a_row_of_another_uid_is_the_same_where_no_draw_depends_on_it(store: Store) -> None:
    kept = store.keep(written(wanted(1, 2)))
    renamed = wanted(1, 2).with_columns(uid=pl.Series([b"x" * 16, b"y" * 16]))
    assert asked_of(renamed, kept) == [ord("x"), ord("y")]
    assert asked_of(renamed, kept, by=replace(BY, by_uid=False)) == []


def test_what_failed_is_tried_again(store: Store) -> None:
    rows = written(wanted(1, 2)).with_columns(
        text=pl.when(pl.col("uid") == b"\x01" * 16).then(None).otherwise("text")
    )
    kept = store.keep(rows)
    assert asked_of(wanted(1, 2), kept) == []
    assert asked_of(wanted(1, 2), kept, by=replace(BY, retried=pl.col("text").is_null())) == [1]


def test_rows_without_a_hash_are_nobodys(store: Store) -> None:
    unknown = wanted(1).with_columns(input_hash=pl.lit(None, pl.Binary))
    assert asked_of(unknown, store.keep(written(unknown))) == [1]
    assert asked_of(wanted(1), store.keep(written(wanted(1)).drop("input_hash"))) == [1]


def test_another_class_of_device_computes_its_own_rows(store: Store) -> None:
    kept = store.keep(written(wanted(1)))
    assert asked_of(wanted(1), replace(kept, machine={**CPU, "recap.commit": "other"})) == []
    for other in (GPU | CPU, {**CPU, "recap.torch": "3.0"}, {**CPU, "recap.processor": "two"}, {}):
        assert asked_of(wanted(1), replace(kept, machine=other)) == [1]
    # Of a GPU the processor beside it decides nothing.
    assert class_of({**CPU, **GPU}) == class_of({**CPU, **GPU, "recap.processor": "two"})


def test_what_an_unknown_gpu_computed_is_computed_again(store: Store) -> None:
    kept = replace(store.keep(written(wanted(1))), machine=UNKNOWN_GPU)
    _, left = Reuse(BY, lambda: [kept]).divided(WORDS, wanted(1), UNKNOWN_GPU)
    assert left.height == 1


@pytest.mark.parametrize("is_own", [True, False])
def test_damaged_rows_are_computed(store: Store, is_own: bool) -> None:
    kept = replace(store.keep(written(wanted(1))), is_own=is_own)
    assert asked_of(wanted(1), kept) == []
    assert asked_of(wanted(1), replace(kept, data_version="0" * 32)) == [1]
    (file,) = Path(store.tables.uri(WORDS)).rglob("*.parquet")
    content = file.read_bytes()
    file.write_bytes(content[:60] + bytes(40) + content[100:])
    assert asked_of(wanted(1), kept) == [1]
    file.unlink()
    assert asked_of(wanted(1), kept) == [1]


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("is_own", [True, False])
def test_a_slice_that_was_replaced_is_found_in_an_earlier_version(
    store: Store,
    is_own: bool,
    is_known: bool,
) -> None:
    kept = replace(store.keep(written(wanted(1, 2))), is_own=is_own)
    later = store.keep(written(wanted(1), "other"))
    if is_known:
        kept = replace(kept, replaced=later.written)
    assert asked_of(wanted(1, 2), kept) == []
    store.tables.remove(WORDS, later.at)
    assert asked_of(wanted(1, 2), kept) == []


def test_what_is_left_is_computed_in_a_step_that_says_what_is_asked(store: Store) -> None:
    kept = store.keep(written(wanted(1, 2)))
    seen: list[tuple[str, list[int]]] = []

    def compute(step: Step, rows: pl.DataFrame) -> pl.DataFrame:
        seen.append((step.asked[0], [uid[0] for uid in rows["uid"]]))
        return written(rows).drop("input_hash").tail(1)

    def build(rows: pl.DataFrame) -> pl.DataFrame:
        step = Step("0", "f" * 32, reuse=Reuse(BY, lambda: [kept]))
        return by_row(replace(step, machine=CPU), WORDS, rows, compute)

    # One that gives no row is left out, as an image that cannot be read.
    assert build(wanted(1, 3, 4))["text"].to_list() == ["w01", "w04"]
    assert build(wanted(1, 2)).height == 2
    build(wanted(5, 6))
    build(wanted(1, 5))
    digests, uids = zip(*seen, strict=True)
    assert uids == ([3, 4], [5, 6], [5])
    # What is kept of a partition on the way is that of these rows.
    assert len({*digests}) == 3


def test_where_one_shard_is_wanted_the_others_are_not_looked_for(store: Store) -> None:
    kept = store.keep(written(wanted(1, 2)))
    rows = pl.concat([wanted(1, 3), wanted(2, 4, shard=1), wanted(5, shard=2)])

    def of(only: int | None) -> tuple[list[int], dict[int, str], Account]:
        asked: list[int] = []
        digests: dict[int, str] = {}

        def compute(step: Step, rows: pl.DataFrame) -> pl.DataFrame:
            asked.extend(uid[0] for uid in rows["uid"])
            digests.update(step.asked)
            return written(rows).drop("input_hash")

        step = Step("0", "f" * 32, reuse=Reuse(BY, lambda: [kept]), machine=CPU, only=only)
        by_row(step, WORDS, rows, compute)
        return asked, digests, step.reuse.account

    asked, digests, account = of(None)
    assert asked == [3, 4, 5]
    assert (account.counted["rows_computed"], account.counted["rows_reused"]) == (3, 2)
    alone = [of(shard) for shard in range(3)]
    assert [one[0] for one in alone] == [[3], [4], [5]]
    # Parts that were made one by one are those that the whole partition looks for.
    assert digests == alone[0][1] | alone[1][1] | alone[2][1]


def test_equal_rows_of_something_else_are_written_with_their_hashes(store: Store) -> None:
    content = StoredRows(store.tables, WORDS, {"source": "a"})
    first = content.write(Step("0"), Rows(written(wanted(1))))
    again = content.write(Step("0", known_version=first.data_version), Rows(written(wanted(1))))
    assert not again.written[0].rewritten
    changed = Rows(written(wanted(1, image=3)))
    now = content.write(Step("0", known_version=first.data_version), changed)
    assert now.written[0].rewritten
    assert now.data_version == first.data_version
    stored = store.tables.read(WORDS, source="a", partition="0")
    assert stored["input_hash"].to_list() == wanted(1, image=3)["input_hash"].to_list()


def test_a_hash_is_that_of_all_columns_in_their_order() -> None:
    rows = pl.DataFrame({"a": ["x", "xy", "x", None], "b": [b"yz", b"z", b"yz", b"z"]})
    found = input_hashes(rows, "a", "b").to_list()
    assert found[0] == found[2] != found[1]
    assert found[3] is None
    assert found[0] != input_hashes(rows, "b", "a")[0]
    image = pl.DataFrame({"sha256": [bytes(range(32))]})
    assert input_hashes(image, "sha256").to_list() == [bytes(range(16))]


def test_settings_are_the_same_under_another_name() -> None:
    settings = {"scorer": {"kind": "a"}, "source": "one"}
    found = settings_digest(1, settings, ("source",), {"models/m": "v"})
    assert found == settings_digest(
        1, {**settings, "source": "two"}, ("source",), {"models/m": "v"}
    )
    for other in (
        settings_digest(2, settings, ("source",), {"models/m": "v"}),
        settings_digest(1, {**settings, "scorer": {}}, ("source",), {"models/m": "v"}),
        settings_digest(1, settings, ("source",), {"models/m": "w"}),
        settings_digest(1, settings, (), {"models/m": "v"}),
    ):
        assert found != other
