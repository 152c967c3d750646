import csv
import gzip
import io
import json
from pathlib import Path

import fsspec
import polars as pl
import pytest

from recap_assets.pool.caption_files import (
    CAPTION_ROWS,
    CaptionFileError,
    caption_columns,
    caption_files_version,
    clean_texts,
    list_caption_files,
    read_captions,
    url_keys,
)
from recap_assets.specs.imports import ImportSource
from recap_assets_tests.pool.building import uid_of

CAPTIONS = ['a "quoted" dog, two\nlines', "ein Käfer\tauf Gras", "  spaces  ", ""]


def source_of(files, **fields) -> ImportSource:
    columns = {"caption": "cap", "expected_text": "raw"} if "preset" not in fields else {}
    return ImportSource.model_validate({"kind": "import", "files": files, **columns, **fields})


def rows() -> list[dict[str, str]]:
    return [{"uid": uid_of(i), "cap": text, "raw": f"raw {i}"} for i, text in enumerate(CAPTIONS)]


def csv_bytes(table, delimiter=",") -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue().encode()


def json_bytes(table) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in table).encode()


def parquet_bytes(table) -> bytes:
    data = io.BytesIO()
    pl.DataFrame(table).write_parquet(data)
    return data.getvalue()


WRITERS = {
    ".csv": csv_bytes,
    ".csv.gz": lambda table: gzip.compress(csv_bytes(table)),
    ".tsv": lambda table: csv_bytes(table, "\t"),
    ".jsonl": json_bytes,
    ".ndjson.gz": lambda table: gzip.compress(json_bytes(table)),
    ".parquet": parquet_bytes,
}


def written(folder: Path, ending: str, content: bytes) -> ImportSource:
    path = folder / f"captions{ending}"
    path.write_bytes(content)
    return source_of(str(path))


def read(source: ImportSource) -> pl.DataFrame:
    (file,) = list_caption_files(source)
    return pl.concat(read_captions(file, source))


@pytest.mark.parametrize("ending", WRITERS)
def test_every_format_gives_the_same_rows(tmp_path, ending):
    found = read(written(tmp_path, ending, WRITERS[ending](rows())))
    assert found.schema == CAPTION_ROWS
    assert found["key"].to_list() == [bytes.fromhex(uid_of(i)) for i in range(4)]
    assert found["key_text"].null_count() == 4
    assert found["text"].to_list() == [
        'a "quoted" dog, two\nlines', "ein Käfer\tauf Gras", "spaces", None,
    ]  # fmt: skip
    assert found["expected_text"].to_list() == [f"raw {i}" for i in range(4)]


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize("part", [0.4, 0.97])
def test_a_truncated_file_is_told_and_not_taken_for_a_short_one(tmp_path, ending, part):
    table = [row for i in range(200) for row in [{**rows()[0], "raw": f"raw, {i}"}]]
    content = WRITERS[ending](table)
    source = written(tmp_path, ending, content[: int(len(content) * part)])
    with pytest.raises(CaptionFileError, match=f"captions{ending} cannot be read to its end"):
        read(source)


@pytest.mark.parametrize("ending", WRITERS)
def test_a_missing_column_lists_those_there_are(tmp_path, ending):
    source = written(tmp_path, ending, WRITERS[ending](rows()))
    wrong = source.model_copy(update={"caption": "blip2-cap"})
    with pytest.raises(CaptionFileError, match="no column 'blip2-cap'; its columns are uid, cap"):
        read(wrong)
    (file,) = list_caption_files(source)
    assert caption_columns(file) == ["uid", "cap", "raw"]


