import gzip
import os
import time
from dataclasses import replace
from pathlib import Path

import fsspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap_assets.pool.kinds.folder import FolderPool
from recap_assets.pool.kinds.folder.table import folder_rows
from recap_assets.shards.manifest import (
    PoolError,
    ShardFile,
    assign,
    list_shards,
    partition_key,
    survey,
    survey_tars,
)
from recap_assets_tests.shards.building import jpeg, pool_at, sample, tar_of


def tars(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tar_of(sample("0")))


def folder_pool(folder: Path, table: str = "texts.csv", **options: object) -> FolderPool:
    return FolderPool.model_validate(
        {
            "kind": "folder",
            "images": str(folder / "images"),
            "texts": str(folder / table),
            **options,
        }
    )


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(5):
        (folder / f"{i}.jpg").write_bytes(jpeg(i))
    rows = "".join(f"{i}.jpg,text {i}\n" for i in range(5))
    (tmp_path / "texts.csv").write_text(f"image,text\n{rows}")
    return tmp_path


def test_shards_are_sorted_by_name(tmp_path):
    tars(tmp_path, "00000002.tar", "00000000.tar", "00000001.tar")
    files = list_shards(pool_at(tmp_path))
    assert [file.name for file in files] == ["00000000", "00000001", "00000002"]
    assert files[0].url == str(tmp_path / "00000000.tar")
    assert files[0].size == (tmp_path / "00000000.tar").stat().st_size


def test_a_glob_keeps_names_apart(tmp_path):
    tars(tmp_path, "a/0.tar", "b/0.tar", "b/1.tar", "c/0.txt")
    files = list_shards(pool_at(tmp_path / "*" / "*.tar"))
    assert [file.name for file in files] == ["a/0", "b/0", "b/1"]


