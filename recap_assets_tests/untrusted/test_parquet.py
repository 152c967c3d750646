import io
import os
import tracemalloc
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recap_assets.shards.metadata import LIMITS as METADATA
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.parquet import ParquetLimits, open_parquet
from recap_assets_tests.untrusted.claimed_pages import claim

MIB = 2**20


def written(folder: Path, table: pa.Table, **options) -> Path:
    path = folder / "table.parquet"
    pq.write_table(table, path, **options)
    return path


def read(path: Path, columns=None, limits=None) -> pl.DataFrame:
    with open_parquet(path, limits) as table:
        return table.read(columns)


def repeated(value: str | bytes, n_rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n_rows, np.int32)), pa.array([value]))


class TestWhatIsRead:
    def test_the_columns_asked_for_in_their_order(self, tmp_path):
        path = written(tmp_path, pa.table({"a": [1, 2], "b.c": ["x", None], "d": [0.5, 1.0]}))

        frame = read(path, ["d", "b.c"])

        assert frame.to_dict(as_series=False) == {"d": [0.5, 1.0], "b.c": ["x", None]}

    @pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip", "brotli", "lz4"])
    @pytest.mark.parametrize("version", ["1.0", "2.0"])
    def test_every_compression_and_kind_of_page(self, tmp_path, compression, version):
        texts = [f"text {i % 7}" if i % 5 else None for i in range(3_000)]
        path = written(
            tmp_path, pa.table({"text": texts}), compression=compression,
            data_page_version=version, data_page_size=2_000, row_group_size=1_000,
        )  # fmt: skip

        assert read(path)["text"].to_list() == texts

    @pytest.mark.parametrize(
        "encoding", ["PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY", "RLE_DICTIONARY"]
    )
    def test_every_encoding_of_texts(self, tmp_path, encoding):
        table = pa.table({"text": [f"a long prefix {i}" for i in range(500)]})
        way = {} if encoding == "RLE_DICTIONARY" else {"column_encoding": {"text": encoding}}
        path = written(tmp_path, table, use_dictionary=not way, **way)

        assert read(path)["text"].to_list() == table["text"].to_pylist()

    def test_lists_and_structs_of_texts(self, tmp_path):
        table = pa.table({
            "captions": [["one", "two"], None, [], ["one", None]],
            "image": [{"bytes": b"1", "path": None}] * 4,
            "turns": [[{"role": "user", "content": "hi"}]] * 4,
        })  # fmt: skip

        assert read(written(tmp_path, table)).to_dicts() == table.to_pylist()

    def test_files_of_polars_and_of_categories(self, tmp_path):
        frame = pl.DataFrame({"uid": ["a", "b", "a"]}, schema={"uid": pl.Categorical})
        frame.write_parquet(tmp_path / "polars.parquet")

        found = read(tmp_path / "polars.parquet")

        assert found.schema == {"uid": pl.String}
        assert found["uid"].to_list() == ["a", "b", "a"]

    def test_a_table_without_rows_keeps_its_columns(self, tmp_path):
        path = written(tmp_path, pa.table({"uid": pa.array([], pa.string())}))

        assert read(path).schema == {"uid": pl.String}

    def test_texts_that_are_no_utf_8_come_as_bytes(self, tmp_path):
        latin = pa.array([b"Caf\xe9", b"ok"], pa.binary()).view(pa.string())
        path = written(tmp_path, pa.table({"text": latin}))

        assert read(path)["text"].to_list() == [b"Caf\xe9", b"ok"]

    def test_long_cells_are_cut_between_characters(self, tmp_path):
        table = pa.table({"text": ["é" * 100, "short", None], "raw": [b"\xff" * 100, b"", None]})

        found = read(written(tmp_path, table), limits=ParquetLimits(cell_bytes=33))

        assert found["text"].to_list() == ["é" * 16, "short", None]
        assert found["raw"].to_list() == [b"\xff" * 33, b"", None]


