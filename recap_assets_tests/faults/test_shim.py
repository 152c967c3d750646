"""What the shim does at a call, seen by a program that writes a few files."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from recap_assets_tests.faults.kinds import KINDS, draw
from recap_assets_tests.faults.proxy import METHODS
from recap_assets_tests.faults.shim import FOR_EVER, Counts, Harm, compile_shim, new_state, why_not
from recap_assets_tests.faults.shim import KINDS as CALLS

WRITES = """
import os, sys, time
for i in range(4):
    file = os.open(f"{sys.argv[1]}/{i}", os.O_WRONLY | os.O_CREAT)
    try:
        os.write(file, b"x")
    except OSError as error:
        print(i, error.errno)
    os.fsync(file)
    os.rename(f"{sys.argv[1]}/{i}", f"{sys.argv[1]}/{i}.done")
print(round(time.time() / 86400))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    return compile_shim(tmp_path_factory.mktemp("shim"))


def run(library: Path, folder: Path, harm: Harm) -> tuple[int, list[str], Counts]:
    below = folder.resolve() / "below"
    below.mkdir()
    state = new_state(folder / "state")
    environment = {**os.environ, **harm.environment(below, state), "LD_PRELOAD": str(library)}
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", WRITES, str(below)], env=environment, text=True,
        capture_output=True, check=False, start_new_session=True,
    )  # fmt: skip
    return done.returncode, done.stdout.splitlines(), Counts.read(state)


def test_calls_below_the_folder_are_counted_by_kind(library: Path, tmp_path: Path) -> None:
    code, _, counts = run(library, tmp_path, Harm())
    assert (code, counts.n_done) == (0, 0)
    assert counts.calls == {"open": 0, "create": 4, "write": 4, "sync": 4, "rename": 4}


def test_the_second_and_third_write_fail(library: Path, tmp_path: Path) -> None:
    code, lines, counts = run(library, tmp_path, Harm(("write",), 2, 3, error=errno.ENOSPC))
    assert (code, lines[:-1], counts.n_done) == (0, ["1 28", "2 28"], 2)


def test_a_signal_comes_before_the_call(library: Path, tmp_path: Path) -> None:
    harm = Harm(("rename",), 3, 3, signal=signal.SIGKILL)
    assert run(library, tmp_path, harm)[0] == -signal.SIGKILL
    names = sorted(path.name for path in (tmp_path / "below").iterdir())
    assert names == ["0.done", "1.done", "2"]


def test_the_clock_is_off_from_the_call_on(library: Path, tmp_path: Path) -> None:
    _, now, _ = run(library, tmp_path, Harm())
    (tmp_path / "below").rename(tmp_path / "before")
    _, then, _ = run(library, tmp_path, Harm(("sync",), 1, 1, shift=-3 * 86_400))
    assert int(now[-1]) - int(then[-1]) in (2, 3)


def test_a_fault_depends_on_seed_and_number_alone() -> None:
    counted = {start: dict.fromkeys((*CALLS, *METHODS), 100) for start in ("empty", "half")}
    drawn = [draw(7, number, counted) for number in range(200)]
    assert drawn == [draw(7, number, counted) for number in range(200)]
    assert drawn != [draw(8, number, counted) for number in range(200)]
    assert {fault.kind for fault in drawn} == set(KINDS)
    assert all(0 <= fault.first <= 500 for fault in drawn)
    careless = [fault.trouble for fault in drawn if KINDS[fault.kind].refused]
    assert {(trouble.first, trouble.last) for trouble in careless} == {(1, FOR_EVER)}
