"""Prompts of chat models: read in a fixed number of rows, and images within a bound of pixels."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recap_assets.captions.kinds.transformers import TransformersSource
from recap_assets.captions.kinds.transformers.engine import load_transformers_captioner
from recap_assets.engines.decoding import prompted
from recap_assets.engines.decoding.prompted import PromptBatch
from recap_assets.engines.errors import ModelFileError
from recap_assets.testing.inputs import Nothing
from recap_assets_tests.captions.kinds.transformers.test_families import CHATS

FolderOf = Callable[[str], Path]


def source_of(folder: Path, **keys: Any) -> TransformersSource:
    decoding = {"min_tokens": 2, "max_tokens": 8}
    given = {"kind": "transformers", "model": str(folder), "decoding": decoding, **keys}
    return TransformersSource.model_validate(given)


@pytest.fixture(params=CHATS)
def chat(request: pytest.FixtureRequest, folder_of: FolderOf) -> Any:
    captioner: Any = load_transformers_captioner(source_of(folder_of(request.param)))
    return captioner.reader


def some_images(n: int, height: int = 64, width: int = 48) -> list[np.ndarray]:
    rng = np.random.default_rng(height)
    return [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(n)]


def read(chat: Any, images: list[np.ndarray]) -> tuple[torch.Tensor, Any]:
    batch = PromptBatch(chat, [chat.prepare(image) for image in images])
    with torch.inference_mode():
        return batch.start(torch.arange(len(images))[:, None])


def test_a_row_has_the_same_bits_whatever_is_read_beside_it(chat: Any) -> None:
    chat.together = 4
    images = some_images(7)
    logits, state = read(chat, images)
    backwards, others = read(chat, images[::-1])
    assert torch.equal(logits, backwards.flip(0))
    for number in (0, 5):
        alone, lone_state = read(chat, [images[number]])
        assert torch.equal(alone[0], logits[number])
        for whole, lone in zip(state.cache.layers, lone_state.cache.layers, strict=True):
            assert torch.equal(whole.keys[number], lone.keys[0])  # type: ignore[index]
        for whole, lone in zip(state.deltas, lone_state.deltas, strict=True):
            assert torch.equal(whole[number], lone[0])
    assert len(others.deltas) == len(state.deltas)
    chat.together = 1
    singly, _ = read(chat, images)
    torch.testing.assert_close(logits, singly, rtol=1e-4, atol=1e-4)


def test_the_next_token_follows_from_what_was_read_together(chat: Any) -> None:
    images = [*some_images(3), *some_images(3, 48, 64)]
    tokens = torch.full((6,), 5)
    found = []
    for together in (1, 4):
        chat.together = together
        prepared = [chat.prepare(image) for image in images]
        lengths = {chat.length(one) for one in prepared}
        if len(lengths) > 1:
            images = some_images(6)
        _, state = read(chat, images)
        with torch.inference_mode():
            found.append(chat.step(tokens, state))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)


def test_on_a_cpu_each_prompt_is_read_by_itself_and_on_a_gpu_eight(
    folder_of: FolderOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    captioner: Any = load_transformers_captioner(source_of(folder_of("llava")))
    chat = captioner.reader
    assert chat.together == 1
    rows: list[int] = []
    read_one = chat.read

    def counted(inputs: Any) -> Any:
        rows.append(inputs["input_ids"].shape[0])
        return read_one(inputs)

    monkeypatch.setattr(chat, "read", counted)
    read(chat, some_images(3))
    assert rows == [1, 1, 1]
    chat.together = 2
    read(chat, some_images(3))
    assert rows[3:] == [2, 2]
    monkeypatch.setattr(prompted, "MOST_TOKENS_TOGETHER", 10)
    read(chat, some_images(3))
    assert rows[5:] == [1, 1, 1]


def test_a_lone_prompt_that_fills_the_memory_with_copies_is_read_without_them(
    folder_of: FolderOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    captioner: Any = load_transformers_captioner(source_of(folder_of("llava")))
    chat = captioner.reader
    chat.together = 4
    read_one = chat.read

    def small(inputs: Any) -> Any:
        if inputs["input_ids"].shape[0] > 1:
            raise torch.OutOfMemoryError
        return read_one(inputs)

    monkeypatch.setattr(chat, "read", small)
    images = some_images(3)
    with pytest.raises(torch.OutOfMemoryError):
        read(chat, images)
    assert chat.together == 4
    read(chat, images[:1])
    assert chat.together == 1


def test_a_bound_of_pixels_is_kept(folder_of: FolderOf, monkeypatch: pytest.MonkeyPatch) -> None:
    captioner: Any = load_transformers_captioner(
        source_of(folder_of("qwen2_vl"), max_pixels=64 * 64)
    )
    shown: list[tuple[int, int]] = []
    apply = captioner.reader.processor.apply_chat_template

    def noted(messages: Any, **options: Any) -> Any:
        shown.append(messages[0]["content"][0]["image"].size)
        return apply(messages, **options)

    monkeypatch.setattr(captioner.reader.processor, "apply_chat_template", noted)
    for height, width in ((200, 300), (64, 64), (40, 50)):
        captioner.reader.prepare(some_images(1, height, width)[0])
    assert shown == [(78, 52), (64, 64), (50, 40)]


@pytest.mark.parametrize(("family", "prompt"), [("idefics3", None), ("qwen2_vl", "What of {raw}?")])
def test_the_doctor_says_what_an_image_costs(
    folder_of: FolderOf, family: str, prompt: str | None
) -> None:
    folder = folder_of(family)
    bound = source_of(folder, max_pixels=64 * 64, prompt=prompt)
    loads, costs = [text for _, text in bound.doctor("s", Nothing())]
    assert loads == f"s: {folder} loads"
    plain: Any = load_transformers_captioner(
        source_of(folder, prompt=bound.asked({"raw": "something"}) if prompt else None)
    )
    n, n_quarter = (
        plain.reader.length(plain.reader.prepare(np.full((side, side, 3), 128, np.uint8)))
        for side in (64, 32)
    )
    assert costs == (
        f"s: an image takes {n:,} prompt tokens for 4,096 pixels and {n_quarter:,} prompt tokens "
        "for 1,024 pixels"
    )


def test_without_a_bound_the_doctor_says_that_there_is_none(folder_of: FolderOf) -> None:
    *_, costs = [text for _, text in source_of(folder_of("llava")).doctor("s", Nothing())]
    assert "for 4,194,304 pixels" in costs
    assert costs.endswith("; `max_pixels` bounds it")
    assert len(list(source_of(folder_of("git")).doctor("s", Nothing()))) == 1


def test_a_bound_of_pixels_decides_only_where_it_is_given(folder_of: FolderOf) -> None:
    plain = TransformersSource(kind="transformers", model="a/b")
    assert "max_pixels" not in plain.decides()
    assert plain.model_copy(update={"max_pixels": 4_096}).decides()["max_pixels"] == 4_096
    with pytest.raises(ModelFileError, match="leave out max_pixels, which is for chat models"):
        load_transformers_captioner(source_of(folder_of("git"), max_pixels=4_096))
