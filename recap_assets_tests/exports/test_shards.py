"""One shard: its bytes, its record, and that a finished one is known again."""

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recap_assets.exports.rows import export_rows
from recap_assets.exports.shards import ShardRecord, write_shard
from recap_assets.storage.folders import Folder
from recap_assets_tests.exports.samples import (
    HOSTILE,
    captions,
    content_of,
    images,
    pairs,
    sharded,
    uid_of,
)

N = 4


class Reads:
    """Images by uid; counts what was read, and lacks those that are told to be missing."""

    def __init__(self, *missing: int) -> None:
        self.missing, self.n = {uid_of(i) for i in missing}, 0
        self.contents = {uid_of(i): content_of(i) for i in range(N)}

    def __call__(self, rows: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, Sequence[bytes | None]]]:
        for batch in rows.iter_slices(3):
            self.n += batch.height
            found = [None if uid in self.missing else self.contents[uid] for uid in batch["uid"]]
            yield batch, found


def rows_of(export: Any) -> pl.DataFrame:
    said = captions((0, "raw", 0, HOSTILE, 0.1), (0, "cap", 0, "x", None), (0, "cap", 1, "y", 0.3))
    chosen = pairs(*({"image": i, "text": HOSTILE} for i in range(N)))
    return export_rows(chosen, images(range(N)), said, export).samples


def write(folder: Path, reads: Reads, to: str = "webdataset", **options: Any) -> ShardRecord:
    export = sharded(to, **options)
    record, _ = write_shard(Folder(str(folder)), export.form(), 0, rows_of(export), reads)
    return record


def test_names_are_made_of_uids_alone_whatever_the_pool_calls_things(tmp_path: Path) -> None:
    write(tmp_path / "tar", Reads())
    with tarfile.open(tmp_path / "tar" / "00000000.tar") as tar:
        names = tar.getnames()
    assert names == [
        f"{uid_of(i).hex()}-0.{end}" for i in range(N) for end in ("jpg", "json", "txt")
    ]
    write(tmp_path / "files", Reads(), "text_to_image")
    files = [path for path in (tmp_path / "files").rglob("*") if path.is_file()]
    found = {path.relative_to(tmp_path / "files").as_posix() for path in files}
    assert found == {
        "records/00000000.json", "train/00000000/metadata.jsonl",
        *(f"train/00000000/{uid_of(i).hex()}-0.jpg" for i in range(N)),
    }  # fmt: skip


def test_pythons_tarfile_and_we_agree_on_every_byte_of_a_tar(tmp_path: Path) -> None:
    write(tmp_path, Reads())
    ours = (tmp_path / "00000000.tar").read_bytes()
    buffer = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(ours)) as read,
        tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as again,
    ):
        for member in read.getmembers():
            info = tarfile.TarInfo(member.name)
            info.size, info.mode = member.size, 0o444
            again.addfile(info, read.extractfile(member))
    assert buffer.getvalue() == ours


def test_the_json_tells_of_every_caption_and_of_the_best_of_each_source(tmp_path: Path) -> None:
    write(tmp_path, Reads())
    with tarfile.open(tmp_path / "00000000.tar") as tar:
        told = json.load(tar.extractfile(f"{uid_of(0).hex()}-0.json"))  # type: ignore[arg-type]
        text = tar.extractfile(f"{uid_of(0).hex()}-0.txt").read()  # type: ignore[union-attr]
    assert text.decode() == HOSTILE
    assert (told["caption_raw"], told["caption_cap"]) == (HOSTILE, "y")
    assert [(c["source"], c["candidate"], c["score"]) for c in told["captions"]] == [
        ("raw", 0, 0.1), ("cap", 0, None), ("cap", 1, 0.3),
    ]  # fmt: skip
    assert (told["uid"], told["score"], told["weight"]) == (uid_of(0).hex(), 0.25, 1.0)


def test_a_finished_shard_is_not_read_again(tmp_path: Path) -> None:
    first = write(tmp_path, Reads())
    again = Reads()
    assert write(tmp_path, again) == first
    assert again.n == 0


def test_a_shard_whose_images_are_elsewhere_in_the_pool_is_not_written_again(
    tmp_path: Path,
) -> None:
    export, folder, reads = sharded("webdataset"), Folder(str(tmp_path)), Reads()
    rows = rows_of(export)
    record, _ = write_shard(folder, export.form(), 0, rows, reads)
    moved = rows.with_columns(
        shard=pl.col("shard") + 1, offset=pl.col("offset") + 512, key=pl.lit("another")
    )
    again, _ = write_shard(folder, export.form(), 0, moved, reads)
    assert (again, reads.n) == (record, N)
    # Where nobody knows which image it is, its place says so.
    unknown = rows.with_columns(sha256=pl.lit(None, pl.Binary))
    write_shard(folder, export.form(), 0, unknown, reads)
    write_shard(folder, export.form(), 0, unknown.with_columns(key=pl.lit("another")), reads)
    assert reads.n == 3 * N


@pytest.mark.parametrize("harm", ["record", "record_damaged", "cut", "gone", "other_rows"])
def test_a_shard_is_written_anew_where_it_is_not_what_its_record_says(
    tmp_path: Path, harm: str
) -> None:
    whole = write(tmp_path, Reads())
    tar, record = tmp_path / "00000000.tar", tmp_path / "00000000_stats.json"
    content = tar.read_bytes()
    match harm:
        case "record":
            record.unlink()
        case "record_damaged":
            record.write_text(record.read_text()[:-20])
        case "cut":
            tar.write_bytes(content[:-1])
        case "gone":
            tar.unlink()
        case "other_rows":
            said = json.loads(record.read_text())
            record.write_text(json.dumps({**said, "plan": "another"}))
    reads = Reads()
    assert write(tmp_path, reads) == whole
    assert (reads.n, tar.read_bytes()) == (N, content)


def test_an_image_that_is_gone_is_left_out_and_told_of_now_and_later(tmp_path: Path) -> None:
    record = write(tmp_path, Reads(2))
    assert (record.successes, record.pairs, record.sources) == (N - 1, N - 1, {"raw": N - 1})
    assert record.left_out == {f"{uid_of(2).hex()}-0": "image_changed"}
    assert write(tmp_path, Reads(2)) == record
    with tarfile.open(tmp_path / "00000000.tar") as tar:
        assert not [name for name in tar.getnames() if name.startswith(uid_of(2).hex())]


def test_options_that_change_the_bytes_change_the_plan(tmp_path: Path) -> None:
    asked = [
        ("webdataset", {}),
        ("webdataset", {"shuffle": 1}),
        ("webdataset", {"positives": "json"}),
        ("huggingface", {}),
        ("huggingface", {"images": False}),
        ("huggingface", {"rows_per_group": 2}),
        ("text_to_image", {}),
    ]
    plans = {
        write(tmp_path / str(i), Reads(), to, **options).plan
        for i, (to, options) in enumerate(asked)
    }
    assert len(plans) == len(asked)


def test_another_packages_new_implementation_changes_the_plan(tmp_path: Path) -> None:
    export = sharded()
    rows, folder = rows_of(export), Folder(str(tmp_path))
    given = [
        {},
        {"distribution": "d", "implementation": 1},
        {"distribution": "d", "implementation": 2},
    ]
    plans = [write_shard(folder, export.form(), 0, rows, Reads(), by=by)[0].plan for by in given]
    assert len(set(plans)) == len(given)
