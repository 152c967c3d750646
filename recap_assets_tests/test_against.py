"""`benchmarks/against.py`: two states of one repository compared, and nothing left behind."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from recap_assets_tests.waiting import SECONDS, wait_for

ROOT = Path(__file__).parents[1]
SLOW = """
import sys
import time

WORKS = {"idle": None}

if __name__ == "__main__":
    print("ready", flush=True)
    for _ in sys.stdin:
        time.sleep(SECONDS)
        print(0.5, flush=True)
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of its own with the script and a work that costs nothing."""
    folder = tmp_path / "repository"
    (folder / "benchmarks").mkdir(parents=True)
    for name in ("against.py", "verdicts.py"):
        shutil.copy(ROOT / "benchmarks" / name, folder / "benchmarks" / name)
    write_work(folder, seconds=0)
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "all"]):
        subprocess.run(["git", *words], cwd=folder, check=True)  # noqa: S603, S607 - our own words
    return folder


def write_work(folder: Path, seconds: float) -> None:
    work = SLOW.replace("SECONDS", str(seconds))
    (folder / "benchmarks" / "works.py").write_text(work)


def start(repository: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "benchmarks/against.py", "--base", "HEAD", "--rounds", "2"]
    return subprocess.Popen(  # noqa: S603 - our own words
        command, cwd=repository, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def worktrees(repository: Path) -> int:
    command = ["git", "worktree", "list"]
    listed = subprocess.run(  # noqa: S603 - our own words
        command, cwd=repository, check=True, capture_output=True, text=True
    )
    return len(listed.stdout.splitlines())


def test_both_sides_are_run_in_pairs_and_the_former_commit_goes(repository: Path) -> None:
    with start(repository) as compared:
        output, _ = compared.communicate(timeout=SECONDS)
    assert compared.returncode == 0, output
    assert "idle, first: 1.000" in output
    assert "idle, again: 1.000 (1.000 to 1.000), 0.50 s against 0.50 s" in output
    assert worktrees(repository) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_no_worktree_behind(repository: Path, number: signal.Signals) -> None:
    write_work(repository, seconds=2 * SECONDS)
    with start(repository) as compared:
        wait_for(lambda: worktrees(repository) > 1, "the former commit is checked out")
        compared.send_signal(number)
        output, _ = compared.communicate(timeout=SECONDS)
    assert compared.returncode == 128 + number, output
    assert "Traceback" not in output
    assert worktrees(repository) == 1
