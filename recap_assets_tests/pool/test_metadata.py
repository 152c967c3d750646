from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recap_assets.pool.files import PoolError
from recap_assets.pool.metadata import (
    load_metadata,
    metadata_embeddings,
    metadata_scores,
    uid_from_hex,
)
from recap_assets_tests.pool.building import uid_of

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
    with pytest.raises(PoolError, match="expected floats"):
        metadata_embeddings(str(folder), "l14_img", uids(0))


def test_malformed_uids_are_null():
    found = uid_from_hex(pl.Series([uid_of(1).upper(), "xy", "ab", None, uid_of(2) + "00"]))
    assert found.to_list() == [bytes.fromhex(uid_of(1)), None, None, None, None]


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
