"""Every family of captioners, through the code that loads the real ones."""

import json
import shutil
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image as PilImage
from transformers import AutoModelForImageTextToText, AutoProcessor, T5Gemma2Config

from recap_assets.captions.kinds.transformers import TransformersSource, chat
from recap_assets.captions.kinds.transformers import engine as loading
from recap_assets.captions.kinds.transformers.engine import load_transformers_captioner
from recap_assets.engines.errors import DeviceError, ModelFileError
from recap_assets.specs.decoding import Decoding

CHATS = ["llava", "qwen2_vl", "qwen3_vl", "idefics3", "gemma3"]
FAMILIES = ["blip2_t5", "instructblip", "instructblip_t5", "git", "florence2", *CHATS]


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture
def load(folder_of, family):
    """Loads a captioner of the family."""
    return lambda **changes: load_transformers_captioner(source_of(folder_of(family), **changes))


@pytest.fixture(scope="module")
def plain_of(folder_of):
    """A captioner of a family without an option, loaded once, which no test changes."""
    return cache(lambda name: load_transformers_captioner(source_of(folder_of(name))))


@pytest.fixture(scope="module")
def plain_captions_of(plain_of, images, uids):
    """What that captioner writes of the images."""
    return cache(lambda name: plain_of(name).caption(images, uids))


def source_of(folder, **changes) -> TransformersSource:
    decoding = {
        "min_tokens": 2,
        "max_tokens": 10,
        "temperature": 1.5,
        **changes.pop("decoding", {}),
    }
    return TransformersSource(
        kind="transformers", model=str(folder), decoding=Decoding(**decoding), **changes
    )


def generated(model, processor, family, image, prompt: str) -> str:
    """What a user of transformers writes: the processor, and greedy `generate`."""
    shown = PilImage.fromarray(image)
    if family in CHATS:
        content = [{"type": "image", "image": shown}, {"type": "text", "text": prompt}]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
    elif family == "git":
        inputs = processor(images=shown, return_tensors="pt")
        words = processor.tokenizer(prompt, add_special_tokens=False)["input_ids"]
        inputs["input_ids"] = torch.tensor([[model.config.bos_token_id, *words]])
    else:
        inputs = processor(images=shown, text=prompt, return_tensors="pt")
    forced = family == "florence2"  # its first token is the same for every caption
    # With its cache, GIT of transformers before 5.18 counts the image where text has its position.
    cached = family != "git"
    with torch.inference_mode():
        (tokens,) = model.generate(
            **inputs, max_new_tokens=10 + forced, do_sample=False, use_cache=cached
        )
    n_read = 0 if model.config.is_encoder_decoder else inputs["input_ids"].shape[1]
    if family.endswith("t5"):
        n_read = 0
    return processor.tokenizer.decode(tokens[n_read:], skip_special_tokens=True).strip()


def test_greedy_captions_are_those_of_generate(folder_of, family, load, images, uids):
    prompt = "<DETAILED_CAPTION>" if family == "florence2" else "word3 word4"
    captioner = load(decoding={"strategy": "greedy", "min_tokens": 0}, prompt=prompt)
    captions = captioner.caption(images, uids)
    model = AutoModelForImageTextToText.from_pretrained(folder_of(family)).eval()
    processor = AutoProcessor.from_pretrained(folder_of(family))
    expected = [generated(model, processor, family, image, prompt) for image in images]
    assert [caption.text for (caption,) in captions] == expected
    assert len(set(expected)) > 3


@pytest.mark.bits
def test_captions_do_not_depend_on_batch_or_order(load, images, uids):
    captioner = load(candidates=2, batch_size=64)
    whole = captioner.caption(images, uids)
    assert len({caption.text for row in whole for caption in row}) > 8
    captioner.size.rows = 1
    assert captioner.caption(images, uids) == whole
    captioner.size.rows = 6
    order = [5, 2, 7, 0, 1, 6, 3, 4]
    permuted = captioner.caption([images[n] for n in order], [uids[n] for n in order])
    assert permuted == [whole[n] for n in order]


@pytest.mark.parametrize(
    ("name", "attention"),
    [("git", "auto"), ("blip2_t5", "auto"), ("florence2", "sdpa"), ("qwen3_vl", "sdpa")],
)
def test_captions_do_not_depend_on_the_batch_with_two_threads(
    folder_of, name, images, uids, attention
):
    decoding = {"min_tokens": 3, "max_tokens": 3}
    source = source_of(folder_of(name), decoding=decoding, attention=attention, candidates=8)
    captioner = load_transformers_captioner(source)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        whole = captioner.caption(images[:3], uids[:3])
        captioner.size.rows = 1
        alone = captioner.caption(images[:3], uids[:3])
    finally:
        torch.set_num_threads(before)
    assert alone == whole


def test_bfloat16(load, plain_captions_of, family, images, uids):
    captioner = load(precision="bfloat16")
    whole = captioner.caption(images, uids)
    assert captioner.caption(images[2:3], uids[2:3]) == whole[2:3]
    assert all(np.isfinite(row[0].log_probability) for row in whole)
    assert whole != plain_captions_of(family)


def test_the_prompt_changes_the_caption(load, plain_captions_of, family, images, uids):
    prompt = "<CAPTION>" if family == "florence2" else "word7 word8"
    other = load(prompt=prompt).caption(images, uids)
    assert all(
        one[0].log_probability != two[0].log_probability
        for one, two in zip(other, plain_captions_of(family), strict=True)
    )


