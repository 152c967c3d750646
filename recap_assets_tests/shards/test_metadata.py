from pathlib import Path
from uuid import UUID

import fsspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recap_assets.shards.files import PoolError
from recap_assets.shards.metadata import (
    load_metadata,
    metadata_embeddings,
    metadata_scores,
)
from recap_assets_tests.shards.building import uid_of

SCORE = "clip_l14_similarity_score"


def uids(*seeds: int) -> pl.Series:
    return pl.Series("uid", [bytes.fromhex(uid_of(seed)) for seed in seeds], pl.Binary)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for stem, seeds in (("a", (0, 1, 2)), ("b", (3, 4, 1))):
        frame = pl.DataFrame({
            "uid": [uid_of(seed) for seed in seeds],
            "text": [f"{stem}{seed}" for seed in seeds],
            SCORE: pl.Series([seed / 10 for seed in seeds], dtype=pl.Float32),
        })  # fmt: skip
        frame.write_parquet(tmp_path / f"{stem}.parquet")
        rows = np.array([[seed, ord(stem)] for seed in seeds], dtype=np.float16)
        np.savez(tmp_path / f"{stem}.npz", l14_img=rows, b32_img=rows[:, :1])
    return tmp_path


def test_rows_are_found_in_any_file_once(folder):
    found = load_metadata(str(folder)).lookup(uids(4, 1, 1, 9), ["text", "url"])
    assert found.sort("text").select("stem", "row", "text", "url").rows() == [
        ("a", 1, "a1", None),
        ("b", 1, "b4", None),
    ]


def test_the_file_named_first_goes_first(folder):
    found = load_metadata(str(folder)).lookup(uids(1), ["text"], first="b")
    assert found["text"].to_list() == ["b1"]


def test_nothing_found_has_the_same_columns(folder):
    metadata = load_metadata(str(folder))
    none, some = (metadata.lookup(uids(seed), ["text", "url"]) for seed in (99, 1))
    assert none.schema == some.schema
    assert none.is_empty()


def test_scores_come_in_the_order_asked_for(folder):
    scores = metadata_scores(str(folder), SCORE, uids(3, 99, 0, 3))
    assert scores.dtype == pl.Float32
    assert scores.to_list() == [np.float32(0.3), None, 0.0, np.float32(0.3)]


def test_an_unknown_score_names_the_known_ones(folder):
    with pytest.raises(
        PoolError, match=f"no file has a column 'x'; the first has {SCORE}, text, uid"
    ):
        metadata_scores(str(folder), "x", uids(0))


def test_embeddings_are_those_of_the_row(folder):
    embeddings = metadata_embeddings(str(folder), "l14_img", uids(4, 99, 0, 4))
    assert embeddings.dtype == np.float32
    assert embeddings[[0, 2, 3]].tolist() == [[4, ord("b")], [0, ord("a")], [4, ord("b")]]
    assert np.isnan(embeddings[1]).all()
    assert metadata_embeddings(str(folder), "b32_img", uids(2)).tolist() == [[2]]
    with pytest.raises(PoolError, match="none of the 2 uids"):
        metadata_embeddings(str(folder), "b32_img", uids(98, 99))


def test_embeddings_that_do_not_fit_are_refused(folder):
    with pytest.raises(PoolError, match="no readable array 'x'"):
        metadata_embeddings(str(folder), "x", uids(0))
    np.savez(folder / "a.npz", l14_img=np.zeros((2, 2), np.float16))
    with pytest.raises(PoolError, match="expected floats, 3 rows"):
        metadata_embeddings(str(folder), "l14_img", uids(0))
    (folder / "a.npz").unlink()
    with pytest.raises(PoolError, match=r"a\.npz is missing"):
        metadata_embeddings(str(folder), "l14_img", uids(0))


class Evil:
    def __reduce__(self):
        return (Path("/nonexistent/pickled").touch, ())


def test_pickled_arrays_are_never_loaded(folder):
    np.savez(folder / "a.npz", l14_img=np.array([[Evil()]] * 3, dtype=object))
    with pytest.raises(PoolError, match=r"a\.npz: it is an array of pickled objects"):
        metadata_embeddings(str(folder), "l14_img", uids(0))


