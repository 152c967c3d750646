"""Embeddings on a GPU: the CPU's, the same bits in any order, and whole where memory runs out."""

import numpy as np
import pytest
import torch

from recap_assets.engines.open_clip import preparation
from recap_assets.engines.open_clip.preparation import OnDevice
from recap_assets_tests.scores.test_open_clip import (  # noqa: F401 - fixtures
    TEXTS,
    clip_folder,
    images,
    opened,
)

pytestmark = pytest.mark.gpu


@pytest.fixture
def load(clip_folder, monkeypatch):  # noqa: F811 - the fixture
    """Loads the scorer, whose convolutions keep the bits of float32."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    return lambda device, **changes: opened(clip_folder, device=device, **changes)


def test_embeddings_are_those_of_the_cpu(load, images):  # noqa: F811 - the fixture
    gpu, cpu = load("cuda"), load("cpu")
    np.testing.assert_allclose(gpu.embed_images(images), cpu.embed_images(images), atol=1e-4)
    np.testing.assert_allclose(gpu.embed_texts(TEXTS), cpu.embed_texts(TEXTS), atol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_bits_are_the_same_in_any_order_and_in_a_part(load, images, precision):  # noqa: F811
    scorer = load("cuda", precision=precision, batch_size=32)
    many = [images[n % len(images)] for n in range(40)]
    whole = scorer.embed_images(many)
    order = np.random.default_rng(0).permutation(40)
    assert np.array_equal(scorer.embed_images([many[i] for i in order]), whole[order])
    assert np.array_equal(scorer.embed_images(many[-5:]), whole[-5:])


def test_a_batch_that_the_gpu_has_no_memory_for_is_halved(load, images):  # noqa: F811
    scorer = load("cuda", batch_size=64)

    def with_room_for_eight(_module, args) -> None:
        if len(args[0]) > 8:
            torch.empty(2**46, dtype=torch.uint8, device="cuda")  # 64 TiB: CUDA itself refuses

    scorer.model.visual.register_forward_pre_hook(with_room_for_eight)
    many = [images[n % len(images)] for n in range(40)]
    embeddings = scorer.embed_images(many)
    assert scorer.batch_size == 8
    np.testing.assert_allclose(embeddings, load("cpu").embed_images(many), atol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_pixels_made_on_the_gpu_are_those_of_the_cpu(load, images, precision):  # noqa: F811
    """Every bit, whatever the sizes of the images, also where several batches are begun at once."""
    scorer = load("cuda", precision=precision)
    assert isinstance(scorer.preparation, OnDevice)
    begun = [scorer.preparation.begin(part) for part in (images[:3], images[3:], images)]
    ready = [prepared() for prepared in begun]
    expected = scorer._pixels(images).to(ready[0].dtype)
    assert torch.equal(torch.cat(ready[:2]).cpu(), expected)
    assert torch.equal(ready[2].cpu(), expected)


def test_preparation_without_memory_on_the_gpu_falls_back(load, images, monkeypatch):  # noqa: F811
    scorer = load("cuda")
    whole = scorer.embed_images(images)

    def without_memory(*_args: object) -> None:
        torch.empty(2**46, dtype=torch.uint8, device="cuda")

    monkeypatch.setattr(preparation, "resample", without_memory)
    assert np.array_equal(scorer.embed_images(images), whole)