def test_unfinished_files_are_left_aside_with_a_reason(tmp_path):
    tars(tmp_path, "0.tar", "1.tar", "2.tar.tmp", ".3.tar", "4.tar.gz", "_5.tar")
    (tmp_path / "6.tar").touch()
    (tmp_path / "0_stats.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("x")
    listing = survey(pool_at(tmp_path))
    assert [file.name for file in listing.shards] == ["0"]
    reasons = {file.name: file.reason.split(":")[0] for file in listing.skipped}
    assert reasons == {
        "1.tar": "half-written",
        "2.tar.tmp": "a temporary name",
        ".3.tar": "a temporary name",
        "_5.tar": "a temporary name",
        "4.tar.gz": "compressed",
        "6.tar": "empty",
    }


def test_without_any_stats_no_tar_is_half_written(tmp_path):
    tars(tmp_path, "0.tar", "1.tar")
    assert len(list_shards(pool_at(tmp_path))) == 2


def test_a_tar_that_grows_is_left_aside_until_it_ends_or_rests(tmp_path):
    whole = tar_of([*sample("0"), *sample("1")])
    path = tmp_path / "00000001.tar"
    tars(tmp_path, "00000000.tar")
    for size in (100, 1_000, 5_000):
        path.write_bytes(whole[:size])
        listing = survey(pool_at(tmp_path))
        assert [shard.name for shard in listing.shards] == ["00000000"]
        (skipped,) = listing.skipped
        assert skipped.is_unfinished
        assert "end-of-archive" in skipped.reason
    long_ago = path.stat().st_mtime - 3_600
    os.utime(path, (long_ago, long_ago))
    assert len(list_shards(pool_at(tmp_path))) == 2
    path.write_bytes(whole)
    assert len(list_shards(pool_at(tmp_path))) == 2


def test_a_known_tar_that_is_written_over_stays_as_it_was(tmp_path):
    tars(tmp_path, "00000000.tar", "00000001.tar")
    before = list_shards(pool_at(tmp_path))
    (tmp_path / "00000001.tar").write_bytes(tar_of(sample("2"))[:700])
    assert list_shards(pool_at(tmp_path), before) == before
    assert len(list_shards(pool_at(tmp_path))) == 1


def test_a_glob_sees_the_stats_beside_the_tars(tmp_path):
    tars(tmp_path, "0.tar", "1.tar")
    (tmp_path / "1_stats.json").write_text("{}")
    assert [file.name for file in list_shards(pool_at(tmp_path / "*.tar"))] == ["1"]


@pytest.mark.parametrize("where", ["nowhere", "nowhere/*.tar", "empty", "empty/*.tar"])
def test_an_empty_pool_says_what_to_do(tmp_path, where):
    (tmp_path / "empty").mkdir()
    with pytest.raises(PoolError, match=r"(Give|Download).*"):
        list_shards(pool_at(tmp_path / where))


def test_a_pool_of_unfinished_shards_names_one(tmp_path):
    tars(tmp_path, "0.tar.part")
    with pytest.raises(PoolError, match=r"1 left aside, such as 0\.tar\.part"):
        list_shards(pool_at(tmp_path))


def test_the_version_changes_with_size_and_time_only(tmp_path):
    tars(tmp_path, "0.tar")
    path = tmp_path / "0.tar"
    first = list_shards(pool_at(tmp_path))[0].version
    assert list_shards(pool_at(tmp_path))[0].version == first
    os.utime(path, ns=(1, 1))
    touched = list_shards(pool_at(tmp_path))[0].version
    path.write_bytes(path.read_bytes() + b"\0")
    os.utime(path, ns=(1, 1))
    assert len({first, touched, list_shards(pool_at(tmp_path))[0].version}) == 3


def test_a_tar_that_one_of_equal_size_and_time_replaced_gets_another_version(tmp_path):
    tars(tmp_path, "0.tar")
    path = tmp_path / "0.tar"

    def assigned(known):
        return assign(list_shards(pool_at(tmp_path)), known)

    (first,) = assigned([])
    assert assigned([first]) == [first]
    before = path.stat()
    path.write_bytes(tar_of(sample("1")))
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    (second,) = assigned([first])
    assert (second.size, second.number) == (first.size, first.number)
    assert second.version != first.version
    assert assigned([second]) == [second]
    # A list from before there were stamps keeps its versions.
    assert assigned([replace(first, stamp="")])[0].version == first.version


def test_remote_shards_are_listed_with_their_urls():
    for name in ("0.tar", "1.tar"):
        with fsspec.open(f"memory://listed/{name}", "wb") as file:
            file.write(tar_of(sample("0")))
    files = list_shards(pool_at("memory://listed"))
    assert [file.name for file in files] == ["0", "1"]
    with fsspec.open(files[1].url, "rb") as file:
        assert len(file.read()) == files[1].size


def file_named(name: str) -> ShardFile:
    return ShardFile(name, f"/{name}.tar", 1, "v")


def test_numbers_are_kept_for_life():
    first = assign([file_named(n) for n in ("b", "d")], [])
    assert [(s.name, s.number) for s in first] == [("b", 0), ("d", 1)]
    second = assign([file_named(n) for n in ("a", "c", "d")], first)
    assert [(s.name, s.number) for s in second] == [("d", 1), ("a", 2), ("c", 3)]
    again = assign([file_named("b")], [*first, *second])
    assert [(s.name, s.number) for s in again] == [("b", 0)]


@given(st.lists(st.sets(st.sampled_from("abcdefgh")), max_size=6))
def test_no_number_is_ever_given_twice(generations):
    known = {}
    for names in generations:
        for shard in assign([file_named(n) for n in names], list(known.values())):
            known.setdefault(shard.name, shard)
            assert known[shard.name].number == shard.number
    assert sorted(s.number for s in known.values()) == list(range(len(known)))


def test_partition_keys_sort_as_their_numbers():
    assert [partition_key(n, 4) for n in (0, 3, 4, 400_003)] == [
        "00000",
        "00000",
        "00001",
        "100000",
    ]


def test_a_folder_pool_is_cut_into_virtual_shards(images):
    pool = folder_pool(images, samples_per_shard=2)
    files = list_shards(pool)
    assert [file.name for file in files] == ["rows-00000000", "rows-00000001", "rows-00000002"]
    assert folder_rows(pool, files[2].name).rows() == [("4.jpg", "text 4", None)]


def test_only_the_virtual_shard_that_changed_gets_a_new_version(images):
    pool = folder_pool(images, samples_per_shard=2)
    before = [file.version for file in list_shards(pool)]
    (images / "images/3.jpg").write_bytes(jpeg(33))
    text = (images / "texts.csv").read_text()
    after = [file.version for file in list_shards(pool)]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]
    (images / "texts.csv").write_text(text.replace("text 0", "other"))
    last = [file.version for file in list_shards(pool)]
    assert [a == b for a, b in zip(after, last, strict=True)] == [False, True, True]
    (images / "images/4.jpg").unlink()
    assert list_shards(pool)[2].version != last[2]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"])
