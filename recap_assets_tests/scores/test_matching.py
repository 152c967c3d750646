"""BLIP's image-text matching, through the code that loads it from the hub."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BlipConfig, BlipForImageTextRetrieval, BlipImageProcessor, BlipProcessor

from recap_assets.engines.errors import ModelFileError
from recap_assets.scores.kinds.matching import ImageTextMatching
from recap_assets.testing.inputs import Nothing, some_images
from recap_assets_tests.captions.kinds.transformers.families import (
    MARKS,
    SIDE,
    TOWER,
    shuffle_weights,
    tokenizer_of,
)

TEXTS = ["word1 word2", "word3", "", "word1 word2", "word4 word5 word6", "word9 " * 90]


def save_matching(folder: Path) -> Path:
    tokenizer = tokenizer_of({**MARKS, "cls_token": "[CLS]", "sep_token": "[SEP]"}, (), "[CLS] $A")
    width = {"hidden_size": 24, "encoder_hidden_size": 24, "intermediate_size": 48}
    text = {
        **width, "vocab_size": len(tokenizer), "num_hidden_layers": 1, "num_attention_heads": 2,
        "projection_dim": 24, "max_position_embeddings": 64, "bos_token_id": 2, "eos_token_id": 3,
        "pad_token_id": 0, "sep_token_id": 3,
    }  # fmt: skip
    config = BlipConfig(
        text_config=text, vision_config=TOWER, projection_dim=24, image_text_hidden_size=16
    )
    model = BlipForImageTextRetrieval(config)
    shuffle_weights(model, 1)
    model.save_pretrained(folder)
    BlipProcessor(BlipImageProcessor(size=SIDE), tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_matching(tmp_path_factory.mktemp("blip"))


def spec(folder: Path, **options: object) -> ImageTextMatching:
    values = {"kind": "image_text_matching", "model": str(folder), "device": "cpu", **options}
    return ImageTextMatching.model_validate(values)


def test_the_probability_is_that_of_the_models_own_head(folder: Path) -> None:
    images = [image for image in some_images()[:3] for _ in TEXTS]
    texts = TEXTS * 3
    scores = spec(folder, batch_size=4).open(Nothing()).score(images, texts)
    model = BlipForImageTextRetrieval.from_pretrained(folder).eval()
    processor = BlipProcessor.from_pretrained(folder)
    for image, text, score in zip(images, texts, scores, strict=True):
        inputs = processor(
            images=image, text=text, truncation=True, max_length=64, return_tensors="pt"
        )
        with torch.inference_mode():
            logits = model(**{k: inputs[k] for k in ("input_ids", "pixel_values")}).itm_score
        assert score == pytest.approx(float(logits.softmax(dim=1)[0, 1]), abs=1e-5)
    assert np.ptp(scores) > 0.01
    assert len({round(float(s), 6) for s in scores}) > 6


def test_batches_change_no_bit(folder: Path) -> None:
    images = [image for image in some_images() for _ in TEXTS]
    texts = TEXTS * len(some_images())
    whole = spec(folder, batch_size=64).open(Nothing()).score(images, texts)
    scorer = spec(folder, batch_size=2).open(Nothing())
    alone = [scorer.score([i], [t])[0] for i, t in zip(images[:8], texts[:8], strict=True)]
    assert whole[:8].tobytes() == np.array(alone, np.float32).tobytes()


def test_a_model_of_another_kind_and_one_without_its_head_are_refused(
    folder: Path, tmp_path: Path
) -> None:
    config = json.loads((folder / "config.json").read_text())
    for name in folder.iterdir():
        (tmp_path / name.name).write_bytes(name.read_bytes())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "clip"}))
    with pytest.raises(ModelFileError, match="type clip; BLIP's are known"):
        spec(tmp_path).open(Nothing())
    (tmp_path / "config.json").write_text(json.dumps({**config, "image_text_hidden_size": 17}))
    with pytest.raises(ModelFileError, match=str(tmp_path)):
        spec(tmp_path).open(Nothing())
