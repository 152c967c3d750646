import csv
import gzip
import io
import json
import os
from pathlib import Path

import fsspec
import polars as pl
import pytest

from recap_assets.captions.kinds.imported import ImportSource
from recap_assets.captions.kinds.imported.files import (
    CAPTION_ROWS,
    CaptionFileError,
    caption_columns,
    caption_files_version,
    clean_texts,
    list_caption_files,
    look_at,
    read_captions,
    url_keys,
)
from recap_assets.untrusted import text_blocks
from recap_assets_tests.shards.building import uid_of

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


def written(folder: Path, ending: str, content: bytes, **fields) -> ImportSource:
    path = folder / f"captions{ending}"
    path.write_bytes(content)
    return source_of(str(path), **fields)


def read(source: ImportSource) -> pl.DataFrame:
    (file,) = list_caption_files(source)
    return pl.concat(read_captions(file, source))


@pytest.mark.parametrize("ending", WRITERS)
def test_every_format_gives_the_same_rows(tmp_path, ending):
    found = read(written(tmp_path, ending, WRITERS[ending](rows()), quoting="double"))
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
    cut = content[: int(len(content) * part)]
    source = written(tmp_path, ending, cut, quoting="double")
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
    assert found.row(4) == (None, "xyz", "lost", None, None)


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


def test_texts_of_another_encoding_are_read_or_counted(tmp_path):
    text = f"uid,cap,raw\n{uid_of(0)},caf\xe9 au lait,r\n{uid_of(1)},plain,r\n".encode("cp1252")
    found = read(written(tmp_path, ".csv", text + uid_of(2).encode() + b",\x81\x8d,r\n"))
    assert found["text"].to_list() == ["café au lait", "plain", None]
    assert found["note"].to_list() == ["reencoded", None, "undecodable"]
    line = json.dumps({"uid": uid_of(0), "cap": "half \ud83d", "raw": "r"}).encode()
    found = read(written(tmp_path, ".jsonl", line + b"\n"))
    assert found.select("text", "note").row(0) == ("half", "mended")


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
    source = source_of(f"memory://drop{ending}/*{ending}", quoting="double")
    local = written(tmp_path, ending, WRITERS[ending](rows()), quoting="double")
    assert read(source).equals(read(local))


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


LITERAL = ['"tis the season', '"Hello" said the sign', 'a 5" screen', '"quoted"', "it's"]


def tsv_of(texts, delimiter="\t") -> bytes:
    lines = (f"{uid_of(i)}{delimiter}{text}{delimiter}r\n" for i, text in enumerate(texts))
    return ("\t".join(["uid", "cap", "raw\n"]).replace("\t", delimiter) + "".join(lines)).encode()


def test_quotes_in_tab_separated_text_are_characters(tmp_path):
    assert read(written(tmp_path, ".tsv", tsv_of(LITERAL)))["text"].to_list() == LITERAL
    told = written(tmp_path, ".csv", tsv_of(LITERAL, ","), quoting="none")
    assert read(told)["text"].to_list() == LITERAL


@pytest.mark.parametrize(
    ("first", "line"),
    [('"tis the season', 3), ('"Hello" said the sign', 3), ('"open', 3)],
)
def test_quotes_that_do_not_add_up_name_the_line_and_join_no_rows(tmp_path, first, line):
    source = written(tmp_path, ".csv", tsv_of(["one", first, "three", "four"], ","))
    with pytest.raises(CaptionFileError, match=rf"captions\.csv.*line {line}.*`quoting: none`"):
        read(source)


def test_a_caption_that_swallowed_rows_is_told(tmp_path):
    joined = f'uid,cap\n{uid_of(0)},"tis\n{uid_of(1)},two\n{uid_of(2)},say "\n'.encode()
    source = written(tmp_path, ".csv", joined, expected_text=None)
    with pytest.raises(CaptionFileError, match=r"line 2: .*looks like a row"):
        read(source)
    meant = written(tmp_path, ".csv", joined, expected_text=None, quoting="double")
    assert read(meant).height == 1


