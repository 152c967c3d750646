"""Parts of shards: kept until the partition is written, the first that is written of each."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from recap_assets.graph.parts import FolderParts, Parts, StoredParts, all_parts, part_name
from recap_assets_tests.storage.s3 import environment, moto_server


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    import botocore.session  # noqa: PLC0415 - of this fixture alone

    with moto_server() as endpoint, pytest.MonkeyPatch.context() as patch:
        for name, value in environment(endpoint).items():
            patch.setenv(name, value)
        client = botocore.session.get_session().create_client("s3", "us-east-1")
        client.create_bucket(Bucket="parts")
        yield "s3://parts/tables"


@pytest.fixture(params=["scratch", "folder", "bucket"])
def parts_of(request: pytest.FixtureRequest, tmp_path: Path, bucket: str) -> Callable[[str], Parts]:
    roots = {"folder": str(tmp_path / "tables"), "bucket": f"{bucket}/{tmp_path.name}"}
    if request.param == "scratch":
        return lambda fingerprint: FolderParts(tmp_path / fingerprint)
    return lambda fingerprint: StoredParts.of(roots[request.param], "captions/a", fingerprint)


def frame(value: int) -> pl.DataFrame:
    return pl.DataFrame({"uid": [b"1", b"2"], "n": [value, None]})


def test_parts_are_read_back_until_they_are_cleared(parts_of: Callable[[str], Parts]) -> None:
    parts = parts_of("one")
    assert set(parts.kept()) == set()
    assert parts.read("3") is None
    parts.clear()
    parts.keep("3", frame(1))
    parts.keep("12-0a", frame(2))
    assert set(parts.kept()) == {"3", "12-0a"}
    found = parts.read("3")
    assert found is not None
    assert found.equals(frame(1))
    assert set(parts_of("other").kept()) == set(), "of another fingerprint"
    parts.clear()
    assert set(parts.kept()) == set()
    assert parts.read("3") is None


@pytest.mark.parametrize("where", ["folder", "bucket"])
def test_the_first_part_of_a_shard_stays(where: str, tmp_path: Path, bucket: str) -> None:
    root = str(tmp_path) if where == "folder" else bucket
    first, second = (StoredParts.of(root, "captions/a", "twice") for _ in range(2))
    first.keep("0", frame(1))
    second.keep("0", frame(2))
    found = first.read("0")
    assert found is not None
    assert found.equals(frame(1))
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()], "no rest of a file"


def test_shards_are_those_of_parts_whatever_was_asked_of_them(tmp_path: Path) -> None:
    parts = StoredParts.of(str(tmp_path), "captions/a", "one")
    for name in (part_name(3), part_name(12, "0a"), part_name(12, "ff")):
        parts.keep(name, frame(1))
    (tmp_path / "_parts" / "captions%2Fa" / "one" / "notes.parquet").touch()
    assert set(parts.shards()) == {3, 12}


@pytest.mark.parametrize("where", ["folder", "bucket"])
def test_all_parts_below_some_tables_are_found_by_partition(
    where: str, tmp_path: Path, bucket: str
) -> None:
    root = str(tmp_path) if where == "folder" else f"{bucket}/all"
    assert list(all_parts(root)) == []
    for fingerprint, shards in (("one", (0, 1)), ("two", (7,))):
        for shard in shards:
            StoredParts.of(root, "captions/a", fingerprint).keep(str(shard), frame(shard))
    one, two = all_parts(root)
    assert [(kept.asset, kept.fingerprint) for kept in (one, two)] == [
        ("captions/a", "one"), ("captions/a", "two"),
    ]  # fmt: skip
    assert one.n_bytes > two.n_bytes > 0
    assert abs(one.newest - time.time()) < 3600, "on the clock of all machines"
    one.parts.clear()
    assert [kept.fingerprint for kept in all_parts(root)] == ["two"]
