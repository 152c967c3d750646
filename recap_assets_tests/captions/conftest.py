"""Tiny models with random weights, saved as the hub and open_clip save theirs."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
)

from recap_assets.captions.servers import client as server_client
from recap_assets_tests.captions.kinds.transformers.families import (
    BUILDERS,
    shuffle_weights,
    tokenizer_of,
)
from recap_assets_tests.chat_server import Start, chat_servers
from recap_assets_tests.threads import TEST_THREADS


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts captioning servers on loopback."""
    with chat_servers() as start:
        yield start


@pytest.fixture
def no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is busy is asked again soon."""
    monkeypatch.setattr(server_client, "FIRST_PAUSE", 0.01)


@pytest.fixture(scope="session")
def blip_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("blip")
    special = {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "bos_token": "[DEC]",
    }
    tokenizer = tokenizer_of(special)
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "encoder_hidden_size": 24,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 40,
        "bos_token_id": 4,
        "eos_token_id": 3,
        "sep_token_id": 3,
        "pad_token_id": 0,
    }
    vision = {
        "hidden_size": 24,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    }
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision))
    shuffle_weights(model, 1)
    model.save_pretrained(folder)
    images = BlipImageProcessor(size={"height": 32, "width": 32})
    BlipProcessor(images, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def blip2_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("blip2")
    special = {
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "bos_token": "</s>",
        "eos_token": "[END]",
    }
    tokenizer = tokenizer_of(special)
    processor = Blip2Processor(
        BlipImageProcessor(size={"height": 32, "width": 32}), tokenizer, num_query_tokens=4
    )
    vision = {
        "hidden_size": 24,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    }
    qformer = {
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "encoder_hidden_size": 24,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    text = {
        "model_type": "opt",
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "word_embed_proj_dim": 32,
        "ffn_dim": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 48,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "pad_token_id": 0,
    }
    config = Blip2Config(
        vision_config=vision,
        qformer_config=qformer,
        text_config=text,
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    model = Blip2ForConditionalGeneration(config)
    shuffle_weights(model, 2)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory, blip_folder, blip2_folder) -> Callable[[str], Path]:
    """The folder of a tiny model of a family, built once."""
    built = {"blip": blip_folder, "blip2": blip2_folder}

    def build(family: str) -> Path:
        if family not in built:
            built[family] = BUILDERS[family](tmp_path_factory.mktemp(family))
        return built[family]

    return build


@pytest.fixture(scope="session")
def coca_folder(tmp_path_factory) -> Path:
    """CoCa in open_clip's layout of a local folder, with open_clip's own tokenizer."""
    folder = tmp_path_factory.mktemp("coca")
    tower = {"width": 16, "heads": 2, "layers": 2, "context_length": 20, "vocab_size": 49408}
    config = {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 32,
            "layers": 2,
            "width": 32,
            "head_width": 16,
            "patch_size": 8,
            "attentional_pool": True,
            "attn_pooler_heads": 2,
            "output_tokens": True,
        },
        "text_cfg": {**tower, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {**tower, "attn_pooler_heads": 2},
        "custom_text": True,
    }
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    model = open_clip.create_model(f"local-dir:{folder}")
    shuffle_weights(model, 3)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="session")
def images() -> list[np.ndarray]:
    """Eight images of different sizes, a single pixel and two strips among them."""
    rng = np.random.default_rng(0)
    sizes = [(32, 32), (40, 25), (1, 1), (3, 400), (400, 3), (64, 48), (33, 31), (17, 90)]
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


@pytest.fixture(scope="session")
def uids() -> list[bytes]:
    return [n.to_bytes(16, "big") for n in range(8)]


@pytest.fixture(autouse=True)
def _one_thread():
    """Tiny products on several threads wait for each other far longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(TEST_THREADS)
    yield
    torch.set_num_threads(before)
