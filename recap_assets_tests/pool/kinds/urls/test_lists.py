import json
from pathlib import Path

import polars as pl
import pytest

from recap_assets.pool.kinds.urls import UrlPool
from recap_assets.pool.kinds.urls.lists import ROWS, list_files, read_list
from recap_assets.shards.files import PoolError
from recap_assets_tests.shards.building import uid_of

TEXT = 'a "quoted" text,\nover two lines, mit Umläuten 猫'
HTTP = "https://example.org/1.jpg"


def pool(path: Path, **changes: object) -> UrlPool:
    return UrlPool.model_validate({"kind": "urls", "urls": str(path), **changes})


def rows_of(path: Path, **changes: object) -> pl.DataFrame:
    spec = pool(path, **changes)
    return pl.concat(read_list(file, spec) for file in list_files(spec.urls))


def written(frame: pl.DataFrame, path: Path) -> Path:
    match path.suffix:
        case ".parquet":
            frame.write_parquet(path)
        case ".csv" | ".tsv":
            frame.write_csv(path, separator="\t" if path.suffix == ".tsv" else ",")
        case ".json":
            frame.write_json(path)
        case _:
            frame.write_ndjson(path)
    return path


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".tsv", ".json", ".jsonl"])
def test_every_format_gives_the_same_rows(ending: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"uid": [uid_of(1)], "url": [HTTP], "text": [TEXT]})
    rows = rows_of(written(frame, tmp_path / f"list{ending}"), quoting="double")
    assert rows.schema == ROWS
    (row,) = rows.to_dicts()
    assert (row["uid"].hex(), row["url"], row["caption"]) == (uid_of(1), HTTP, TEXT)
    assert row["refused"] is None


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://example.org/a.jpg", "data:image/png;base64,AAAA", "", None,
     "//example.org/a.jpg", "https://example.org/a\nHost: evil", "gopher://x", "https://"],
)  # fmt: skip
def test_only_http_and_https_are_asked_for(url: str | None, tmp_path: Path) -> None:
    frame = pl.DataFrame({"url": [url, HTTP.upper()], "text": ["a", "b"]})
    rows = rows_of(written(frame, tmp_path / "list.parquet"))
    assert rows["refused"].to_list() == ["bad_url", None]


def test_of_rows_with_one_uid_the_first_acceptable_one_is_asked_for(tmp_path: Path) -> None:
    urls = ["file:///x", HTTP, HTTP, HTTP]
    uids = [uid_of(1), uid_of(1), uid_of(1).upper(), "no uid"]
    frame = pl.DataFrame({"uid": uids, "url": urls, "text": ["t"] * 4})
    rows = rows_of(written(frame, tmp_path / "list.parquet"))
    assert rows["refused"].to_list() == ["bad_url", None, "duplicate_uid", "bad_uid"]
    assert rows["repeat"].to_list() == [0, 1, 2, 0]
    assert rows.select("uid", "repeat").is_unique().all()


def test_a_list_without_uids_gets_them_from_url_and_caption(tmp_path: Path) -> None:
    frame = pl.DataFrame({"url": [HTTP, HTTP, HTTP], "text": ["a", "b", "a"]})
    rows = rows_of(written(frame, tmp_path / "list.csv"))
    again = rows_of(written(frame.reverse(), tmp_path / "list.csv"))
    assert rows["uid"].to_list() == again["uid"].reverse().to_list()
    assert rows["uid"].n_unique() == 2
    assert rows["refused"].to_list() == [None, None, "duplicate_uid"]


def test_boxes_come_as_lists_or_as_json(tmp_path: Path) -> None:
    boxes = [[[0.1, 0.2, 0.3, 0.4]], [], None]
    frame = pl.DataFrame(
        {"url": [HTTP] * 3, "text": ["a", "b", "c"], "face_bboxes": boxes},
        schema_overrides={"face_bboxes": pl.List(pl.List(pl.Float64))},
    )
    assert rows_of(written(frame, tmp_path / "a.parquet"))["boxes"].to_list() == boxes
    texts = frame.with_columns(face_bboxes=pl.Series(["[[0.1,0.2,0.3,0.4]]", "[]", None]))
    assert rows_of(written(texts, tmp_path / "b.csv"))["boxes"].to_list() == boxes
    (tmp_path / "b.csv").unlink()
    assert rows_of(tmp_path, bbox_column=None)["boxes"].null_count() == 3


def test_a_folder_or_a_glob_names_several_files(tmp_path: Path) -> None:
    for name in ("b.parquet", "a.parquet", "c.csv", "readme.md"):
        written(pl.DataFrame({"url": [HTTP], "text": [name]}), tmp_path / name)
    assert [file.name for file in list_files(str(tmp_path))] == ["a.parquet", "b.parquet", "c.csv"]
    assert [file.name for file in list_files(f"{tmp_path}/*.csv")] == ["c.csv"]


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(PoolError, match=r"there is no \.parquet, .* file at .*nowhere"):
        list_files(str(tmp_path / "nowhere"))
    path = written(pl.DataFrame({"URL": [HTTP], "TEXT": ["a"]}), tmp_path / "list.parquet")
    with pytest.raises(PoolError, match=r"url_column: .* no column 'url'; it has URL, TEXT"):
        rows_of(path)
    path.write_bytes(b"not parquet")
    with pytest.raises(PoolError, match=r"cannot be read as \.parquet"):
        rows_of(path)


