"""BLIP and BLIP-2 through the code that loads the real ones."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor
from transformers.utils import logging

from recap_assets.captions.kinds.transformers import TransformersSource
from recap_assets.captions.kinds.transformers.engine import load_transformers_captioner
from recap_assets.engines.errors import ModelFileError
from recap_assets.specs.decoding import Decoding

FOLDERS = ["blip_folder", "blip2_folder"]


@pytest.fixture(params=FOLDERS)
def folder(request):
    return request.getfixturevalue(request.param)


def source_of(folder, **changes) -> TransformersSource:
    decoding = {"min_tokens": 2, "max_tokens": 12, **changes.pop("decoding", {})}
    return TransformersSource(
        kind="transformers", model=str(folder), decoding=Decoding(**decoding), **changes
    )


@pytest.mark.parametrize("prompt", [None, "word3 word4"])
def test_greedy_captions_are_those_of_generate(folder, images, uids, prompt):
    decoding = {"strategy": "greedy", "min_tokens": 0}
    source = source_of(folder, decoding=decoding, prompt=prompt)
    ours = load_transformers_captioner(source).caption(images, uids)
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder)
    ids = prompt_ids(model, processor, prompt)
    for image, (caption,) in zip(images, ours, strict=True):
        pixels = processor.image_processor(
            image, input_data_format="channels_last", return_tensors="pt"
        )
        with torch.inference_mode():
            (tokens,) = model.generate(**pixels, input_ids=ids, max_new_tokens=12, do_sample=False)
        # BLIP reads the prompt without its end mark; both give the prompt back.
        n_read = ids.shape[1] - (model.config.model_type == "blip")
        text = processor.tokenizer.decode(tokens[n_read:], skip_special_tokens=True)
        assert caption.text == text.strip()
    assert len({caption.text for (caption,) in ours}) > 1


def test_loading_prints_nothing_and_leaves_the_library_as_it_was(folder, capfd):
    verbosity = logging.get_verbosity()
    load_transformers_captioner(source_of(folder))
    assert capfd.readouterr() == ("", "")
    assert logging.get_verbosity() == verbosity
    assert logging.is_progress_bar_enabled()


def prompt_ids(model, processor, prompt):
    words = processor.tokenizer(prompt or "", add_special_tokens=False)["input_ids"]
    text_config = model.config.text_config
    if model.config.model_type == "blip":
        return torch.tensor([[text_config.bos_token_id, *words, text_config.sep_token_id]])
    image = [model.config.image_token_index] * model.config.num_query_tokens
    return torch.tensor([[*image, text_config.bos_token_id, *words]])


def test_a_prompt_changes_the_caption_and_is_not_part_of_it(folder, images, uids):
    plain = load_transformers_captioner(source_of(folder)).caption(images, uids)
    source = source_of(folder, prompt="word3 word4")
    prompted = load_transformers_captioner(source).caption(images, uids)
    assert [row[0].text for row in plain] != [row[0].text for row in prompted]
    assert all(row[0].n_tokens <= 12 for row in prompted)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision(folder, images, uids, precision):
    source = source_of(folder, precision=precision)
    captioner = load_transformers_captioner(source)
    whole = captioner.caption(images[:4], uids[:4])
    assert captioner.caption(images[2:3], uids[2:3]) == whole[2:3]
    assert all(np.isfinite(row[0].log_probability) for row in whole)


def test_a_missing_folder(tmp_path):
    with pytest.raises(ModelFileError, match=r"no such folder\. Correct the path"):
        load_transformers_captioner(source_of(tmp_path / "nothing"))


def test_no_network(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelFileError, match=r"hf download Salesforce/blip2-opt-2\.7b"):
        load_transformers_captioner(source_of("Salesforce/blip2-opt-2.7b"))


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def test_truncated_weights(copy):
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelFileError, match=f"cannot load {copy}"):
        load_transformers_captioner(source_of(copy))


def test_pickled_weights_are_refused(copy):
    (copy / "model.safetensors").unlink()
    torch.save({}, copy / "pytorch_model.bin")
    with pytest.raises(ModelFileError, match="Only safetensors are read"):
        load_transformers_captioner(source_of(copy))


def test_an_incomplete_checkpoint_is_not_filled_with_random_numbers(copy):
    weights = load_file(copy / "model.safetensors")
    removed = sorted(weights)[3]
    del weights[removed]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelFileError, match=f"lacks tensors of its own config: .*{removed}"):
        load_transformers_captioner(source_of(copy))


def test_another_architecture(copy):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    with pytest.raises(ModelFileError, match=r"type bert.*Salesforce/blip2-opt-2\.7b"):
        load_transformers_captioner(source_of(copy))


def test_a_missing_tokenizer(copy):
    for name in ("tokenizer.json", "tokenizer_config.json", "processor_config.json"):
        (copy / name).unlink(missing_ok=True)
    with pytest.raises(ModelFileError, match=f"cannot load {copy}"):
        load_transformers_captioner(source_of(copy))
