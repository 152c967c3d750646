"""The doctor finds each file that is named and not there, and folders that cannot be written."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recap_assets_tests.cli.running import Recap
from recap_assets_tests.cli.test_doctor import wrong
from recap_assets_tests.defs.shards import write_shard
from recap_assets_tests.tiny import EXPERIMENT

Written = Callable[..., Path]
NEAR = {"kind": "image_based", "scorer": "clip", "clusters": 2, "captions": None}


def only_wrong(recap: Recap, path: Path) -> str:
    done = recap("--experiment", path, "doctor")
    assert done.exit_code == 1, done.output
    (line,) = wrong(done.output)
    return line


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        (
            {"image_scorers": {"a": {"kind": "embedding_head", "scorer": "clip", "weights": "{}"}}},
            "image_scorers.a",
        ),
        (
            {"image_scorers": {"a": {"kind": "image_classifier", "model": "{}", "label": "x"}}},
            "image_scorers.a",
        ),
        ({"sets": {"a": {**NEAR, "target": {"embeddings": "{}.npy"}}}}, "sets.a"),
        ({"sets": {"a": {**NEAR, "target": {"images": "{}"}}}}, "sets.a"),
        ({"sets": {"a": {**NEAR, "target": {"task": "coarse"}, "centroids": "{}.npy"}}}, "sets.a"),
        ({"diversity": {"nouns": "{}"}}, "diversity.nouns"),
        (
            {"models": {"a": {"kind": "clip", "corpus": "broad", "samples_seen": 9, "tower": {
                "kind": "open_clip", "name": "ViT-B-32", "pretrained": "{}"}}}},
            "models.a.tower.pretrained",
        ),
    ],
)  # fmt: skip
def test_a_file_that_is_not_there(
    recap: Recap, written: Written, tmp_path: Path, changes: dict[str, object], field: str
) -> None:
    missing = str(tmp_path / "nowhere")
    line = only_wrong(recap, written(**_filled(changes, missing)))
    assert line.startswith(f"{field}:")
    assert missing in line


def _filled(value: object, path: str) -> object:
    if isinstance(value, dict):
        own = EXPERIMENT["models"] if "a" in value and "tower" in str(value["a"]) else {}
        return {**own, **{name: _filled(part, path) for name, part in value.items()}}
    return value.replace("{}", path) if isinstance(value, str) else value


def test_centroids_that_are_none(recap: Recap, written: Written, tmp_path: Path) -> None:
    np.save(tmp_path / "centroids.npy", np.zeros(3))
    centroids = str(tmp_path / "centroids.npy")
    near = {**NEAR, "target": {"task": "coarse"}, "centroids": centroids}
    line = only_wrong(recap, written(sets={"a": near}))
    assert line == f"sets.a: {centroids}: is float64 (3,), not finite floats (clusters, dimension)"


def test_metadata_without_the_column_that_is_asked_for(
    recap: Recap, written: Written, tmp_path: Path
) -> None:
    write_shard(tmp_path / "pool", 0, ["a boat"])
    (tmp_path / "metadata").mkdir()
    frame = pl.DataFrame({"uid": [f"{0:032x}"]})
    frame.write_parquet(tmp_path / "metadata" / "a.parquet")
    pool = {
        "kind": "webdataset",
        "shards": str(tmp_path / "pool"),
        "metadata": str(tmp_path / "metadata"),
    }
    by_metadata = {"kind": "laion2b", "pool_scores": "score", "language": None}
    line = only_wrong(recap, written(pool=pool, sets={"a": by_metadata}))
    assert line.startswith("sets.a.pool_scores: no file of ")
    assert line.endswith("has a column 'score'")


def test_metadata_that_is_not_there(recap: Recap, written: Written, tmp_path: Path) -> None:
    write_shard(tmp_path / "pool", 0, ["a boat"])
    pool = {
        "kind": "webdataset",
        "shards": str(tmp_path / "pool"),
        "metadata": str(tmp_path / "nowhere"),
    }
    line = only_wrong(recap, written(pool=pool))
    assert line.startswith("pool.metadata: no .parquet file in ")


def test_an_export_folder_that_holds_something_else(
    recap: Recap, written: Written, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    exports = {"a": {"to": "subset", "mix": "raw", "folder": str(tmp_path / "full")}}
    line = only_wrong(recap, written(exports=exports))
    assert line.startswith("exports.a.folder: ")
    assert "thesis.tex" in line


def test_an_export_folder_below_a_file(recap: Recap, written: Written, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    exports = {"a": {"to": "subset", "mix": "raw", "folder": str(tmp_path / "file" / "below")}}
    line = only_wrong(recap, written(exports=exports))
    assert "cannot be written to: Not a directory" in line
