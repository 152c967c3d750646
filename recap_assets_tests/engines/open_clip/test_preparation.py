"""Images made ready on a device are those that Pillow and open_clip's normalisation give."""

from concurrent.futures import ThreadPoolExecutor
from weakref import ref

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg

from recap_assets.engines.open_clip import preparation
from recap_assets.engines.open_clip.pixels import PixelTransform
from recap_assets.engines.open_clip.preparation import (
    InThreads,
    OnDevice,
    levels,
    normalised,
    preparation_of,
)

CPU = torch.device("cpu")
SHAPES = [(32, 32), (40, 25), (1, 1), (64, 48), (1, 3000), (90, 17), (3000, 2)]


@pytest.fixture(scope="module")
def transform() -> PixelTransform:
    return PixelTransform(vars(PreprocessCfg(size=32)))


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in SHAPES]


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def on_device(transform, pool, dtype=torch.float32) -> OnDevice:
    threads = InThreads(transform, pool)
    return OnDevice(transform, transform.followed, CPU, dtype, pool, threads)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_both_ways_give_the_same_bits(transform, images, pool, dtype):
    threads = InThreads(transform, pool).begin(images)().to(dtype)
    device = on_device(transform, pool, dtype).begin(images)()
    assert device.dtype == dtype
    assert torch.equal(device, threads)
    assert torch.equal(threads, transform(images).to(dtype))


def test_several_batches_may_be_begun_before_one_is_waited_for(transform, images, pool):
    made = on_device(transform, pool)
    begun = [made.begin(images[n : n + 2]) for n in range(0, 6, 2)]
    assert torch.equal(torch.cat([ready() for ready in begun]), transform(images[:6]))


def test_rows_of_a_view_are_uploaded_as_they_are_seen(transform, images, pool):
    views = [image[::-1, ::-1] for image in images]
    assert torch.equal(on_device(transform, pool).begin(views)(), transform(views))


def test_what_the_device_has_no_memory_for_is_done_by_pillow(transform, images, pool, monkeypatch):
    def without_memory(*_args):
        msg = "CUDA out of memory"
        raise torch.OutOfMemoryError(msg)

    monkeypatch.setattr(preparation, "resample", without_memory)
    assert torch.equal(on_device(transform, pool).begin(images)(), transform(images))


class Noting:
    """Prepares by Pillow, and notes whether tensors are still in memory when it is asked to."""

    def __init__(self, otherwise: InThreads) -> None:
        self.otherwise, self.watched, self.alive = otherwise, [], []

    def begin(self, images):
        self.alive += [one() is not None for one in self.watched]
        return self.otherwise.begin(images)


def test_what_had_no_room_is_gone_before_pillow_begins(transform, images, pool, monkeypatch):
    """The images as they were sent up, which a traceback would keep."""
    noting = Noting(InThreads(transform, pool))

    def without_memory(pixels, *_args):
        noting.watched.append(ref(pixels))
        msg = "CUDA out of memory"
        raise torch.OutOfMemoryError(msg)

    monkeypatch.setattr(preparation, "resample", without_memory)
    made = OnDevice(transform, transform.followed, CPU, torch.float32, pool, noting)
    assert torch.equal(made.begin(images)(), transform(images))
    assert noting.alive == [False]


def test_another_error_is_raised_where_its_batch_is_waited_for(transform, pool):
    begun = on_device(transform, pool).begin([np.zeros((4, 4), np.uint8)])
    with pytest.raises(ValueError, match="reshape"):
        begun()


def test_every_level_is_normalised_as_by_division(transform):
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    by_table = normalised(torch.from_numpy(ramp), levels(transform))
    assert torch.equal(by_table, transform.normalize(ramp))


def test_a_cpu_resizes_by_pillow(transform):
    assert isinstance(preparation_of(transform, CPU, torch.float32), InThreads)


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [32, (32, 20)])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_a_resized_image_gives_the_same_numbers_again(images, pool, mode, size, interpolation):
    config = vars(PreprocessCfg(size=size, resize_mode=mode, interpolation=interpolation))
    transform = PixelTransform(config)
    resizing = transform.resizing
    assert resizing is not None
    small = [resizing.resize(image) for image in images]
    assert {image.shape for image in small} == {resizing.shape}
    assert torch.equal(transform(small), transform(images))
    if transform.followed:
        assert torch.equal(on_device(transform, pool).begin(small)(), transform(images))


def test_models_that_resize_otherwise_have_other_names():
    configs = [{}, {"size": 24}, {"interpolation": "bilinear"}, {"resize_mode": "squash"}]
    transforms = [PixelTransform(vars(PreprocessCfg(**{"size": 32, **one}))) for one in configs]
    assert len({transform.resizing.name for transform in transforms}) == len(configs)
    again = PixelTransform(vars(PreprocessCfg(size=32)))
    assert again.resizing.name == transforms[0].resizing.name
