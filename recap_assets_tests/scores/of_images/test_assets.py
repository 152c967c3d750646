"""Scores of images by a head and by a classifier, as assets of the tiny experiment."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import IMAGE_EMBEDDINGS, IMAGE_SCORES
from recap_assets.artefacts.table import is_usable
from recap_assets.graph.node import Step
from recap_assets.scores.of_images.assets import score_partition
from recap_assets.scores.of_images.kinds.classifier import ImageClassifier
from recap_assets.sets.assets import members_of, why_not
from recap_assets.specs.loading import ExperimentError
from recap_assets_tests.scores.of_images.test_classifier import save_classifier
from recap_assets_tests.tiny import Bench, tiny_experiment

LIMIT = 0.5
LIMIT_OF_LIGHT = 128


def test_images_are_scored_once_whatever_their_texts(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(size=(1, 32)).astype(np.float32)
    head = tmp_path / "head.safetensors"
    save_file({"weight": weight, "bias": np.ones(1, np.float32)}, head)
    scorers = {
        "aesthetic": {"kind": "embedding_head", "scorer": "clip", "weights": str(head)},
        "unsafe": {
            "kind": "image_classifier", "model": str(save_classifier(tmp_path / "model")),
            "label": "nsfw",
        },
    }  # fmt: skip
    bench = Bench(tmp_path / "data", tiny_experiment(image_scorers=scorers))
    bench.build("world", "pool", "models", "scores")
    tables = bench.project.workspace.tables
    usable = tables.scan(RAW_POOL).filter(is_usable()).select("uid").collect()
    for name in scorers:
        rows = tables.read(IMAGE_SCORES, scorer=name)
        assert set(rows["uid"]) == set(usable["uid"])
    embedded = tables.read(IMAGE_EMBEDDINGS).sort("uid")
    vectors = np.frombuffer(b"".join(embedded["embedding"]), "<f2").reshape(-1, 32).astype(float)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = tables.read(IMAGE_SCORES, scorer="aesthetic").sort("uid")["score"].to_numpy()
    np.testing.assert_allclose(found, vectors @ weight[0] + 1, atol=1e-6)
    unsafe = tables.read(IMAGE_SCORES, scorer="unsafe")["score"]
    assert unsafe.is_between(0, 1).all()
    assert bench.build("scores") == []
    middle = float(np.median(found))
    sets = {
        "safe": {"kind": "image_score", "scorer": "unsafe", "at_most": LIMIT},
        "pretty": {"kind": "image_score", "scorer": "aesthetic", "at_least": middle},
    }
    with_sets = tiny_experiment(image_scorers=scorers, sets=sets)
    bench = Bench(tmp_path / "data", with_sets, bench.memory)
    bench.build("sets")
    safe, pretty = members_of(bench.project, "safe"), members_of(bench.project, "pretty")
    by_unsafe = tables.read(IMAGE_SCORES, scorer="unsafe")
    assert set(safe) == set(by_unsafe.filter(pl.col("score") <= LIMIT)["uid"])
    values = zip(embedded["uid"], found, strict=True)
    assert set(pretty) == {uid for uid, value in values if value >= np.float32(middle)}
    assert 0 < len(pretty) < 60
    left_out = next(uid for uid in embedded["uid"] if uid not in set(pretty))
    place = tables.read(RAW_POOL).filter(pl.col("uid") == pl.lit(left_out))["partition"].item()
    (why,) = why_not(bench.project, "pretty", place, left_out)
    assert why.startswith("aesthetic gives it")
    gone = Bench(tmp_path / "data", tiny_experiment(), bench.memory)
    left = {one.asset: one for one in gone.graph.leaving()}
    assert {"image_scores/aesthetic", "image_scores/unsafe"} <= set(left)
    left["image_scores/aesthetic"].remove()
    assert tables.read(IMAGE_SCORES)["scorer"].unique().to_list() == ["unsafe"]


def test_a_head_over_a_scorer_that_is_not_there() -> None:
    head = {"kind": "embedding_head", "scorer": "clp", "weights": "head.safetensors"}
    with pytest.raises(ExperimentError, match=r"image_scorers\.aesthetic\.scorer.*clp"):
        tiny_experiment(image_scorers={"aesthetic": head})


def test_an_image_without_a_score_is_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Picky:
        def score(self, images: list[np.ndarray]) -> np.ndarray:
            means = np.array([image.mean() for image in images], np.float32)
            return np.where(means > LIMIT_OF_LIGHT, means, np.nan).astype(np.float32)

    spec = {"kind": "image_classifier", "model": str(tmp_path), "label": "nsfw"}
    bench = Bench(tmp_path / "data", tiny_experiment(image_scorers={"light": spec}))
    bench.build("world", "pool")
    monkeypatch.setattr(ImageClassifier, "open", lambda *_: Picky())
    for partition in bench.project.partitions:
        found = score_partition(bench.project, "light", Step(partition))
        n_images = bench.project.usable_images(partition).height
        assert found.frame["score"].is_between(LIMIT_OF_LIGHT, 255).all()
        assert found.rejected == {"not_scored": n_images - found.frame.height}
        assert 0 < found.frame.height < n_images


def test_a_classifier_is_loaded_once_for_all_partitions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    class Zero:
        def score(self, images: list[np.ndarray]) -> np.ndarray:
            return np.zeros(len(images), np.float32)

    def open_one(self: ImageClassifier, _places: object) -> Zero:
        opened.append(self.model)
        return Zero()

    monkeypatch.setattr(ImageClassifier, "open", open_one)
    (tmp_path / "model").mkdir()
    spec = {"kind": "image_classifier", "model": str(tmp_path / "model"), "label": "nsfw"}
    bench = Bench(tmp_path / "data", tiny_experiment(image_scorers={"light": spec}))
    built = bench.build("world", "pool", "scores")
    assert sum(asset == "image_scores/light" for asset, _ in built) == 3
    assert opened == [str(tmp_path / "model")]