def test_every_kind_of_table_is_read(images, ending):
    table = folder_rows(folder_pool(images), "rows-00000000").select("image", "text")
    path = images / f"table{ending}"
    match ending:
        case ".csv":
            table.write_csv(path)
        case ".tsv":
            table.write_csv(path, separator="\t")
        case ".parquet":
            table.write_parquet(path)
        case _:
            table.write_ndjson(path)
    pool = folder_pool(images, path.name)
    assert folder_rows(pool, "rows-00000000").select("image", "text").equals(table)


def test_numbers_in_a_csv_stay_text(images):
    (images / "texts.csv").write_text("image,text\n007,0123\n")
    assert folder_rows(folder_pool(images), "rows-00000000").rows() == [("007", "0123", None)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"texts": "none.csv"}, "there is no file .*none.csv"),
        ({"texts": "texts.xlsx"}, "use .csv"),
        ({"text_column": "caption"}, "no column 'caption'; it has image, text"),
        ({"uid_column": "uid"}, "no column 'uid'"),
        ({"images": "/nowhere"}, "there is no folder /nowhere"),
    ],
)
def test_a_folder_pool_that_cannot_be_used_says_why(images, change, message):
    (images / "texts.xlsx").write_text("x")
    if "texts" in change:
        change = {"texts": str(images / change["texts"])}
    pool = folder_pool(images)
    with pytest.raises(PoolError, match=message):
        list_shards(FolderPool.model_validate({**pool.model_dump(), **change}))


def test_a_table_without_rows_is_an_empty_pool(images):
    (images / "texts.csv").write_text("image,text\n")
    with pytest.raises(PoolError, match="has no rows"):
        list_shards(folder_pool(images))


def aged(folder, seconds=3_600):
    for path in folder.iterdir():
        os.utime(path, (time.time() - seconds,) * 2)


def test_a_complete_old_tar_is_read_without_its_stats_file(tmp_path):
    tars(tmp_path, "0.tar", "1.tar", "2.tar")
    (tmp_path / "0_stats.json").write_text("{}")
    (tmp_path / "2.tar").write_bytes(tar_of(sample("2"))[:700])
    assert [file.name for file in list_shards(pool_at(tmp_path))] == ["0"]
    aged(tmp_path)
    listing = survey(pool_at(tmp_path))
    assert [file.name for file in listing.shards] == ["0", "1"]
    (skipped,) = listing.skipped
    assert (skipped.name, skipped.kind, skipped.is_unfinished) == ("2.tar", "half-written", True)


def test_what_looks_like_a_shard_and_is_none_is_named(tmp_path):
    tars(tmp_path, "0.tar", "1.TAR", "sub/2.tar", "sub/3.tar", "4.TAR.GZ")
    (tmp_path / "5.tar").symlink_to(tmp_path / "0.tar")
    (tmp_path / "6.tar").symlink_to(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    found = {file.name: file.kind for file in survey(pool_at(tmp_path)).skipped}
    assert found == {
        "1.TAR": "another ending",
        "4.TAR.GZ": "another ending",
        "5.tar": "a link or device",
        "6.tar": "a link or device",
        "sub": "in a subfolder",
    }


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (gzip.compress(b"x" * 100, mtime=0), "gzip'd"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS"),
        (b"\n<!DOCTYPE html><html>403</html>", "a web page"),
        (b"PK\3\4" + bytes(50), "a zip file"),
    ],
)
def test_what_is_no_tar_is_listed_and_named(tmp_path, content, what):
    tars(tmp_path, "0.tar")
    (tmp_path / "1.tar").write_bytes(content)
    aged(tmp_path)
    listing = survey(pool_at(tmp_path))
    assert [file.name for file in listing.shards] == ["0", "1"]
    (skipped,) = listing.skipped
    assert (skipped.name, skipped.kind, skipped.is_listed) == ("1.tar", "not a tar", True)
    assert what in skipped.reason


