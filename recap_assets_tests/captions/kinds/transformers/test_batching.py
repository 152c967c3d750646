"""A bad image costs itself only, a batch that is too large is halved, and nothing else changes."""

import json
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from recap_assets.captions.kinds.transformers import TransformersSource
from recap_assets.captions.kinds.transformers.engine import load_transformers_captioner
from recap_assets.engines import batch_sizes
from recap_assets.specs.decoding import Decoding

WHITE = np.full((32, 32, 3), 255, np.uint8)
"""Random weights give it finite logits; the hooks below tell it from the others."""


@pytest.fixture(params=["blip", "qwen2_vl"])
def family(request):
    return request.param


@pytest.fixture
def load(folder_of, family, tmp_path):
    return lambda **changes: load_family(folder_of(family), tmp_path, **changes)


def load_family(folder, tmp_path, **changes):
    decoding = Decoding(min_tokens=2, max_tokens=8, temperature=1.5)
    options = {"decoding": decoding, "batch_size": 64, **changes}
    source = TransformersSource(kind="transformers", model=str(folder), **options)
    return load_transformers_captioner(source, tmp_path / "batch_sizes.json")


def tower_of(captioner) -> torch.nn.Module:
    model = captioner.model.model
    return model.vision_model if model.config.model_type == "blip" else model.model.visual


def writer_of(captioner) -> torch.nn.Module:
    model = captioner.model.model
    return model.text_decoder if model.config.model_type == "blip" else model.model.language_model


def is_white(pixels: torch.Tensor) -> bool:
    return bool(pixels.min() > 1.5)


@contextmanager
def white_gives(captioner, change):
    """The vision tower changes what it makes of a white image."""

    def hook(_module, args, kwargs, output):
        pixels = kwargs.get("pixel_values", args[0] if args else None)
        return change(output) if is_white(pixels) else output

    handle = tower_of(captioner).register_forward_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def without_numbers(output):
    for name in ("last_hidden_state", "pooler_output"):
        if isinstance(output.get(name), torch.Tensor):
            output[name] = output[name] * float("nan")
    return output


def out_of_memory(_output):
    msg = "CUDA out of memory. Tried to allocate 7 GiB"
    raise torch.OutOfMemoryError(msg)


@contextmanager
def memory_for(captioner, rows: int):
    """Steps of more rows than this run out of memory; tells how many rows were tried."""
    tried = []

    def hook(_module, args, kwargs):
        ids = kwargs.get("input_ids", args[0] if args else None)
        n = len(kwargs["inputs_embeds"] if ids is None else ids)
        tried.append(n)
        if n > rows:
            out_of_memory(None)

    handle = writer_of(captioner).register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield tried
    finally:
        handle.remove()


def many(images, n):
    return [images[number % len(images)] for number in range(n)]


def uids_of(n):
    return [number.to_bytes(16, "big") for number in range(n)]


def test_an_image_that_the_processor_rejects_costs_itself_only(load, images, uids):
    captioner = load(candidates=2)
    alone = [captioner.caption([image], [uid])[0] for image, uid in zip(images, uids, strict=True)]
    poisoned = [*images[:3], np.zeros((0, 5, 3), np.uint8), *images[3:]]
    captions = captioner.caption(poisoned, [*uids[:3], bytes(16), *uids[3:]])
    assert [(c.status, c.reason, c.text) for c in captions.pop(3)] == [
        ("error", "image_rejected_by_processor", "")
    ] * 2
    assert captions == alone


def test_an_image_longer_than_the_model_takes_is_rejected(folder_of, tmp_path, images, uids):
    """Qwen's processor refuses a side that is more than 200 times the other."""
    captioner = load_family(folder_of("qwen2_vl"), tmp_path)
    strip = np.zeros((2, 900, 3), np.uint8)
    first, (rejected,), second = captioner.caption([images[0], strip, images[1]], uids[:3])
    assert rejected.reason == "image_rejected_by_processor"
    assert first == captioner.caption(images[:1], uids[:1])[0]
    assert second[0].status in ("ok", "truncated")