class TestMemory:
    def test_a_long_text_in_a_dictionary_makes_for_small_batches(self, tmp_path):
        path = written(tmp_path, pa.table({"uid": repeated("ab" * 2**14, 3_000)}))

        with open_parquet(path, ParquetLimits(batch_bytes=8 * MIB)) as table:
            heights = [batch.height for batch in table.batches()]

        assert max(heights) <= 256
        assert sum(heights) == 3_000

    @pytest.mark.parametrize("stored", ["as a dictionary", "as texts"])
    def test_longer_texts_of_a_dictionary_are_cut_in_it(self, tmp_path, stored):
        texts = repeated("ab" * 2**19, 300)
        texts = texts if stored == "as a dictionary" else texts.dictionary_decode()
        path = written(tmp_path, pa.table({"uid": texts, "n": range(300)}))

        with open_parquet(path, ParquetLimits(cell_bytes=4, batch_bytes=8 * MIB)) as table:
            found = [row for batch in table.batches() for row in batch.rows()]

        assert found == [("abab", i) for i in range(300)]

    def test_prefixes_that_are_shared_make_for_small_batches(self, tmp_path):
        table = pa.table({"text": ["a" * 2**16] * 2_000})
        way = {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}}
        path = written(tmp_path, table, **way)
        assert path.stat().st_size < MIB

        with open_parquet(path, ParquetLimits(batch_bytes=MIB)) as found:
            assert max(batch.height for batch in found.batches()) <= 16

    def test_a_page_that_unpacks_to_much_is_refused(self, tmp_path):
        table = pa.table({"text": ["a" * 2 * MIB]})
        path = written(tmp_path, table, compression="zstd", use_dictionary=False)
        assert path.stat().st_size < MIB

        with pytest.raises(UntrustedError, match="a page unpacks to 2,097,"):
            read(path, limits=ParquetLimits(page_bytes=MIB))

    def test_a_list_of_long_repeated_texts_is_read_in_parts(self, tmp_path):
        values = repeated("x" * 10_000, 1_000)
        lists = pa.ListArray.from_arrays(pa.array(range(0, 1_001, 10), pa.int32()), values)
        path = written(tmp_path, pa.table({"texts": lists}))

        with open_parquet(path, ParquetLimits(batch_bytes=MIB)) as table:
            batches = list(table.batches())

        assert max(batch.height for batch in batches) <= 10
        assert sum(batch["texts"].list.len().sum() for batch in batches) == 1_000

    def test_one_row_that_unpacks_to_much_is_refused(self, tmp_path):
        values = repeated("x" * 10_000, 1_000)
        lists = pa.ListArray.from_arrays(pa.array([0, 1_000], pa.int32()), values)
        path = written(tmp_path, pa.table({"texts": lists}))

        with pytest.raises(UntrustedError, match="one of its rows unpacks to 10,000,000 bytes"):
            read(path, limits=ParquetLimits(batch_bytes=MIB))

    def test_lists_of_more_values_than_are_read_at_once_are_refused(self, tmp_path):
        lists = pa.ListArray.from_arrays([0, 10_000], pa.array(np.zeros(10_000, np.int64)))
        path = written(tmp_path, pa.table({"n": lists}))

        with pytest.raises(UntrustedError, match="10,000 values inside lists"):
            read(path, limits=ParquetLimits(nested_values=5_000))

    @pytest.mark.parametrize("limits", [None, METADATA])
    def test_a_page_may_unpack_to_256_mib_by_default(self, tmp_path, limits):
        path = written(tmp_path, pa.table({"n": range(200)}))
        claim(path, n_bytes=256 * MIB + 1)
        with pytest.raises(UntrustedError, match=r"a page unpacks to 268,435,457 bytes, at most"):
            read(path, limits=limits)
        claim(path, n_bytes=256 * MIB)
        with pytest.raises(UntrustedError, match=r"^(?!a page unpacks to)"):
            read(path, limits=limits)

    @pytest.mark.parametrize("limits", [None, METADATA])
    def test_lists_of_a_row_group_may_have_2_to_the_23_values_by_default(self, tmp_path, limits):
        lists = pa.ListArray.from_arrays([0, 200], pa.array(range(200)))
        path = written(tmp_path, pa.table({"n": lists}))
        claim(path, n_values=2**23 + 1)
        with pytest.raises(UntrustedError, match=r"has 8,388,609 values inside lists"):
            read(path, limits=limits)
        claim(path, n_values=2**23)
        with pytest.raises(UntrustedError, match=r"^(?!.*inside lists)"):
            read(path, limits=limits)

    def test_wide_cells_without_values_make_for_small_batches(self, tmp_path):
        path = written(tmp_path, pa.table({"raw": pa.nulls(500, pa.binary(2**15))}))

        with open_parquet(path, ParquetLimits(batch_bytes=MIB)) as table:
            assert next(table.batches()).height <= 32

    def test_a_whole_table_has_a_bound(self, tmp_path):
        path = written(tmp_path, pa.table({"text": repeated("x" * 1_000, 10_000)}))
        assert path.stat().st_size < 30_000

        with (
            open_parquet(path) as table,
            pytest.raises(UntrustedError, match="unpacks to more than 1,000,000 bytes"),
        ):
            table.read(max_bytes=1_000_000)

    def test_a_footer_is_measured_before_it_is_read(self, tmp_path):
        path = tmp_path / "table.parquet"
        with path.open("wb") as file:
            file.truncate(3 * 2**30)
            file.seek(-8, os.SEEK_END)
            file.write((2**31).to_bytes(4, "little") + b"PAR1")

        tracemalloc.start()
        with pytest.raises(UntrustedError, match=r"footer has 2,147,483,648 bytes"):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < MIB
        tracemalloc.stop()