def test_a_folder_without_metadata_says_so(tmp_path):
    for where in (tmp_path, tmp_path / "none"):
        with pytest.raises(PoolError, match=r"no \.parquet file"):
            load_metadata(str(where))
    (tmp_path / "a.parquet").write_bytes(b"junk")
    with pytest.raises(PoolError, match="no readable parquet"):
        load_metadata(str(tmp_path))
    pl.DataFrame({"id": [1]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(PoolError, match="no column uid; it has id"):
        load_metadata(str(tmp_path))


def test_a_score_that_is_no_number_is_no_score(folder):
    frame = pl.DataFrame({"uid": [uid_of(0), uid_of(1)], SCORE: [float("nan"), 0.25]})
    frame.write_parquet(folder / "a.parquet")
    assert metadata_scores(str(folder), SCORE, uids(0, 1)).to_list() == [None, 0.25]


@pytest.mark.parametrize("score", [1.5, -7.0, float("inf")])
def test_a_score_that_is_no_cosine_is_named(folder, score):
    pl.DataFrame({"uid": [uid_of(8), uid_of(9)], SCORE: [0.5, score]}).write_parquet(
        folder / "c.parquet"
    )
    told = rf"1 scores in column '{SCORE}' .* {score:g} of uid {uid_of(9)} in row 1 of c\.parquet"
    with pytest.raises(PoolError, match=told):
        metadata_scores(str(folder), SCORE, uids(8, 9, 0))


@pytest.mark.parametrize("form", [bytes.fromhex, str.upper, lambda uid: str(UUID(uid))])
def test_uids_of_other_forms(folder, form):
    uid = form(uid_of(8))
    kind = pa.binary(16) if isinstance(uid, bytes) else pa.string()
    pq.write_table(pa.table({"uid": pa.array([uid], kind), SCORE: [0.5]}), folder / "c.parquet")
    assert metadata_scores(str(folder), SCORE, uids(8)).to_list() == [0.5]


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("uid", [1, 2], "int64"), ("uid", [["a"], ["b"]], "list"),
        ("text", [{"a": 1}, {"a": 2}], "struct"), ("url", [0.5, 1.0], "double"),
    ],
)  # fmt: skip
def test_a_column_of_another_type_is_named(tmp_path, name, values, kind):
    pq.write_table(
        pa.table({"uid": [uid_of(0), uid_of(1)]} | {name: values}), tmp_path / "a.parquet"
    )
    with pytest.raises(PoolError, match=rf"a\.parquet: its column {name} holds .*{kind}"):
        load_metadata(str(tmp_path))


def test_uids_of_which_none_is_one_are_named(tmp_path):
    pl.DataFrame({"uid": ["one", None, "two"]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(PoolError, match=r"none of the 3 values .* the first is 'one'"):
        load_metadata(str(tmp_path)).lookup(uids(0), [])


def test_texts_in_another_encoding_are_read(tmp_path):
    texts = pa.array(["Caf\xe9".encode("latin-1"), b"ok"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"uid": [uid_of(0), uid_of(1)], "text": texts}), tmp_path / "a.parquet")
    found = load_metadata(str(tmp_path)).lookup(uids(0, 1), ["text"])
    assert sorted(found["text"]) == ["Café", "ok"]


def test_a_row_that_is_no_direction_is_no_embedding(folder):
    rows = np.array([[0, 0], [1, np.inf], [3, 4]], np.float16)
    np.savez(folder / "a.npz", l14_img=rows)
    found = metadata_embeddings(str(folder), "l14_img", uids(0, 1, 2))
    assert np.isnan(found[:2]).all()
    assert found[2].tolist() == [3, 4]


def test_vectors_of_another_length_than_the_first_files_are_refused(folder):
    np.savez(folder / "b.npz", l14_img=np.ones((3, 5), np.float16))
    with pytest.raises(PoolError, match=r"b\.npz: l14_img has 5 columns, .* a\.npz has .*\(3, 2\)"):
        metadata_embeddings(str(folder), "l14_img", uids(3))


@pytest.mark.parametrize("name", ["data[1]", "a::b", "what?"])
def test_a_folder_of_any_name(folder, tmp_path, name):
    other = tmp_path / name
    other.mkdir()
    for path in folder.glob("a.*"):
        path.rename(other / path.name)
    assert metadata_scores(str(other), SCORE, uids(1)).to_list() == [np.float32(0.1)]
    assert metadata_embeddings(str(other), "b32_img", uids(2)).tolist() == [[2]]


def test_metadata_in_a_bucket(folder):
    files = fsspec.filesystem("memory")
    for path in folder.iterdir():
        files.pipe(f"/metadata/{path.name}", path.read_bytes())
    assert metadata_scores("memory://metadata", SCORE, uids(3)).to_list() == [np.float32(0.3)]
    assert metadata_embeddings("memory://metadata", "b32_img", uids(4)).tolist() == [[4]]
    files.rm("/metadata", recursive=True)
