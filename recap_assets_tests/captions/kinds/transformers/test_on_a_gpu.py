"""Captions on a GPU: the CPU's, the same in any order, and whole where memory runs out."""

import numpy as np
import pytest
import torch

from recap_assets.captions.kinds.transformers import TransformersSource
from recap_assets.captions.kinds.transformers.engine import load_transformers_captioner
from recap_assets.engines.decoding.on_device import SAME_CLASS
from recap_assets.specs.decoding import Decoding

pytestmark = pytest.mark.gpu
SAMPLED = Decoding(min_tokens=2, max_tokens=8, temperature=1.5)
TOLERANCE = 1e-3
"""Of a caption's log-probability: float32 on both, summed in another order."""


@pytest.fixture(params=["blip", "blip2", "git", "qwen2_vl"])
def load(request, folder_of):
    """Loads a captioner of the family on a device."""

    def on(device: str, decoding: Decoding = SAMPLED, batch_size=64, **options):
        source = TransformersSource(
            kind="transformers",
            model=str(folder_of(request.param)),
            decoding=decoding,
            batch_size=batch_size,
            device=device,
            **options,
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


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_caption_is_the_same_for_any_batch_size(load, images, precision):
    some, uids = rows(images, 80)
    captioner = load("cuda", batch_size=256, precision=precision)
    whole = captioner.caption(some, uids)
    assert captioner.made_on().facts == {"reproducible": SAME_CLASS}
    for batch_size in (8, 32, 64, 500):
        assert load("cuda", batch_size=batch_size, precision=precision).caption(some, uids) == whole


def test_it_says_what_it_computed_with(load, images):
    captioner = load("cuda")
    captioner.caption(*rows(images, 8))
    made_on = captioner.made_on()
    assert made_on.name == torch.cuda.get_device_name()
    assert made_on.machine["recap.gpu_attention"] == "flash, efficient, math"
    assert made_on.machine["recap.gpu_torch"] == torch.__version__


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_recorded_steps_write_what_the_waiting_loop_writes(load, images, precision, caplog):
    """Three batches each: run, recorded, replayed."""
    decoding = Decoding(min_tokens=2, max_tokens=24, temperature=1.5)
    some, uids = rows(images, 64)
    in_place, waiting = (load("cuda", decoding, precision=precision) for _ in range(2))
    waiting.on_device.steady = None
    expected = waiting.caption(some, uids)
    for _ in range(3):
        assert in_place.caption(some, uids) == expected
    assert any(replay for replay in in_place.on_device.steady._replays._recordings.values())
    assert not caplog.messages


def test_finished_rows_are_dropped_and_captions_stay(load, images):
    """With a third of the vocabulary as end marks few captions are long."""
    decoding = Decoding(min_tokens=2, max_tokens=24, temperature=1.5)
    some, uids = rows(images, 200)
    found = []
    for in_place in (True, False):
        captioner = load("cuda", decoding, batch_size=256)
        captioner.model.eos = list(range(0, captioner.model.vocabulary, 5))
        if not in_place:
            captioner.on_device.steady = None
        found.append(captioner.caption(some, uids))
    assert found[0] == found[1]
    assert len({caption.n_tokens for (caption,) in found[0]}) > 4


def test_images_are_prepared_in_memory_that_the_gpu_reads(load, images):
    captioner = load("cuda")
    finish = captioner.begin(*rows(images, 20))
    (first, *_) = captioner._preparing.begin(images[:1])
    assert not isinstance(first, torch.Tensor) or first.is_pinned()
    assert len(finish()) == 20