class TestWhatIsRefused:
    def test_what_is_no_file(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(UntrustedError, match="named pipe"):
            read(tmp_path / "pipe")

    @pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"PAR1"])
    def test_what_is_no_parquet(self, tmp_path, content):
        path = tmp_path / "table.parquet"
        path.write_bytes(content)
        with pytest.raises(UntrustedError, match="no Parquet file"):
            read(path)

    def test_an_encrypted_footer(self, tmp_path):
        (tmp_path / "table.parquet").write_bytes(b"PARE" + bytes(64) + b"PARE")
        with pytest.raises(UntrustedError, match="encrypted"):
            read(tmp_path / "table.parquet")

    def test_columns_that_are_not_there_or_there_twice(self, tmp_path):
        twice = pa.table([[1], [2]], names=["a", "a"])
        with pytest.raises(UntrustedError, match="'b' not; it has a, a"):
            read(written(tmp_path, twice), ["b"])
        with pytest.raises(UntrustedError, match="'a' twice"):
            read(written(tmp_path, twice), ["a"])

    def test_damage_anywhere_is_an_answer_or_a_table(self, tmp_path):
        buffer = io.BytesIO()
        table = pa.table({"text": [f"text {i}" for i in range(200)], "n": range(200)})
        pq.write_table(table, buffer, compression="zstd")
        whole = buffer.getvalue()
        refused = 0
        for at in range(0, len(whole), 13):
            damaged = bytearray(whole)
            damaged[at] ^= 0xFF
            (tmp_path / "table.parquet").write_bytes(damaged)
            try:
                read(tmp_path / "table.parquet")
            except UntrustedError:
                refused += 1
        assert refused > len(whole) // 13 // 3

    def test_a_missing_file_is_the_systems_own_error(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "none.parquet")


def test_an_open_file_is_read_as_a_path_is(tmp_path):
    path = written(tmp_path, pa.table({"a": [1, 2]}), row_group_size=1)
    with path.open("rb") as file, open_parquet(file) as table:
        assert table.read()["a"].to_list() == [1, 2]


def test_small_row_groups_are_given_together(tmp_path, monkeypatch):
    path = tmp_path / "t.parquet"
    whole = pa.table({"a": list(range(50)), "t": [f"text {i}" for i in range(50)]})
    pq.write_table(whole, path, row_group_size=3)
    monkeypatch.setattr("recap_assets.untrusted.parquet.GATHERED_ROWS", 9)
    with open_parquet(path) as table:
        frames = list(table.batches())
    assert [frame.height for frame in frames] == [9, 9, 9, 9, 9, 5]
    assert pl.concat(frames).rows() == list(zip(*whole.to_pydict().values(), strict=True))
