"""The rule of where tests compute, on a machine with a GPU and on one without."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TORCH = """
import os

class cuda:
    @staticmethod
    def is_available():
        return {n_gpus} > 0 and os.environ.get("CUDA_VISIBLE_DEVICES") != ""
"""
"""Stands for torch, which asks CUDA; and CUDA shows what the variable names, or everything."""

TESTS = """
import subprocess
import sys

import pytest
import torch

ASK = [sys.executable, "-c", "import torch, sys; sys.exit(torch.cuda.is_available())"]

def test_plain():
    assert not torch.cuda.is_available()
    assert subprocess.run(ASK).returncode == 0

@pytest.mark.gpu
def test_marked():
    assert torch.cuda.is_available()
    assert subprocess.run(ASK).returncode == 1
"""


ROOT = Path(__file__).parents[1]
SOME_FAIL = """
def test_right():
    pass

def test_wrong():
    assert 1 == 2
"""


@pytest.fixture
def outcome(tmp_path: Path):
    """Runs a test of each sort where there are so many GPUs; what pytest says of them."""

    def run(n_gpus: int, *words: str) -> str:
        (tmp_path / "torch.py").write_text(TORCH.format(n_gpus=n_gpus))
        (tmp_path / "test_sorts.py").write_text(TESTS)
        settings = ["-c", str(tmp_path / "pytest.ini"), "-o", "markers=gpu: needs one"]
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        command = [sys.executable, "-m", "pytest", "-rs", "-p", "recap_assets_tests.gpu", *settings]
        paths = os.pathsep.join([str(tmp_path), str(ROOT)])
        environment = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
        done = subprocess.run(  # noqa: S603 - our own words
            [*command, *words, str(tmp_path / "test_sorts.py")],
            env={**environment, "PYTHONPATH": paths, "PYTEST_ADDOPTS": ""},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    return run


@pytest.mark.long(reason="pytest in processes of its own")
@pytest.mark.parametrize("n_gpus", [0, 1])
def test_a_plain_run_shows_no_gpu_to_any_test_or_process(outcome, n_gpus):
    said = outcome(n_gpus)
    assert "1 passed, 1 skipped" in said, said
    assert "python -m pytest -m gpu" in said


@pytest.mark.long(reason="pytest in processes of its own")
def test_the_run_of_gpu_tests_shows_the_gpu(outcome):
    said = outcome(1, "-m", "gpu")
    assert "1 passed, 1 deselected" in said, said


def test_gpu_tests_are_skipped_where_there_is_none(outcome):
    said = outcome(0, "-m", "gpu")
    assert "1 skipped, 1 deselected" in said, said
    assert "torch sees no GPU on this machine" in said


def test_here_torch_itself_sees_no_gpu():
    code = "import torch; print(torch.cuda.is_available(), torch.cuda.device_count())"
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "0"]


@pytest.mark.long(reason="pytest in processes of its own")
def test_the_run_on_a_lent_machine_tells_each_failure_and_runs_the_rest(tmp_path):
    (tmp_path / "test_broken.py").write_text("import not_installed")
    (tmp_path / "test_some.py").write_text(SOME_FAIL)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = gpu: needs one\n")
    into = tmp_path / "told.txt"
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--tests", "--processes", "1"]
    done = subprocess.run(  # noqa: S603 - our own words
        [*command, "--into", str(into), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    _machine, unread, marked, unread_again, wrong, others = into.read_text().splitlines()
    assert unread == unread_again
    assert unread.startswith("test_broken.py | not collected:")
    assert unread.endswith("No module named 'not_installed'")
    assert marked == "on the GPU: 2 deselected, 1 error; exit code 1"
    assert wrong.startswith("test_some.py::test_wrong | AssertionError: assert 1 == 2 |")
    assert others == "beside the GPU: 1 failed, 1 passed, 1 error; exit code 1"