@pytest.mark.parametrize("name", ["data[1]", "a::b", "what?"])
def test_a_pool_of_any_name(tmp_path, name):
    tars(tmp_path / name, "0.tar")
    (shard,) = list_shards(pool_at(tmp_path / name))
    assert shard.url == str(tmp_path / name / "0.tar")
    assert list_shards(pool_at(tmp_path / name / "*.tar")) == [shard]


def test_a_relative_folder_is_told_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PoolError, match=rf"no folder pool \({tmp_path}/pool\)"):
        list_shards(pool_at("pool"))
    tars(tmp_path, "pool/sub/0.tar")
    with pytest.raises(PoolError, match=r"no \.tar shard in pool .* such as sub \(in a subfolder"):
        list_shards(pool_at("pool"))


def test_of_a_subfolder_so_many_entries_are_looked_at(tmp_path, monkeypatch):
    tars(tmp_path, "0.tar", "sub/0.tar", "sub/1.tar", "sub/2.tar")
    monkeypatch.setattr("recap_assets.shards.manifest._LOOKED_AT", 2)
    (skipped,) = survey(pool_at(tmp_path)).skipped
    assert skipped.reason.startswith("in a subfolder: its 2 tars are not read")


def folder_texts(folder: Path, content: bytes, name: str = "texts.csv", **options: object) -> list:
    (folder / name).write_bytes(content)
    return folder_rows(folder_pool(folder, name, **options), "rows-00000000").rows()


def test_a_row_of_texts_that_cannot_be_read_stands_without_image(images):
    table = "image,text\n0.jpg,café\n1.jpg,b,c,d\n2.jpg,e\n".encode("cp1252")
    assert folder_texts(images, table) == [
        ("0.jpg", "café", None), ("2.jpg", "e", None), (None, None, None),
    ]  # fmt: skip


def test_quotes_in_a_tab_separated_table_are_characters(images):
    table = b'image\ttext\n0.jpg\t"tis\n1.jpg\ta 5" screen\n'
    assert [row[1] for row in folder_texts(images, table, "texts.tsv")] == ['"tis', 'a 5" screen']
    quoted = b'image\ttext\n0.jpg\t"say ""hi"""\n'
    with pytest.raises(PoolError, match="`quoting: double`"):
        folder_texts(images, quoted, "texts.tsv")
    assert folder_texts(images, quoted, "texts.tsv", quoting="double")[0][1] == 'say "hi"'


def test_texts_of_a_table_are_bounded_as_those_of_tars(images):
    table = f"image,text\n0.jpg,{'ä' * 100_000}\n".encode()
    ((_, text, _),) = folder_texts(images, table)
    assert len(text.encode()) == 64 * 2**10


def test_the_path_of_the_hubs_images_names_a_file(images):
    rows = [{"image": {"bytes": None, "path": "0.jpg"}, "text": "a"}]
    hub = pl.Struct({"bytes": pl.Binary, "path": pl.String})
    table = pl.DataFrame(rows, schema_overrides={"image": hub})
    table.write_parquet(images / "texts.parquet")
    pool = folder_pool(images, "texts.parquet")
    assert folder_rows(pool, "rows-00000000").rows() == [("0.jpg", "a", None)]
    rows[0]["image"]["bytes"] = b"x"
    pl.DataFrame(rows).write_parquet(images / "texts.parquet")
    with pytest.raises(PoolError, match=r"texts\.parquet.*holds images, not their paths"):
        folder_rows(pool, "rows-00000000")


@pytest.mark.parametrize("cell", [["0.jpg"], 7, {"a": "b"}])
def test_a_column_of_images_that_is_none_is_refused(images, cell):
    pl.DataFrame({"image": [cell], "text": ["a"]}).write_parquet(images / "texts.parquet")
    with pytest.raises(PoolError, match=r"texts\.parquet.*column 'image'"):
        survey(folder_pool(images, "texts.parquet"))


@pytest.mark.parametrize("where", ["gopher://x/y", "nonsense+more://x"])
def test_a_url_of_no_known_protocol_is_told_in_words(where):
    with pytest.raises(PoolError) as told:
        survey_tars(where, "corpora.c.shards")
    start = f"corpora.c.shards: {where} cannot be read: Protocol not known"
    assert str(told.value).startswith(start)
