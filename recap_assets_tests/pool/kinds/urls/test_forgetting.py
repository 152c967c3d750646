"""Forgotten rows of a list: out of the plan and the shards, and never asked for again."""

from pathlib import Path

import polars as pl

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.pool.assets import pool_of
from recap_assets.storage.refused import Refused, Sort
from recap_assets_tests.pool.kinds.urls.test_assets import (  # noqa: F401 - fixtures
    Pool,
    built_once,
    failures,
    pool,
    raw_pool,
    rows_of,
    uids,
    web,
)
from recap_assets_tests.pool.kinds.urls.web import Web
from recap_assets_tests.shards.building import uid_of
from recap_assets_tests.tiny import Bench

FORGOTTEN = 3


def refuse(bench: Bench, sort: Sort, value: bytes) -> None:
    data = bench.project.workspace.data
    Refused.of(data).with_marks(sort, [value]).write(data)


def files_with(folder: Path, *forms: str) -> set[str]:
    """Files that hold one of these, Parquet read."""
    found = set()
    for path in (one for one in folder.rglob("*") if one.is_file()):
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content += repr(pl.read_parquet(path).to_dicts()).encode()
        if any(form.encode() in content for form in forms):
            found.add(str(path.relative_to(folder)))
    return found


def shard_of(bench: Bench) -> int:
    rows = raw_pool(bench).filter(pl.col("uid") == bytes.fromhex(uid_of(FORGOTTEN)))
    return int(rows["shard"].item())


def test_a_forgotten_row_is_nowhere_and_is_never_asked_for(
    pool: Pool,  # noqa: F811
    web: Web,  # noqa: F811
) -> None:
    bench = pool.bench()
    forms = (uid_of(FORGOTTEN), f"image/{FORGOTTEN}", repr(bytes.fromhex(uid_of(FORGOTTEN))))
    downloads = bench.project.workspace.downloads
    before = raw_pool(bench)
    assert len(files_with(downloads, *forms)) == 3
    refuse(bench, "uid", bytes.fromhex(uid_of(FORGOTTEN)))
    assert pool_of(bench.project).forget(bench.project, [shard_of(bench)]) == 2
    assert files_with(downloads, *forms) == set()
    bench, _ = pool.built()
    assert web.asked.total() == 0
    assert uids(before) - uids(raw_pool(bench)) == {uid_of(FORGOTTEN)}
    assert sorted(failures(bench).values()) == ["forgotten", "http_404"]
    # The list has it still, and is read again.
    pool.write("a", rows_of(web, [*range(1, 7), 21]))
    bench, _ = pool.built()
    assert web.asked["image/21"]
    assert not web.asked[f"image/{FORGOTTEN}"]
    assert files_with(downloads, *forms) == set()
    assert uids(raw_pool(bench)) - uids(before) == {uid_of(21)}


def test_an_image_that_is_refused_by_its_bytes_does_not_stay(
    pool: Pool,  # noqa: F811
    web: Web,  # noqa: F811
) -> None:
    bench = pool.bench()
    rows = raw_pool(bench).filter(pl.col("uid") == bytes.fromhex(uid_of(FORGOTTEN)))
    refuse(bench, "sha256", rows["sha256"].item())
    pool.write("c", rows_of(web, [31]).with_columns(url=pl.lit(web.of(f"image/{FORGOTTEN}"))))
    bench, _ = pool.built()
    table = bench.project.workspace.tables.read(RAW_POOL)
    assert table.filter(pl.col("uid") == bytes.fromhex(uid_of(31))).is_empty()
    assert files_with(bench.project.workspace.downloads / "shards", uid_of(31)) == set()