def test_a_quoted_file_that_passes_for_an_unquoted_one_is_told(tmp_path):
    source = written(tmp_path, ".tsv", csv_bytes(rows()[:1], "\t"))
    with pytest.raises(CaptionFileError, match="`quoting: double`"):
        read(source)


def test_a_quote_within_a_field_is_a_character(tmp_path):
    table = tsv_of(['a 5" screen', "b"], ",") + f'{uid_of(2)},"c, d",r\n'.encode()
    assert read(written(tmp_path, ".csv", table))["text"].to_list() == ['a 5" screen', "b", "c, d"]


def test_a_row_with_other_fields_costs_itself_alone(tmp_path):
    table = tsv_of(["a", "b,c,d", "e"], ",")
    found = read(written(tmp_path, ".csv", table))
    assert found["text"].to_list() == ["a", "e", None]
    assert found.filter(note="damaged")["key_text"].to_list() == [
        "line 3 has 5 fields, the header 3"
    ]


def test_a_damaged_line_costs_itself_alone(tmp_path):
    lines = json_bytes(rows()).splitlines(keepends=True)
    lines[1] = lines[1][:30] + b"\n"
    found = read(written(tmp_path, ".jsonl", b"".join(lines)))
    assert found["text"].drop_nulls().to_list() == ['a "quoted" dog, two\nlines', "spaces"]
    (words,) = found.filter(note="damaged")["key_text"]
    assert words.startswith("line 2 is no JSON")


@pytest.mark.parametrize("deep", ["[" * 100_000, '{"a":' * 100_000])
def test_lines_of_which_half_are_damaged_are_no_json_lines(tmp_path, deep):
    source = written(tmp_path, ".jsonl", json_bytes(rows()[:1]) + deep.encode() + b"\n")
    with pytest.raises(CaptionFileError, match="1 of 2 rows cannot be read, such as line 2"):
        read(source)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".tsv"])
def test_every_byte_order_mark_is_known(tmp_path, ending, encoding):
    text = WRITERS[ending](rows()[2:]).decode().encode(encoding)
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    found = read(written(tmp_path, ending, mark + text))
    assert found["text"].to_list() == ["spaces", None]


def test_a_mark_before_each_of_several_files_in_one_is_no_part_of_its_line(tmp_path):
    lines = json_bytes(rows()).splitlines(keepends=True)
    found = read(written(tmp_path, ".jsonl", b"".join(b"\xef\xbb\xbf" + line for line in lines)))
    assert found.equals(read(written(tmp_path, ".jsonl", b"".join(lines))))


def test_columns_are_bounded(tmp_path):
    def header(n: int) -> bytes:
        return ",".join(["uid", "cap", "raw", *(f"c{i}" for i in range(n - 3))]).encode() + b"\n"

    row = f"{uid_of(1)},a dog,{',' * 4_093}\n".encode()
    source = written(tmp_path, ".csv", header(4_096) + row)
    assert read(source)["text"].to_list() == ["a dog"]
    with pytest.raises(CaptionFileError, match="it has 4,097 columns"):
        read(written(tmp_path, ".csv", header(4_097) + row))


def test_utf_16_without_a_mark_is_named(tmp_path):
    source = written(tmp_path, ".csv", csv_bytes(rows()).decode().encode("utf-16-le"))
    with pytest.raises(CaptionFileError, match="looks like UTF-16"):
        read(source)


