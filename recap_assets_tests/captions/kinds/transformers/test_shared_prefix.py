"""What a template has before the image is read once, and captions are what they were."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recap_assets.captions.kinds.transformers import TransformersSource
from recap_assets.captions.kinds.transformers.engine import load_transformers_captioner
from recap_assets.engines.decoding import prefixes
from recap_assets_tests.captions.kinds.transformers.families import WORDS
from recap_assets_tests.captions.kinds.transformers.test_families import CHATS

SYSTEM = " ".join(WORDS[3:33])
SHARING = [family for family in CHATS if family != "gemma3"]
"""Gemma's first layer has a window that slides."""


@pytest.fixture(params=SHARING)
def folder(
    request: pytest.FixtureRequest, folder_of: Callable[[str], Path], tmp_path: Path
) -> Path:
    """A model whose template begins with a system message of 30 words."""
    found = tmp_path / "model"
    shutil.copytree(folder_of(request.param), found)
    with_system(found)
    return found


def with_system(folder: Path) -> None:
    template = folder / "chat_template.jinja"
    template.write_text(f"{{{{ '<s> {SYSTEM} [END] ' }}}}{template.read_text()}")


def loaded(folder: Path, prompt: str = WORDS[1]) -> Any:
    source = TransformersSource.model_validate(
        {
            "kind": "transformers", "model": str(folder), "prompt": prompt, "device": "cpu",
            "decoding": {"min_tokens": 2, "max_tokens": 8}, "batch_size": 8,
        }
    )  # fmt: skip
    return load_transformers_captioner(source)


def images(n: int = 10) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    sizes = [(64, 48), (40, 40)]
    return [rng.integers(0, 256, (*sizes[i % 2], 3), dtype=np.uint8) for i in range(n)]


UIDS = [bytes([n]) * 16 for n in range(10)]


def test_captions_are_those_of_prompts_that_are_read_as_wholes(folder: Path) -> None:
    sharing, plain = loaded(folder), loaded(folder)
    plain.reader.prefix.is_given_up = True
    assert sharing.caption(images(), UIDS) == plain.caption(images(), UIDS)
    assert sharing.caption(images()[::-1], UIDS[::-1]) == plain.caption(images(), UIDS)[::-1]
    # What is shared is the template's, the mark before the image included, and no image's.
    shared = sharing.reader.prefix._ids
    text = sharing.reader.processor.tokenizer.decode(shared)
    assert text.startswith(f"<s> {SYSTEM} [END] <s> user")
    assert "image_pad" not in text
    assert "<image>" not in text


def test_behind_what_is_shared_a_prompt_is_read_as_it_is_in_one_piece(folder: Path) -> None:
    """Positions, image and masks: this holds on a processor whose bits differ, too."""
    chat = loaded(folder).reader
    prompts = [chat.prepare(image) for image in images(4)]
    with torch.inference_mode():
        for inputs in prompts:
            chat.read(inputs)
        for inputs in prompts:
            n = len(chat.prefix._ids)
            shape = prefixes._Shape(1, chat.length(inputs), n // 16 * 16)
            whole = prefixes._parts(chat.read_on(inputs, 0, None))
            short = prefixes._parts(chat.prefix._rest(inputs, shape))
            assert n > 32
            for one, other in zip(whole, short, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_images_with_texts_of_their_own_share_what_comes_before_them(folder: Path) -> None:
    prompt = f"{WORDS[1]} {{raw}}"
    sharing, plain = loaded(folder, prompt), loaded(folder, prompt)
    plain.captioner.reader.chat.prefix.is_given_up = True
    texts = [{"raw": WORDS[n]} for n in range(10)]
    assert sharing.caption(images(), UIDS, texts) == plain.caption(images(), UIDS, texts)
    assert len(sharing.captioner.reader.chat.prefix._ids) > 32


def test_a_template_that_begins_with_the_image_and_a_sliding_window_share_nothing(
    folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    short = loaded(folder_of("llava"))
    shutil.copytree(folder_of("gemma3"), tmp_path / "gemma3")
    with_system(tmp_path / "gemma3")
    for captioner in (short, loaded(tmp_path / "gemma3")):
        captioner.caption(images(3), UIDS[:3])
        assert captioner.reader.prefix.is_given_up
