"""How many threads torch computes with, and what is told of it."""

import os
from collections.abc import Iterator

import pytest
import torch

from recap_assets.engines.threads import fixed_threads, machine_facts, torch_threads


@pytest.fixture(autouse=True)
def _threads_come_back() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("cores", "threads"), [(None, 1), (1, 1), (2, 1), (3, 1), (16, 8)])
def test_half_of_the_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, threads: int
) -> None:
    monkeypatch.delenv("RECAP_THREADS")
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert torch_threads() == threads


def test_a_number_that_is_said_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECAP_THREADS", "3")
    assert torch_threads() == 3


@pytest.mark.parametrize("said", ["", "0", "-2", "two", "\u00b2"])
def test_what_is_no_number_of_threads_is_none(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("RECAP_THREADS", said)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert torch_threads() == 2


def test_a_block_has_its_threads_and_tells_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECAP_THREADS", "3")
    torch.set_num_threads(2)
    with fixed_threads():
        facts = machine_facts()
    assert facts["recap.torch_threads"] == "3"
    assert facts["recap.torch_kernels"] == torch.backends.cpu.get_cpu_capability()
    assert facts["recap.processor"]
    assert torch.get_num_threads() == 2