def test_logits_that_are_not_finite_cost_their_image_only(load, images, uids):
    captioner = load()
    whole = captioner.caption(images, uids)
    with white_gives(captioner, without_numbers):
        captions = captioner.caption(
            [*images[:5], WHITE, *images[5:]], [*uids[:5], b"w" * 16, *uids[5:]]
        )
    (bad,) = captions.pop(5)
    assert (bad.status, bad.reason) == ("error", "not_finite")
    assert captions == whole


def test_a_whole_batch_without_a_finite_logit_is_the_precisions_fault(load, uids):
    captioner = load()
    with (
        white_gives(captioner, without_numbers),
        pytest.raises(FloatingPointError, match="try precision"),
    ):
        captioner.caption([WHITE] * 8, uids)


def test_a_batch_that_is_too_large_is_halved_and_nothing_is_lost(load, images):
    captioner = load(candidates=2)
    n = 40
    whole = captioner.caption(many(images, n), uids_of(n))
    with memory_for(captioner, 16) as tried:
        assert captioner.caption(many(images, n), uids_of(n)) == whole
        assert captioner.size.rows == 16
        first = len(tried)
        captioner.caption(many(images, n), uids_of(n))
    assert max(tried[first:]) <= 16  # it has learnt: no batch runs out of memory again


def test_the_size_that_fits_is_kept_for_the_next_process(load, tmp_path, images):
    captioner = load(precision="bfloat16")
    with memory_for(captioner, 16):
        captioner.caption([images[0]] * 40, uids_of(40))
    (entry,) = json.loads((tmp_path / "batch_sizes.json").read_text())
    assert (entry["rows"], entry["precision"], entry["max_tokens"]) == (16, "bfloat16", 8)
    assert load(precision="bfloat16", batch_size="auto").size.rows == 16
    assert load(batch_size="auto").size.rows is None  # another precision is another load


def test_an_image_that_does_not_fit_alone_is_an_error_and_the_rest_goes_on(load, images, uids):
    captioner = load()
    whole = captioner.caption(images, uids)
    with white_gives(captioner, out_of_memory):
        captions = captioner.caption(
            [*images[:4], WHITE, *images[4:]], [*uids[:4], b"w" * 16, *uids[4:]]
        )
    (bad,) = captions.pop(4)
    assert (bad.status, bad.reason, bad.text) == ("error", "out_of_memory", "")
    assert captions == whole
    assert captioner.size.rows == 64  # one large image is no reason for small batches


def test_a_size_is_tried_out_once(load, images, monkeypatch):
    whole = load().caption(many(images, 20), uids_of(20))
    captioner = load(batch_size="auto")
    monkeypatch.setattr(batch_sizes, "_PLATEAU", 1e9)  # memory alone decides, not the clock
    with memory_for(captioner, 16):
        assert captioner.caption(many(images, 20), uids_of(20)) == whole
    assert captioner.size.rows == 16
    monkeypatch.setattr(batch_sizes, "largest_batch", lambda *_: pytest.fail("tried out again"))
    again = load(batch_size="auto")
    assert again.caption(many(images, 20), uids_of(20)) == whole


def test_other_errors_are_not_swallowed(load, images, uids):
    captioner = load()

    def broken(_output):
        msg = "shapes cannot be multiplied"
        raise RuntimeError(msg)

    with white_gives(captioner, broken), pytest.raises(RuntimeError, match="shapes"):
        captioner.caption([images[0], WHITE], uids[:2])


def test_what_is_found_for_one_attention_is_not_for_another(load):
    """Memory and kernels differ; what was found before for the library's choice stays."""
    found = {
        attention: load(attention=attention).size.load.precision
        for attention in ("auto", "eager", "sdpa")
    }
    assert found["auto"] == "float32"
    assert len(set(found.values())) == 3
