"""Probabilities do not depend on where a row begins; computed here on the CPU, where they never do.

A stand-in claims that the rows are read as a CUDA kernel reads them.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from recap_assets.engines import even_softmax
from recap_assets.engines.decoding.device_sampling import DeviceSampler, stream_keys
from recap_assets.engines.decoding.guidance import Logits
from recap_assets.engines.decoding.sampling import TokenSampler
from recap_assets.engines.even_softmax import EVEN, even_rows, log_softmax, softmax
from recap_assets.specs.decoding import Decoding

CPU = torch.device("cpu")
WIDTHS = [1_027, 2_051, 51_289]
TYPES = [torch.float64, torch.float32, torch.bfloat16]
SAMPLED = Decoding(top_k=None, top_p=0.9, min_tokens=0, max_tokens=4)


@pytest.fixture
def read_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(even_softmax, "_is_read_evenly", lambda _: True)


def logits_of(width: int, rows: int = 5) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(width)) * 3


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", TYPES)
def test_off_cuda_the_rows_are_as_they_were(width: int, dtype: torch.dtype) -> None:
    logits = logits_of(width).to(dtype)
    assert even_rows(logits) is logits
    assert torch.equal(log_softmax(logits), logits.log_softmax(1))
    assert torch.equal(softmax(logits), logits.softmax(1))


@pytest.mark.usefixtures("read_evenly")
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", TYPES)
def test_every_row_begins_evenly_and_has_its_probabilities(width: int, dtype: torch.dtype) -> None:
    logits = logits_of(width).to(dtype)
    starts = [row.data_ptr() % EVEN for row in logits]
    assert any(starts), "some begin at an odd place"
    made = even_rows(logits)
    assert [(row.data_ptr() - made.data_ptr()) % EVEN for row in made] == [0] * len(made)
    assert torch.equal(made[:, :width], logits)
    torch.testing.assert_close(log_softmax(logits), logits.log_softmax(1))
    torch.testing.assert_close(softmax(logits), logits.softmax(1))


@pytest.mark.usefixtures("read_evenly")
def test_what_is_forbidden_stays_so_and_a_row_without_numbers_has_none() -> None:
    logits = logits_of(1_027)
    logits[0, 3], logits[1] = -torch.inf, -torch.inf
    assert log_softmax(logits)[0, 3] == -torch.inf
    assert log_softmax(logits)[1].isnan().all()
    assert log_softmax(logits)[2:].isfinite().all()


@pytest.mark.usefixtures("read_evenly")
def test_rows_that_are_even_are_not_copied() -> None:
    logits = logits_of(1_028)
    assert even_rows(logits) is logits


class Softmaxes(TorchFunctionMode):
    """Notes how wide the rows are of which a softmax is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.widths: list[int] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func in (torch.Tensor.log_softmax, torch.Tensor.softmax):
            self.widths.append(args[0].shape[-1] * args[0].element_size())
        return func(*args, **(kwargs or {}))


def choose_on_a_device(logits: Tensor) -> Tensor:
    keys = stream_keys(0, [bytes([n]) * 16 for n in range(len(logits))], 1)
    return DeviceSampler(SAMPLED, [0], logits.shape[1], CPU).choose(logits, 1, keys).log_probs


def choose_with_the_host(logits: Tensor) -> Tensor:
    uids = [bytes([n]) * 16 for n in range(len(logits))]
    return TokenSampler(SAMPLED, uids, 1, 0, logits.shape[1]).choose(logits, 1)[1]


def guide(logits: Tensor) -> Tensor:
    return torch.cat(Logits(logits, logits + 1).log_softmax(), dim=1)


@pytest.mark.parametrize("compute", [choose_on_a_device, choose_with_the_host, guide])
def test_what_chooses_tokens_takes_probabilities_of_even_rows(
    compute: Callable[[Tensor], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = logits_of(1_027)
    expected = compute(logits)
    monkeypatch.setattr(even_softmax, "_is_read_evenly", lambda _: True)
    with Softmaxes() as taken:
        found = compute(logits)
    # The nucleus is the host's where the host chooses.
    on_a_device = taken.widths[-1:] if compute is choose_with_the_host else taken.widths
    assert on_a_device
    assert not any(width % EVEN for width in on_a_device)
    torch.testing.assert_close(found, expected)


@pytest.mark.gpu
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", TYPES)
def test_equal_rows_have_equal_bits_in_every_place(width: int, dtype: torch.dtype) -> None:
    logits = logits_of(width, 1).to("cuda", dtype).expand(16, width).contiguous()
    for found in (log_softmax(logits), softmax(logits)):
        assert torch.equal(found, found[:1].expand(16, width))
