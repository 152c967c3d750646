"""Resizing as integer arithmetic gives Pillow's pixels, every one, and open_clip's crops."""

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.transform import PreprocessCfg

from recap_assets.engines.open_clip import resampling
from recap_assets.engines.open_clip.pixels import PixelTransform, without_ends
from recap_assets.engines.open_clip.resampling import (
    BICUBIC,
    BILINEAR,
    Kernel,
    Plan,
    Side,
    n_taps,
    resample,
)

PILLOWS = {BICUBIC: PIL.Image.Resampling.BICUBIC, BILINEAR: PIL.Image.Resampling.BILINEAR}
SIDES = st.integers(1, 90)


def an_image(height: int, width: int, seed: int, *, is_harsh: bool = False) -> np.ndarray:
    """Noise; a harsh one is black and white, so that a kernel's overshoot is cut off."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return (noise > 127).astype(np.uint8) * 255 if is_harsh else noise


def flat(images: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([image.reshape(-1, 3) for image in images]))


def pillows(image: np.ndarray, plan: Plan, size: tuple[int, int], kernel: Kernel) -> np.ndarray:
    resized = plan.columns.resized, plan.rows.resized
    picture = np.asarray(PIL.Image.fromarray(image).resize(resized, PILLOWS[kernel]))
    top, left = plan.rows.first, plan.columns.first
    return picture[top : top + size[0], left : left + size[1]]


@settings(max_examples=60)
@given(
    st.lists(st.tuples(SIDES, SIDES, SIDES, SIDES), min_size=1, max_size=4),
    st.sampled_from([BICUBIC, BILINEAR]),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_every_pixel_is_pillows(sides, kernel, seed, is_harsh):
    """Sizes grow and shrink, each side by itself, several images at once."""
    size = min(one[2] for one in sides), min(one[3] for one in sides)
    images = [an_image(h, w, seed + n, is_harsh=is_harsh) for n, (h, w, _, _) in enumerate(sides)]
    plans = [
        Plan(Side(h, rows, (rows - size[0]) // 2), Side(w, columns, columns - size[1]))
        for h, w, rows, columns in sides
    ]
    found = resample(flat(images), plans, size, kernel).numpy()
    for image, plan, ours in zip(images, plans, found, strict=True):
        assert np.array_equal(ours, pillows(image, plan, size, kernel)), plan


@pytest.mark.parametrize(
    "shape", [(384, 512), (512, 384), (224, 224), (1, 1), (3, 3000), (3000, 90), (224, 300)]
)
@pytest.mark.parametrize("kernel", [BICUBIC, BILINEAR])
def test_sizes_of_a_pool(shape, kernel):
    height, width = shape
    plan = Plan(Side(height, 224, 0), Side(width, 230, 3))
    image = an_image(height, width, 0)
    ours = resample(flat([image]), [plan], (224, 224), kernel)[0].numpy()
    assert np.array_equal(ours, pillows(image, plan, (224, 224), kernel))


def test_memory_is_bounded_by_computing_some_images_at_a_time(monkeypatch):
    images = [an_image(60 + n, 60, n) for n in range(6)]
    plans = [Plan(Side(60 + n, 20, 2), Side(60, 20, 2)) for n in range(6)]
    whole = resample(flat(images), plans, (16, 16), BICUBIC)
    seen = []
    real = resampling._resampled
    monkeypatch.setattr(resampling, "VALUES_AT_ONCE", 130 * 16)
    monkeypatch.setattr(resampling, "_resampled", lambda *a: seen.append(len(a[2])) or real(*a))
    assert torch.equal(resample(flat(images), plans, (16, 16), BICUBIC), whole)
    assert seen == [2, 2, 2]


@pytest.mark.parametrize(("source", "resized", "taps"), [(10, 20, 5), (20, 10, 9), (512, 299, 9)])
def test_taps_grow_as_an_image_shrinks(source, resized, taps):
    assert n_taps(Side(source, resized, 0), BICUBIC) == taps


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("mode", ["shortest", "squash"])
@settings(max_examples=25)
@given(st.tuples(st.integers(1, 130), st.integers(1, 130)))
def test_the_crop_is_open_clips(mode, interpolation, shape):
    config = PreprocessCfg(size=32, resize_mode=mode, interpolation=interpolation)
    transform = PixelTransform(vars(config))
    assert transform.followed is not None
    image = without_ends(an_image(*shape, 1))
    plan = transform.followed.plan(*image.shape[:2])
    ours = resample(flat([image]), [plan], (32, 32), transform.followed.kernel)[0].numpy()
    assert np.array_equal(ours, transform.resize(image))


def test_what_cannot_be_followed_is_left_to_pillow():
    longest = PreprocessCfg(size=32, resize_mode="longest")
    assert PixelTransform(vars(longest)).followed is None
    not_square = PreprocessCfg(size=(32, 48), resize_mode="shortest")
    assert PixelTransform(vars(not_square)).followed is None
