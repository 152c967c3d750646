"""Keys are found in the files that have them, by one column or two, read once."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from recap_assets.graph import stored_keys
from recap_assets.graph.stored_keys import KnownNumbers, WantedKeys

N = 3_000


def rows(seed: int, n: int = N) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    columns = ("uid", "input_hash")
    return pl.DataFrame(
        {name: pl.Series([rng.bytes(16) for _ in range(n)], dtype=pl.Binary) for name in columns}
    )


def stored(folder: Path, frame: pl.DataFrame, *, as_views: bool = False) -> list[str]:
    """A file of these rows, as polars writes it or as whoever keeps the type of views."""
    path = folder / f"{len(list(folder.iterdir()))}.parquet"
    rows = frame.with_columns(text=pl.lit("a boat"))
    level = pl.CompatLevel.newest() if as_views else pl.CompatLevel.oldest()
    pq.write_table(rows.to_arrow(compat_level=level), path)
    return [str(path)]


@pytest.mark.parametrize("columns", [["input_hash"], ["uid", "input_hash"]])
def test_a_file_is_named_for_a_single_row_of_it(tmp_path: Path, columns: list[str]) -> None:
    there = rows(1)
    paths = stored(tmp_path, there)
    wanted = WantedKeys(rows(2).select(columns))
    assert not wanted.are_in(paths)
    with_one = pl.concat([rows(2), there[1_234:1_235]])
    assert WantedKeys(with_one.select(columns)).are_in(paths)
    assert WantedKeys(with_one.select(columns)).are_in([*stored(tmp_path, rows(3)), *paths])


def test_where_the_uid_counts_an_equal_hash_of_another_is_no_match(tmp_path: Path) -> None:
    there = rows(1)
    paths = stored(tmp_path, there)
    others = there.with_columns(uid=there["uid"].reverse())
    assert WantedKeys(others.select("input_hash")).are_in(paths)
    assert not WantedKeys(others).are_in(paths)


@pytest.mark.parametrize("as_views", [False, True])
def test_rows_without_a_hash_and_files_without_hashes_have_no_key(
    tmp_path: Path, as_views: bool
) -> None:
    there = rows(1)
    half = there.with_columns(
        input_hash=pl.when(pl.int_range(pl.len()) % 2 == 0).then("input_hash")
    )
    paths = stored(tmp_path, half, as_views=as_views)
    assert WantedKeys(there[10:11]).are_in(paths)
    assert not WantedKeys(there[11:12]).are_in(paths)
    assert not WantedKeys(half[11:12]).are_in(paths)
    assert not WantedKeys(there).are_in(stored(tmp_path, there.drop("input_hash")))
    assert not WantedKeys(there.clear()).are_in(paths)
    none = there.with_columns(input_hash=pl.lit(None, pl.Binary))
    assert not WantedKeys(there).are_in(stored(tmp_path, none, as_views=as_views))
    assert not WantedKeys(there).are_in(stored(tmp_path, none.clear(), as_views=as_views))


def test_a_file_is_read_once_while_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_keys, "KNOWN", KnownNumbers(2 * N))
    wanted, paths = WantedKeys(rows(9)), [stored(tmp_path, rows(seed))[0] for seed in range(3)]
    assert not wanted.are_in(paths[:2])
    for path in paths[:2]:
        Path(path).unlink()
    assert not wanted.are_in(paths[:2])
    assert not wanted.are_in(paths[2:])  # which needs the room
    with pytest.raises(OSError, match=r"0\.parquet"):
        wanted.are_in(paths[:1])


def test_what_is_no_parquet_is_an_error_of_reading(tmp_path: Path) -> None:
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(OSError, match="cut"):
        WantedKeys(rows(1)).are_in([str(tmp_path / "cut.parquet")])