def test_a_row_that_cannot_be_read_is_refused_and_the_others_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"url,text\n{HTTP},a\n{HTTP}?2,b,c\n{HTTP}?3,d\n")
    rows = rows_of(tmp_path / "a.csv")
    assert rows["refused"].to_list() == [None, None, "damaged_row"]
    lines = [{"url": HTTP, "text": "a"}, {"url": f"{HTTP}?2", "text": 7}, {"url": None, "text": ""}]
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = rows_of(tmp_path / "b.jsonl")
    assert rows["refused"].to_list() == [None, "bad_url", "damaged_row"]


def test_a_text_in_another_encoding_enters_no_uid(tmp_path: Path) -> None:
    lines = [f"{HTTP}?1,ä", f"{HTTP}?2,é".encode("cp1252").decode("latin-1"), f"{HTTP}?3,c"]
    table = b"url,text\n" + lines[0].encode() + b"\n"
    table += b"\n".join(line.encode("latin-1") for line in lines[1:])
    (tmp_path / "list.csv").write_bytes(table)
    rows = rows_of(tmp_path / "list.csv")
    assert rows["refused"].to_list() == [None, "bad_encoding", None]


def test_boxes_that_cannot_be_read_keep_an_image_from_being_fetched_unblurred(
    tmp_path: Path,
) -> None:
    boxes = ['"[[0.1, 0.2, 0.3, 0.4]]"', '"[[0.1"', "7", ""]
    lines = "".join(f"{HTTP}?{i},t,{box}\n" for i, box in enumerate(boxes))
    (tmp_path / "list.csv").write_text(f"url,text,face_bboxes\n{lines}")
    rows = rows_of(tmp_path / "list.csv")
    assert rows["refused"].to_list() == [None, "bad_boxes", "bad_boxes", None]


def test_quotes_in_a_tab_separated_list_are_characters(tmp_path: Path) -> None:
    (tmp_path / "list.tsv").write_text(f'url\ttext\n{HTTP}\t"tis\n{HTTP}?2\ta 5" screen\n')
    assert rows_of(tmp_path / "list.tsv")["caption"].to_list() == ['"tis', 'a 5" screen']


def test_additional_columns_keep_their_json(tmp_path: Path) -> None:
    frame = pl.DataFrame({"url": [HTTP], "text": ["t"], "n": [7], "s": ['a "b"'], "no": [None]})
    for ending, n in ((".parquet", 7), (".jsonl", 7), (".csv", "7")):
        path = written(frame, tmp_path / f"list{ending}")
        (extra,) = rows_of(path, save_additional_columns=["n", "s", "no"])["extra"]
        empty = "" if ending == ".csv" else None
        assert json.loads(extra) == {"n": n, "s": 'a "b"', "no": empty}


def test_a_json_list_is_bounded_and_read_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps([{"url": f"http://x/{i}", "text": "t"} for i in range(7)]))
    monkeypatch.setattr("recap_assets.shards.text_tables.OBJECTS_AT_ONCE", 3)
    monkeypatch.setattr("recap_assets.shards.text_tables.MAX_JSON_BYTES", path.stat().st_size)
    assert rows_of(path)["url"].to_list() == [f"http://x/{i}" for i in range(7)]
    monkeypatch.setattr("recap_assets.shards.text_tables.MAX_JSON_BYTES", path.stat().st_size - 1)
    with pytest.raises(PoolError, match=r"list\.json.* more than \d+ bytes"):
        rows_of(path)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("list.parquet", pl.DataFrame({"url": [["http://x"]], "text": ["t"]}), "column 'url'"),
        ("list.parquet", pl.DataFrame({"url": [7], "text": ["t"]}), "holds Int64"),
        ("list.parquet", pl.DataFrame({"url": ["http://x"], "text": ["t"], "face_bboxes": [7]}),
         "pool.bbox_column"),
        ("list.csv", "url,text\nhttp://x/a,b,c\n", "1 of 1 rows cannot be read"),
        ("list.csv", f"url,text\n{HTTP},café\n".encode("cp1252"), "no UTF-8"),
        ("list.parquet", pl.DataFrame({"url": [b"\xff\xfe"], "text": ["t"]}), "no UTF-8"),
        ("list.json", "[" * 100_000, "nests deeper"),
        ("list.jsonl", '{"url": "http://x", "text": "t"}\n{"url": "ht\n', "line 2 is no JSON"),
    ],
)  # fmt: skip
def test_files_that_are_no_lists_are_refused_by_name(
    name: str, content: str | bytes | pl.DataFrame, told: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if isinstance(content, str):
        path.write_text(content)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content.write_parquet(path)
    with pytest.raises(PoolError, match=told) as caught:
        rows_of(path)
    assert name in str(caught.value)
