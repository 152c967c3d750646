"""Captions on a GPU: the CPU's, the same in any order, and whole where memory runs out."""

import numpy as np
import pytest
import torch

from recap_assets.captions.kinds.transformers import TransformersSource
from recap_assets.captions.kinds.transformers.engine import load_transformers_captioner
from recap_assets.specs.decoding import Decoding

pytestmark = pytest.mark.gpu
SAMPLED = Decoding(min_tokens=2, max_tokens=8, temperature=1.5)
TOLERANCE = 1e-3
"""Of a caption's log-probability: float32 on both, summed in another order."""


@pytest.fixture(params=["blip", "blip2", "git", "qwen2_vl"])
def load(request, folder_of):
    """Loads a captioner of the family on a device."""

    def on(device: str, decoding: Decoding = SAMPLED):
        source = TransformersSource(
            kind="transformers",
            model=str(folder_of(request.param)),
            decoding=decoding,
            batch_size=64,
            device=device,
        )
        return load_transformers_captioner(source)

    return on


@pytest.fixture(autouse=True)
def _no_tf32(monkeypatch):
    """Convolutions keep the bits of float32, as matrix products do unless told otherwise."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def rows(images, n):
    uids = [number.to_bytes(16, "big") for number in range(n)]
    return [images[number % len(images)] for number in range(n)], uids


def test_auto_is_the_gpu(load):
    assert load("auto").model.device.type == "cuda"


def test_captions_are_those_of_the_cpu(load, images, uids):
    greedy = Decoding(strategy="greedy", max_tokens=8)
    gpu, cpu = (load(device, greedy).caption(images, uids) for device in ("cuda", "cpu"))
    assert [caption.text for (caption,) in gpu] == [caption.text for (caption,) in cpu]
    logprobs = [[caption.log_probability for (caption,) in captions] for captions in (gpu, cpu)]
    np.testing.assert_allclose(*logprobs, atol=TOLERANCE)


def test_a_caption_is_the_same_in_any_order_and_in_a_part(load, images):
    captioner = load("cuda")
    some, uids = rows(images, 40)
    whole = captioner.caption(some, uids)
    order = np.random.default_rng(0).permutation(40)
    shuffled = captioner.caption([some[i] for i in order], [uids[i] for i in order])
    assert shuffled == [whole[i] for i in order]
    assert captioner.caption(some[-5:], uids[-5:]) == whole[-5:]
