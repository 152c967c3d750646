from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray

from recap_assets.world import drawing
from recap_assets.world.icons import ICONS
from recap_assets.world.scenes import BACKGROUNDS, COARSE, COLOURS, FINE, Scene, Thing


def _scene(fine: int, **changes: object) -> Scene:
    thing = Thing(fine, "red", "solid", 64, 64, 54, 0, flipped=False, squeeze=1)
    return Scene("one", (replace(thing, **changes),), None, "lake", 0, 1.0)


def _empty() -> NDArray[np.uint8]:
    return drawing.draw(Scene("one", (), None, "lake", 0, 1.0), seed=0)


def _covered(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.abs(pixels.astype(int) - _empty()).sum(2) > 20


def test_every_fine_class_has_an_icon_within_its_box() -> None:
    assert set(ICONS) == {fine.name for fine in FINE}
    for name, icon in ICONS.items():
        assert np.abs(icon.corners).max() <= 1.06, name
        assert {slot for slot, _start, _end in icon.parts} >= {0}, f"{name} has no main colour"


@pytest.mark.parametrize("fine", range(36), ids=[fine.name for fine in FINE])
def test_a_thing_is_drawn_in_its_colour_on_its_background(fine: int) -> None:
    pixels = drawing.draw(_scene(fine, colour="teal"), seed=0)
    assert pixels.shape == (64, 64, 3)
    assert pixels.dtype == np.uint8
    near = np.abs(pixels.astype(int) - drawing.RGB["teal"]).sum(2) < 12
    assert near.sum() > 100
    assert 0.06 < _covered(pixels).mean() < 0.7
    assert (pixels[:4, :4] == _empty()[:4, :4]).all()


@pytest.mark.parametrize("coarse", COARSE)
def test_fine_classes_of_one_coarse_differ_in_silhouette(coarse: str) -> None:
    members = [i for i, fine in enumerate(FINE) if fine.coarse == coarse]
    masks = [_covered(drawing.draw(_scene(fine), seed=0)) for fine in members]
    for one, other in combinations(masks, 2):
        assert (one & other).sum() / (one | other).sum() < 0.75


def test_colours_are_told_apart() -> None:
    means = {
        colour: drawing.draw(_scene(0, colour=colour), seed=0)[_covered(_drawn(colour))].mean(0)
        for colour in COLOURS
    }
    for one, other in combinations(COLOURS, 2):
        assert np.abs(means[one] - means[other]).sum() > 20, (one, other)


def _drawn(colour: str) -> NDArray[np.uint8]:
    return drawing.draw(_scene(0, colour=colour), seed=0)


def test_textures_change_only_what_is_in_the_main_colour() -> None:
    solid = drawing.draw(_scene(6), seed=0)
    for texture in ("striped", "spotted"):
        changed = (drawing.draw(_scene(6, texture=texture), seed=0) != solid).any(2)
        assert 0.1 < changed.sum() / _covered(solid).sum() < 0.95
        assert not (changed & ~_covered(solid)).any()


def test_a_flipped_thing_is_its_mirror_image() -> None:
    plain = _covered(drawing.draw(_scene(6, x=63.5), seed=0))
    flipped = _covered(drawing.draw(_scene(6, x=63.5, flipped=True), seed=0))
    mirrored = plain[:, ::-1]
    assert (flipped & mirrored).sum() / (flipped | mirrored).sum() > 0.9
    assert (flipped & plain).sum() / (flipped | plain).sum() < 0.85


def test_position_and_size_are_obeyed() -> None:
    covered = _covered(drawing.draw(_scene(9, x=32, y=96, half_size=20), seed=0))
    rows, columns = np.nonzero(covered)
    assert 4 <= columns.min() < columns.max() <= 28
    assert 36 <= rows.min() < rows.max() <= 60


def test_brightness_scales_all_pixels() -> None:
    bright = drawing.draw(_scene(0), seed=0)
    dim = drawing.draw(replace(_scene(0), brightness=0.5), seed=0)
    assert np.abs(bright * 0.5 - dim).max() <= 1


def test_backgrounds_are_muted_and_vary_with_variant_and_seed() -> None:
    first, second = drawing.backgrounds(0), drawing.backgrounds(1)
    assert set(first) == set(BACKGROUNDS)
    for name, pictures in first.items():
        assert pictures.shape == (24, 128, 128, 3)
        assert len({picture.tobytes() for picture in pictures}) == 24
        assert (pictures != second[name]).any()
        mean = pictures.mean((0, 1, 2))
        assert mean.max() - mean.min() < 70


def test_a_shift_permutes_channels_and_adds_noise() -> None:
    pixels = drawing.draw(_scene(0), seed=0)
    quiet = np.zeros(pixels.shape, np.float32)
    assert (drawing.shifted(pixels, (2, 0, 1), quiet) == pixels[:, :, [2, 0, 1]]).all()
    noisy = drawing.shifted(pixels, (0, 1, 2), quiet + 400)
    assert (noisy == 255).all()


def test_a_jpeg_shows_what_was_drawn() -> None:
    pixels = drawing.draw(_scene(3), seed=0)
    decoded = simplejpeg.decode_jpeg(drawing.jpeg(pixels, 92))
    assert np.abs(decoded.astype(int) - pixels).mean() < 6
    assert len(drawing.jpeg(pixels, 70)) < len(drawing.jpeg(pixels, 92))