TURNS = [{"from": "human", "value": "<image>\nDescribe it."}, {"from": "gpt", "value": "A dog."}]
ROLES = [
    {"role": "user", "content": [{"type": "image", "text": None}]},
    {"role": "assistant", "content": [{"type": "text", "text": "A dog."}]},
]


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
@pytest.mark.parametrize(
    ("cell", "column", "text"),
    [
        (TURNS, "cap", "A dog."), (ROLES, "cap", "A dog."),
        ({"en": "A dog.", "de": "Ein Hund."}, "cap.en", "A dog."),
        ({"a": {"b": "A dog."}}, "cap.a.b", "A dog."),
        (float("nan"), "cap", None), ([None], "cap", None),
    ],
)  # fmt: skip
def test_layouts_that_stand_for_a_text(tmp_path, ending, cell, column, text):
    table = [{"uid": uid_of(i), "cap": cell} for i in range(2)]
    source = written(tmp_path, ending, WRITERS[ending](table), caption=column, expected_text=None)
    assert read(source)["text"].to_list() == [text] * 2


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
@pytest.mark.parametrize(
    ("cell", "remedy"),
    [
        ({"en": "A dog."}, "name the field"), ([["A dog."]], ""), ([{"caption": "x"}], ""),
        (1984, ""), (3.5, ""), (True, ""),
    ],
)  # fmt: skip
def test_cells_that_are_no_texts_are_refused_by_column_and_type(tmp_path, ending, cell, remedy):
    table = [{"uid": uid_of(i), "cap": cell} for i in range(2)]
    source = written(tmp_path, ending, WRITERS[ending](table), expected_text=None)
    (file,) = list_caption_files(source)
    for door in (lambda: list(read_captions(file, source)), lambda: look_at(file, source)):
        with pytest.raises(CaptionFileError, match=rf"captions\{ending}.*column 'cap'.*{remedy}"):
            door()


def test_a_number_among_texts_costs_its_row_alone(tmp_path):
    table = [{"uid": uid_of(i), "cap": cap} for i, cap in enumerate(["a", 7, None, "b"])]
    found = read(written(tmp_path, ".jsonl", json_bytes(table), expected_text=None))
    assert found["text"].to_list() == ["a", None, "b", None]
    (words,) = found.filter(note="damaged")["key_text"]
    assert words == "line 2: column 'cap' holds a number, no text"


def test_integer_keys_are_refused_with_a_remedy(tmp_path):
    for ending in (".jsonl", ".parquet"):
        table = [{"uid": i, "cap": "x"} for i in range(3)]
        source = written(tmp_path, ending, WRITERS[ending](table), expected_text=None)
        with pytest.raises(CaptionFileError, match="column 'uid'"):
            read(source)


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_a_field_of_any_size_costs_its_row_alone(tmp_path, ending):
    table = WRITERS[ending]([*rows(), {"uid": uid_of(9), "cap": "x" * 20 * 2**20, "raw": "r"}])
    found = read(written(tmp_path, ending, table + WRITERS[ending](rows())))
    (words,) = found.filter(note="damaged")["key_text"]
    assert "has more than 8,388,608 bytes" in words


def test_a_line_that_unpacks_without_end_is_refused_in_little_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(text_blocks, "MAX_SKIPPED_BYTES", 2**25)
    content = gzip.compress(b'{"uid": "' + b"x" * 2**26)
    with pytest.raises(CaptionFileError, match="line 1 has more than 33,554,432 bytes"):
        read(written(tmp_path, ".jsonl.gz", content))


def test_what_is_no_file_is_told_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "captions.csv")
    with pytest.raises(CaptionFileError, match="it is a named pipe"):
        read(source_of(str(tmp_path / "captions.csv")))


def test_names_of_columns_do_nothing_to_the_terminal(tmp_path):
    source = written(tmp_path, ".csv", b"\x1b[2J\x1b]0;owned\x07,cap\n1,a\n")
    with pytest.raises(CaptionFileError) as caught:
        read(source)
    assert "\x1b" not in str(caught.value)


def test_a_folder_may_have_any_name(tmp_path):
    folder = tmp_path / "data[1]::x"
    folder.mkdir()
    (folder / "a.csv").write_bytes(csv_bytes(rows()))
    for where in (folder, folder / "a.csv", folder / "*.csv"):
        (file,) = list_caption_files(source_of(str(where)))
        assert file.url == str(folder / "a.csv")
        assert caption_columns(file) == ["uid", "cap", "raw"]
