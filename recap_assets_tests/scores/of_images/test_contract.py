"""The public contracts of image scorers, kept by every registered kind; some that break them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from safetensors.numpy import save_file

from recap_assets.engines.protocols import Image, ImageScorer, Places, VectorScorer
from recap_assets.scores.of_images.kind import OfEmbeddings, OfImages
from recap_assets.scores.of_images.kinds.classifier import ImageClassifier
from recap_assets.scores.of_images.kinds.head import EmbeddingHead
from recap_assets.specs.kinds import kinds_of
from recap_assets.testing.image_scorers import (
    OfEmbeddingsContract,
    OfImagesContract,
    OwnImageScoresContract,
)
from recap_assets_tests.scores.conftest import OWN_OF_IMAGES
from recap_assets_tests.scores.of_images.test_classifier import save_classifier
from recap_assets_tests.tiny import Bench

HELD = {"embedding_head": "TestHead", "image_classifier": "TestClassifier"}


def test_no_kind_is_left_out() -> None:
    assert {*HELD, *OWN_OF_IMAGES} == kinds_of("image_scorers").keys()
    assert set(HELD.values()) <= globals().keys()


class TestHead(OfEmbeddingsContract):
    width = 24

    @pytest.fixture(autouse=True)
    def given(self, tmp_path: Path) -> None:
        weight = np.random.default_rng(1).normal(size=(1, self.width)).astype(np.float32)
        save_file({"a.weight": weight, "a.bias": np.ones(1, "f4")}, tmp_path / "a.safetensors")
        head = {"kind": "embedding_head", "scorer": "clip"}
        self.scorer = EmbeddingHead.model_validate(
            head | {"weights": str(tmp_path / "a.safetensors"), "output": "sigmoid"}
        )


@pytest.mark.parametrize("kind", OWN_OF_IMAGES)
class TestOwn(OwnImageScoresContract):
    @pytest.fixture(autouse=True)
    def given(self, kind: str, own: Bench) -> None:
        self.project, self.name = own.project, kind


class TestClassifier(OfImagesContract):
    @pytest.fixture(autouse=True)
    def given(self, tmp_path: Path) -> None:
        folder = save_classifier(tmp_path / "model")
        self.scorer = ImageClassifier(
            kind="image_classifier", model=str(folder), label="nsfw", device="cpu", batch_size=4
        )


class Brightness(OfImages):
    """How bright an image is; none where it has a pixel alone."""

    kind: Literal["brightness"] = "brightness"

    def open(self, places: Places) -> ImageScorer:  # noqa: ARG002
        return Mean()


class Mean:
    def score(self, images: Sequence[Image]) -> np.ndarray:
        means = [image.mean() if image.size > 3 else np.nan for image in images]
        return np.array(means, np.float32)


class TestBrightness(OfImagesContract):
    scorer = Brightness()


class Relative(Brightness):
    def open(self, places: Places) -> ImageScorer:  # noqa: ARG002
        return Brighter()


class Brighter(Mean):
    """How much brighter an image is than the others."""

    def score(self, images: Sequence[Image]) -> np.ndarray:
        scores = super().score(images)
        return scores - np.nan_to_num(scores).mean() if len(scores) else scores


class Endless(Brightness):
    def open(self, places: Places) -> ImageScorer:  # noqa: ARG002
        return Infinite()


class Infinite(Mean):
    def score(self, images: Sequence[Image]) -> np.ndarray:
        return np.full(len(images), np.inf, np.float32)


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (Relative, "test_a_score_depends_on_its_image_alone"),
        (Endless, "test_each_image_has_a_number_or_none"),
    ],
)
def test_the_contract_fails_for_what_does_not_keep_it(kind: type[OfImages], test: str) -> None:
    contract = OfImagesContract()
    contract.scorer = kind()
    with pytest.raises(AssertionError):
        getattr(contract, test)()


class Nameless(OfEmbeddings):
    """Takes embeddings of a scorer that it does not name."""

    kind: Literal["nameless"] = "nameless"

    @property
    def embedded_by(self) -> str:
        return "clip"

    def open(self, places: Places) -> VectorScorer:
        raise AssertionError(places)


def test_the_contract_of_embeddings_fails_too() -> None:
    contract = OfEmbeddingsContract()
    contract.scorer = Nameless()
    with pytest.raises(AssertionError):
        contract.test_it_names_the_scorer_whose_embeddings_it_takes()
