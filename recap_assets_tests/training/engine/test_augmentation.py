import numpy as np

from recap_assets.training.engine.augmentation import MAX_SHIFT, brightness, rolled


def test_images_are_rolled_by_up_to_three_pixels_either_way():
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 12, 3)).astype(np.uint8)
    rows = np.arange(200) % 4
    copies = rolled(images, rows, seed=1, positions=np.arange(200))
    seen = set()
    for copy, row in zip(copies, rows, strict=True):
        shifts = [
            (dy, dx)
            for dy in range(-MAX_SHIFT, MAX_SHIFT + 1)
            for dx in range(-MAX_SHIFT, MAX_SHIFT + 1)
            if np.array_equal(copy, np.roll(images[row], (dy, dx), (0, 1)))
        ]
        assert len(shifts) == 1
        seen.update(shifts)
    assert len(seen) > 40


def test_augmentation_is_a_function_of_seed_and_position():
    images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3)).astype(np.uint8)
    rows, positions = np.arange(8), np.arange(8)
    whole = rolled(images, rows, 1, positions)
    assert np.array_equal(whole[5:], rolled(images, rows[5:], 1, positions[5:]))
    assert not np.array_equal(whole, rolled(images, rows, 2, positions))
    gain = brightness(1, np.arange(1000))
    assert np.array_equal(gain[500:], brightness(1, np.arange(500, 1000)))
    assert 0.8 <= gain.min() < 0.82
    assert 1.18 < gain.max() <= 1.2
