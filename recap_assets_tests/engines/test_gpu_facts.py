"""What is recorded of a GPU: what captions are written with, and no more for what is not pinned."""

import pytest
import torch

from recap_assets.engines.decoding import steady
from recap_assets.engines.decoding.on_device import OnDevice
from recap_assets.engines.threads import gpu_facts, machine_facts
from recap_assets.graph.kept_rows import class_of

CUDA = torch.device("cuda")
KERNELS = "flash, efficient, math"


@pytest.fixture(autouse=True)
def _as_with_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "a card")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (9, 0))


@pytest.fixture
def on_device() -> OnDevice:
    return OnDevice(CUDA, steady=steady.Steady(CUDA, lambda work: work))


def test_kernels_are_recorded_of_what_pins_them_alone(on_device: OnDevice) -> None:
    """A stage's facts are of scorers and trainings too, which leave the kernels to torch."""
    assert gpu_facts(1) == {
        "recap.gpu_device": "a card",
        "recap.gpu_capability": "9.0",
        "recap.gpu_torch": torch.__version__,
    }
    assert on_device.described().machine["recap.gpu_attention"] == KERNELS


def test_rows_that_agree_are_found_for_the_kernels_too(on_device: OnDevice) -> None:
    assert on_device.captions._key["attention"] == KERNELS


def test_captions_are_of_the_class_that_is_asked_for(on_device: OnDevice) -> None:
    """What a stage knows before it computes, and what it recorded when it had."""
    before = {**machine_facts(), **gpu_facts(1), "recap.torch": torch.__version__}
    assert class_of({**before, **on_device.described().machine}) == class_of(before)