def test_the_longest_caption_that_is_allowed_can_be_written(load, plain_of, family, images, uids):
    captioner = plain_of(family)
    if family in CHATS:
        prompt = captioner.reader.prepare(images[0])
        room = captioner.reader.batch([prompt]).room
    else:
        room = min(captioner.model.room, 80)
    ((caption,),) = load(decoding={"min_tokens": room, "max_tokens": room}).caption(
        images[:1], uids[:1]
    )
    assert caption.n_tokens == room


@pytest.mark.parametrize("name", CHATS)
def test_a_prompt_without_room_for_the_caption_is_rejected(folder_of, name, images, uids):
    source = source_of(folder_of(name), decoding={"max_tokens": 512})
    ((caption,),) = load_transformers_captioner(source).caption(images[:1], uids[:1])
    assert (caption.status, caption.reason) == ("error", "image_rejected_by_processor")


@pytest.mark.parametrize("name", ["blip2", "florence2", "qwen2_vl"])
def test_a_model_spread_by_accelerate_writes_the_same(
    folder_of, plain_captions_of, name, images, uids
):
    pytest.importorskip("accelerate")
    spread = load_transformers_captioner(source_of(folder_of(name), device_map="auto"))
    assert spread.caption(images, uids) == plain_captions_of(name)


def test_a_library_that_is_not_installed_is_named(folder_of, monkeypatch):
    monkeypatch.setattr(loading, "find_spec", lambda _: None)
    with pytest.raises(ModelFileError, match=r"accelerate is not installed.*pip install"):
        load_transformers_captioner(source_of(folder_of("git"), device_map="auto"))


@pytest.mark.parametrize(
    "option",
    [{"quantization": "4bit"}, {"attention": "flash_attention_2", "precision": "bfloat16"}],
)
def test_options_that_need_a_gpu(folder_of, monkeypatch, option):
    monkeypatch.setattr(loading, "find_spec", lambda _: True)
    with pytest.raises(DeviceError, match=f"{next(iter(option))}.* needs a GPU"):
        load_transformers_captioner(source_of(folder_of("git"), device="cpu", **option))


def test_an_attention_that_the_family_does_not_have(folder_of):
    with pytest.raises(ModelFileError, match="does not support"):
        load_transformers_captioner(source_of(folder_of("git"), attention="sdpa"))


def test_a_refusal_is_no_caption(folder_of, monkeypatch, images, uids):
    replies = iter(["I'm sorry, but I can't assist with that.", "a dog"])
    monkeypatch.setattr(chat.Chat, "text", lambda _self, _tokens: next(replies))
    captioner = load_transformers_captioner(source_of(folder_of("llava")))
    (first,), (second,) = captioner.caption(images[:2], uids[:2])
    assert (first.status, first.reason) == ("refused", "declined")
    assert (second.status, second.reason) == ("truncated", None)


def changed_config(folder, tmp_path, **changes):
    copy = shutil.copytree(folder, tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, **changes}))
    return copy


CODE = {"AutoModelForCausalLM": "modeling_it.It", "AutoConfig": "configuration_it.It"}


def test_code_in_the_repository_is_never_run(folder_of, tmp_path):
    folder = changed_config(folder_of("git"), tmp_path, auto_map=CODE, model_type="homemade")
    (folder / "configuration_it.py").write_text("raise SystemExit('was run')")
    with pytest.raises(ModelFileError, match=r"type homemade.*its own code.*never run.*blip"):
        load_transformers_captioner(source_of(folder))


def test_a_repository_with_code_names_the_one_without(folder_of, tmp_path):
    folder = changed_config(folder_of("florence2"), tmp_path, auto_map=CODE)
    with pytest.raises(ModelFileError, match=r"its own code.*florence-community/Florence-2-large"):
        load_transformers_captioner(source_of(folder))


def test_an_unknown_family_is_told_the_known_ones(folder_of, tmp_path):
    folder = changed_config(folder_of("git"), tmp_path, model_type="bert")
    with pytest.raises(ModelFileError, match=r"type bert.*instructblip.*florence2.*qwen2_5_vl"):
        load_transformers_captioner(source_of(folder))


def test_a_chat_model_that_encodes_and_decodes_is_refused(tmp_path):
    T5Gemma2Config().save_pretrained(tmp_path)
    with pytest.raises(ModelFileError, match="encoder-decoder of type t5gemma2"):
        load_transformers_captioner(source_of(tmp_path))


def test_a_chat_model_without_a_template(folder_of, tmp_path):
    folder = shutil.copytree(folder_of("llava"), tmp_path / "copy")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelFileError, match="LlavaForConditionalGeneration with no chat template"):
        load_transformers_captioner(source_of(folder))


def test_pickled_weights_are_refused(folder_of, family, tmp_path):
    folder = shutil.copytree(folder_of(family), tmp_path / "copy")
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(ModelFileError, match="Only safetensors are read"):
        load_transformers_captioner(source_of(folder))


def test_a_library_that_a_processor_asks_for_is_all_that_is_advised(
    folder_of, tmp_path, monkeypatch
):
    monkeypatch.setattr("transformers.models.smolvlm.processing_smolvlm.num2words", None)
    folder = shutil.copytree(folder_of("idefics3"), tmp_path / "copy")
    for name in ("processor_config.json", "tokenizer_config.json"):
        content = json.loads((folder / name).read_text())
        content["processor_class"] = "SmolVLMProcessor"
        (folder / name).write_text(json.dumps(content))
    sizes = {"size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 32}}
    videos = {"video_processor_type": "SmolVLMVideoProcessor", **sizes}
    (folder / "video_preprocessor_config.json").write_text(json.dumps(videos))
    with pytest.raises(ModelFileError, match=r"Install it with `pip install num2words`\.$"):
        load_transformers_captioner(source_of(folder))
