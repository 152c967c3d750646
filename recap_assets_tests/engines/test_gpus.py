"""Which GPUs there are, which may be used, and which a process holds."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recap_assets.engines import gpus
from recap_assets.engines.gpus import GpuError, HeldGpus, chosen_gpus, gpus_here, read_listing
from recap_assets.specs.running import RunHere, gpus_of
from recap_assets.storage.leases import Leases
from recap_assets_tests.cards import cards_here, shown

WHOLE = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa-1)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-bbbb-2)
"""
DIVIDED = """GPU 0: NVIDIA A100 (UUID: GPU-aaaa-1)
  MIG 3g.20gb     Device  0: (UUID: MIG-cccc-1)
  MIG 3g.20gb     Device  1: (UUID: MIG-cccc-2)
GPU 1: NVIDIA A100 (UUID: GPU-bbbb-2)
"""


@pytest.fixture(autouse=True)
def three_cards(tmp_path: Path) -> Iterator[None]:
    with cards_here(tmp_path, 3):
        yield


def test_the_parts_of_a_divided_gpu_count_and_not_the_gpu() -> None:
    assert read_listing(WHOLE) == ("GPU-aaaa-1", "GPU-bbbb-2")
    assert read_listing(DIVIDED) == ("MIG-cccc-1", "MIG-cccc-2", "GPU-bbbb-2")
    assert read_listing("No devices were found") == ()


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        (None, shown(0, 1, 2)), ("", ()), ("-1", ()), ("2,0", shown(2, 0)), ("GPU-1", shown(1)),
        ("1,7,0", shown(1)), ("1,1", shown(1)),
    ],
)  # fmt: skip
def test_only_what_the_process_may_see_counts(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, found: tuple[str, ...]
) -> None:
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus_here() == found


def test_without_nvidia_smi_or_where_it_fails_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin" / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    assert gpus_here() == ()
    gpus_here.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus_here() == ()


@pytest.mark.parametrize(
    ("program", "why"),
    [("#!/no/such/shell\n", "No such file"), ("#!/bin/sh\nexec sleep 60\n", "timed out")],
)
def test_that_nvidia_smi_cannot_be_run_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    program: str,
    why: str,
) -> None:
    monkeypatch.setattr(gpus, "SECONDS", 0.2)
    (tmp_path / "bin" / "nvidia-smi").write_text(program)
    assert gpus_here() == ()
    assert why in caplog.text
    assert "without a lease" in caplog.text


@pytest.mark.parametrize(
    ("words", "chosen"),
    [("all", (0, 1, 2)), ("2", (0, 1)), ("0", ()), ("1,", (1,)), ("2,0", (2, 0)), ("0,0", (0,))],
)
def test_gpus_are_chosen_by_number(words: str, chosen: tuple[int, ...]) -> None:
    assert chosen_gpus(words) == shown(*chosen)


@pytest.mark.parametrize("words", ["4", "0,3", "none", "", ",", "-1", "1.5"])
def test_gpus_that_are_not_there_are_refused(words: str) -> None:
    with pytest.raises(GpuError, match=r"GPUs '.*': (say|there is no GPU 3)"):
        chosen_gpus(words)


def test_a_process_sees_what_it_holds_and_keeps_what_it_had_first(tmp_path: Path) -> None:
    leases = Leases(tmp_path / "leases")
    held, told = HeldGpus(lambda: leases), []
    other = leases.take(shown(0), 1, "other")
    held.hold(1, "captions/a", told.append)
    assert held.devices == shown(1)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == shown(1)[0]
    files = held.files
    held.hold(1, "captions/a", told.append)
    assert held.files == files, "what is held is not let go in between"
    other.let_go()
    held.hold(None, "trained_clip/a", told.append)
    assert held.devices == shown(1, 0, 2)
    held.hold(1, "captions/a", told.append)
    assert held.devices == shown(1)
    held.hold(0, "raw_pool", told.append)
    assert held.devices == shown(1)
    held.hold(7, "more than there are", told.append)
    assert len(held.devices) == 3
    assert told == []


def test_where_none_may_be_used_none_is_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RECAP_GPUS", "0")
    held = HeldGpus(lambda: Leases(tmp_path / "leases"))
    held.hold(1, "captions/a", lambda _: None)
    assert held.devices == ()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_torch_is_not_imported_to_find_gpus() -> None:
    code = (
        "import sys, recap_assets.engines.gpus as gpus; gpus.gpus_here(); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own words


def test_a_model_needs_one_gpu_or_all_that_its_device_may_mean() -> None:
    class Spread(RunHere):
        device_map: str | None = "auto"

    assert gpus_of(RunHere()) == gpus_of(RunHere(device="cuda:0")) == 1
    assert gpus_of(RunHere(device="cpu")) == 0
    assert gpus_of(RunHere(device="cpu"), RunHere()) == 1
    assert gpus_of(RunHere(device="cuda:1")) is None
    assert gpus_of(RunHere(), Spread()) is None
