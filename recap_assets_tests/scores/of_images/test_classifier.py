"""A classifier's probability, through the code that loads one from the hub."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoImageProcessor, ViTConfig, ViTForImageClassification, ViTImageProcessor

from recap_assets.engines.errors import ModelFileError
from recap_assets.scores.of_images.kinds.classifier import ImageClassifier
from recap_assets.scores.of_images.kinds.classifier.engine import load_image_classifier


def save_classifier(folder: Path) -> Path:
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        image_size=16, patch_size=8, id2label={0: "normal", 1: "nsfw"},
        label2id={"normal": 0, "nsfw": 1},
    )  # fmt: skip
    model = ViTForImageClassification(config)
    # Random weights alone give every image the same probability to four digits.
    torch.nn.init.normal_(model.classifier.weight, std=1.0)
    model.save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_classifier(tmp_path_factory.mktemp("classifier"))


@pytest.fixture
def images() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    sides = [(20, 30), (16, 16), (9, 40), (64, 3), (31, 31)]
    return [random.integers(0, 255, (*side, 3), np.uint8) for side in sides]


def spec(folder: Path, **options: object) -> ImageClassifier:
    values = {"kind": "image_classifier", "model": str(folder), "label": "nsfw", **options}
    return ImageClassifier.model_validate(values)


def test_the_probability_of_a_label(folder: Path, images: list[np.ndarray]) -> None:
    scores = load_image_classifier(spec(folder)).score(images)
    model = ViTForImageClassification.from_pretrained(folder)
    processor = AutoImageProcessor.from_pretrained(folder, backend="torchvision")
    with torch.inference_mode():
        pixels = processor(images=list(images), return_tensors="pt")["pixel_values"]
        expected = model(pixel_values=pixels).logits.softmax(dim=1)[:, 1].numpy()
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    assert np.ptp(scores) > 0.01


def test_batches_change_no_bit(folder: Path, images: list[np.ndarray]) -> None:
    whole = load_image_classifier(spec(folder, batch_size=5)).score(images)
    parts = load_image_classifier(spec(folder, batch_size=2)).score(images)
    assert whole.tobytes() == parts.tobytes()
    assert load_image_classifier(spec(folder)).score([]).shape == (0,)


def test_a_label_that_it_does_not_have(folder: Path) -> None:
    with pytest.raises(ModelFileError, match="no label 'watermark' among its 2; they are nor"):
        load_image_classifier(spec(folder, label="watermark"))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"0": "nsfw", "1": "nsfw"}, "has 2 labels 'nsfw' among its 2"),
        ({"0": "normal", "7": "nsfw"}, "has 1 labels 'nsfw' among its 2"),
    ],
)
def test_a_label_without_a_number_of_its_own_is_refused(
    names: dict[str, str], words: str, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelFileError, match=words):
        load_image_classifier(spec(renamed(folder, tmp_path, id2label=names)))


def test_a_label_has_the_number_by_which_the_model_names_it(
    folder: Path, tmp_path: Path, images: list[np.ndarray]
) -> None:
    wrong = renamed(folder, tmp_path, label2id={"normal": 1, "nsfw": 99})
    expected = load_image_classifier(spec(folder)).score(images)
    assert load_image_classifier(spec(wrong)).score(images).tobytes() == expected.tobytes()


def renamed(folder: Path, into: Path, **changes: object) -> Path:
    """The folder again, with changes to its config."""
    for path in folder.iterdir():
        (into / path.name).symlink_to(path)
    config = json.loads((folder / "config.json").read_text())
    (into / "config.json").unlink()
    (into / "config.json").write_text(json.dumps({**config, **changes}))
    return into


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"nowhere: there is no such folder\. Correct"):
        load_image_classifier(spec(tmp_path / "nowhere"))


def test_pickled_weights_are_not_opened(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "pickled"
    copy.mkdir()
    for name in ("config.json", "preprocessor_config.json"):
        (copy / name).write_bytes((folder / name).read_bytes())
    model = ViTForImageClassification.from_pretrained(folder)
    torch.save(model.state_dict(), copy / "pytorch_model.bin")
    with pytest.raises(ModelFileError, match="safetensors"):
        load_image_classifier(spec(copy))