@pytest.mark.parametrize(
    ("keys", "by", "told"),
    [
        (["ab" * 32] * 3, "uid", "this looks like a sha256 (64 hex digits): set `by: sha256`"),
        (["ab" * 16] * 3, "sha256", "this looks like a uid (32 hex digits): set `by: uid`"),
        (["https://a.example/1.jpg"] * 3, "uid", "this looks like a url: set `by: url`"),
        (["17", "18", "19"], "uid", "3 of 3 keys in column 'k' are no uid (32 hex digits), such "
         "as '17'; name the column that holds the uid with `key`"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_keys_of_another_kind_are_refused_with_a_hint(tmp_path, ending, keys, by, told):
    table = [{"k": key, "cap": "x", "raw": "y"} for key in keys]
    source = written(tmp_path, ending, WRITERS[ending](table))
    with pytest.raises(CaptionFileError) as caught:
        read(source.model_copy(update={"key": "k", "by": by}))
    assert told in str(caught.value)


def test_a_few_malformed_keys_are_rows_of_their_own(tmp_path):
    table = [*rows(), {"uid": "xyz", "cap": "lost", "raw": ""}]
    found = read(written(tmp_path, ".csv", csv_bytes(table)))
    assert found.row(4) == (None, "xyz", "lost", None)


def test_upper_case_and_spaces_around_a_uid_do_no_harm(tmp_path):
    table = [{"uid": f" {uid_of(1).upper()} ", "cap": "x", "raw": ""}]
    found = read(written(tmp_path, ".csv", csv_bytes(table)))
    assert found["key"].to_list() == [bytes.fromhex(uid_of(1))]


def test_binary_keys_of_parquet_are_taken_as_they_are(tmp_path):
    key = bytes(range(32))
    table = [{"uid": key, "cap": "x", "raw": None}]
    source = written(tmp_path, ".parquet", parquet_bytes(table))
    found = read(source.model_copy(update={"by": "sha256"}))
    assert found["key"].to_list() == [key]


def test_a_list_of_captions_gives_a_row_for_each(tmp_path):
    table = [{"uid": uid_of(0), "cap": ["one", "two"]}, {"uid": uid_of(1), "cap": []}]
    for ending in (".jsonl", ".parquet"):
        source = written(tmp_path, ending, WRITERS[ending](table))
        found = read(source.model_copy(update={"expected_text": None}))
        assert found["text"].to_list() == ["one", "two", None]
        assert found["key"].to_list() == [
            bytes.fromhex(uid_of(0)), bytes.fromhex(uid_of(0)), bytes.fromhex(uid_of(1)),
        ]  # fmt: skip


def test_bytes_that_are_no_text_cost_a_character_and_not_the_file(tmp_path):
    header = f"uid,cap,raw\n{uid_of(0)},".encode()
    found = read(written(tmp_path, ".csv", header + b"caf\xe9 au lait,r\n"))
    assert found["text"].to_list() == ["caf\ufffd au lait"]
    line = json.dumps({"uid": uid_of(0), "cap": "half \ud800", "raw": "r"}).encode()
    found = read(written(tmp_path, ".jsonl", line + b"\n"))
    assert found["text"].to_list() == ["half ?"]


def test_words_that_stand_for_nothing_elsewhere_are_captions_here(tmp_path):
    table = [{"uid": uid_of(i), "cap": c, "raw": "r"} for i, c in enumerate(["null", "NaN", "NA"])]
    assert read(written(tmp_path, ".csv", csv_bytes(table)))["text"].to_list() == [
        "null", "NaN", "NA",
    ]  # fmt: skip


def test_texts_are_cut_and_cleaned():
    texts = pl.Series(["\ufeff a\0b ", "\t\n", None, "ä" * 100_000])
    cleaned = clean_texts(texts)
    assert cleaned[:3].to_list() == ["ab", None, None]
    assert 1_000 < len(cleaned[3].encode()) <= 64 * 2**10


def test_files_are_listed_in_the_order_written_and_globs_by_name(tmp_path):
    for name in ("b_1.csv", "a_2.csv", "a_10.csv", "other.csv", "notes.md"):
        (tmp_path / name).write_text("uid,cap\n")
    source = source_of([str(tmp_path / "other.csv"), str(tmp_path / "[ab]_*.csv"), str(tmp_path)])
    names = [file.name for file in list_caption_files(source)]
    assert names == ["other.csv", "a_10.csv", "a_2.csv", "b_1.csv"]


@pytest.mark.parametrize("ending", WRITERS)
def test_files_of_an_object_store_are_read_alike(tmp_path, ending):
    store = fsspec.filesystem("memory")
    store.pipe_file(f"/drop{ending}/captions{ending}", WRITERS[ending](rows()))
    source = source_of(f"memory://drop{ending}/*{ending}")
    assert read(source).equals(read(written(tmp_path, ending, WRITERS[ending](rows()))))


def test_a_version_changes_with_any_file(tmp_path):
    source = source_of(str(tmp_path))
    (tmp_path / "a.csv").write_text("uid,cap\n")
    first = caption_files_version(list_caption_files(source))
    assert caption_files_version(list_caption_files(source)) == first
    (tmp_path / "b.csv").write_text("uid,cap\n")
    second = caption_files_version(list_caption_files(source))
    (tmp_path / "a.csv").write_text("uid,cap\nx\n")
    assert len({first, second, caption_files_version(list_caption_files(source))}) == 3


@pytest.mark.parametrize("where", ["gone.csv", "*.csv", "empty"])
def test_nothing_to_read_is_told(tmp_path, where):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CaptionFileError, match="there is no file of captions at"):
        list_caption_files(source_of(str(tmp_path / where)))


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "captions.xlsx").write_bytes(b"x")
    with pytest.raises(CaptionFileError, match=r"captions\.xlsx is of no kind that is read here"):
        list_caption_files(source_of(str(tmp_path / "captions.xlsx")))


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".csv.gz"])
def test_an_empty_file_is_told(tmp_path, ending):
    with pytest.raises(CaptionFileError):
        read(written(tmp_path, ending, b""))


def test_urls_become_short_keys_whatever_the_space_around_them():
    keys = url_keys(pl.Series(["https://a.example/1.jpg", " https://a.example/1.jpg\n", "b", None]))
    assert keys[0] == keys[1] != keys[2]
    assert keys[3] is None
    assert {len(key) for key in keys.drop_nulls()} == {16}
