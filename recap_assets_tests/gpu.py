"""Where tests compute: on the CPU, so that they mean the same on every machine.

`auto` is a GPU where torch sees one, so none is shown, in this process and in every one that a test
starts. CUDA reads once a process which devices it may use, so the tests that need a GPU, those
marked `gpu`, have a run of their own: `python -m pytest -m gpu`.
"""

import os

import pytest

DEVICES = "CUDA_VISIBLE_DEVICES"


def wants_gpu(config: pytest.Config) -> bool:
    """Whether this run is the one of the tests marked `gpu`."""
    return config.option.markexpr.split()[:1] == ["gpu"]


def pytest_configure(config: pytest.Config) -> None:
    """Hide every GPU before a test file imports torch; workers of xdist inherit it."""
    if not wants_gpu(config):
        os.environ[DEVICES] = ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU where there is none, and say how it is run."""
    if item.get_closest_marker("gpu") is None:
        return
    if not wants_gpu(item.config):
        pytest.skip("needs a GPU, which other tests must not see: python -m pytest -m gpu")
    import torch  # noqa: PLC0415 - takes seconds, and most runs need none of it

    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU on this machine")
