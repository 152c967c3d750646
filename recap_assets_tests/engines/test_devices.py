import pytest
import torch

from recap_assets.engines.batch_sizes import free_memory
from recap_assets.engines.devices import amp_of, dtype_of, resolve_device
from recap_assets.engines.errors import DeviceError
from recap_assets.engines.threads import gpu_facts

CPU = torch.device("cpu")


def test_auto_takes_the_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == torch.device("cuda")
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    assert resolve_device("cpu") == CPU
    with pytest.raises(DeviceError, match="cuda:2 is not on this machine; it has cuda, cpu"):
        resolve_device("cuda:2")


def test_nothing_asks_for_a_gpu_before_one_is_held(monkeypatch):
    """The first question fixes which GPUs a process sees, and a stage on the CPU holds none."""
    for name in ("is_available", "device_count", "get_device_name"):
        monkeypatch.setattr(torch.cuda, name, lambda *_: pytest.fail("CUDA was asked"))
    assert resolve_device("cpu") == CPU
    free_memory()
    assert gpu_facts(0) == {}


def test_precisions_have_a_type():
    assert dtype_of("bfloat16") is torch.bfloat16


@pytest.mark.parametrize("has_it", [True, False])
def test_mixed_precision_is_automatic_on_a_gpu_that_has_it(monkeypatch, has_it):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: has_it)
    cuda = torch.device("cuda")
    assert amp_of("auto", cuda) is (torch.bfloat16 if has_it else None)
    assert amp_of("auto", CPU) is None
    assert amp_of("float32", cuda) is None
    assert amp_of("bfloat16", CPU) is torch.bfloat16
