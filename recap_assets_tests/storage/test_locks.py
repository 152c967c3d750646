"""One process at a time holds a claim, and a dead one holds none."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from recap_assets.storage.files import write_atomically
from recap_assets.storage.locks import Claims
from recap_assets.untrusted.errors import RecapError

HOLDER = """
import sys, time
from pathlib import Path
from recap_assets.storage.locks import Claims
with Claims(Path(sys.argv[1])).hold("captions[00000]"):
    print("held", flush=True)
    time.sleep(600)
"""


def held_elsewhere(folder: Path) -> subprocess.Popen[str]:
    """A process that holds the claim."""
    words = [sys.executable, "-c", HOLDER, str(folder)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own words
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_a_claim_is_waited_for_and_a_killed_holder_lets_go(tmp_path: Path) -> None:
    process = held_elsewhere(tmp_path)
    told: list[str] = []

    def kill(holder: str) -> None:
        told.append(holder)
        assert process.poll() is None
        process.kill()

    with Claims(tmp_path).hold("captions[00000]", kill):
        assert process.wait() == -signal.SIGKILL
    assert told == [f"process {process.pid}"]


def test_another_name_is_free(tmp_path: Path) -> None:
    process = held_elsewhere(tmp_path)
    told: list[str] = []
    try:
        with Claims(tmp_path).hold("captions[00001]", told.append):
            assert told == []
    finally:
        process.kill()
        process.wait()


def test_no_two_threads_hold_it_at_once(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    inside = 0
    most = 0

    def work() -> None:
        nonlocal inside, most
        with claims.hold("x"):
            inside += 1
            most = max(most, inside)
            time.sleep(0.01)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_claim_can_be_taken_again_and_leaves_nothing_behind(tmp_path: Path) -> None:
    for _ in range(2):
        with Claims(tmp_path).hold("x") as interrupted:
            assert interrupted is None
            assert len(list(tmp_path.iterdir())) == 1
        assert list(tmp_path.iterdir()) == []


def test_what_was_killed_or_failed_is_unfinished_until_it_is_done(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    start = time.time() - 1e-3
    process = held_elsewhere(tmp_path)
    assert claims.unfinished() == {}
    process.kill()
    process.wait()
    killed = claims.unfinished()["captions[00000]"]
    assert start < killed < time.time()

    def fail() -> None:
        with claims.hold("captions[00000]") as interrupted:
            assert interrupted == killed
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    failed = claims.unfinished()["captions[00000]"]
    assert killed < failed < time.time()
    with claims.hold("captions[00000]") as interrupted:
        assert interrupted == failed
    assert claims.unfinished() == {}


@pytest.mark.parametrize(
    "content", [b"", b"\xff\x00", b"1\nword\nname", b"123 \n12.5", b"\n" * 40, b"x" * 2_000]
)
def test_a_damaged_claim_holds_nothing_up(tmp_path: Path, content: bytes) -> None:
    claims = Claims(tmp_path)
    with pytest.raises(RuntimeError), claims.hold("captions[00000]"):
        raise RuntimeError
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    assert claims.unfinished() == {}
    with claims.hold("captions[00000]") as interrupted:
        assert interrupted is None
    assert list(tmp_path.iterdir()) == []


class MendableError(RecapError):
    pass


def failed(claims: Claims, changes: bool = False) -> None:
    def build() -> None:
        with claims.hold("captions[00000]"):
            if changes:
                write_atomically(claims.folder.parent / "content", b"new")
            raise MendableError

    with pytest.raises(MendableError):
        build()


def test_a_failure_before_anything_was_written_leaves_nothing_unfinished(tmp_path: Path) -> None:
    claims = Claims(tmp_path / "claims")
    failed(claims)
    assert claims.unfinished() == {}
    failed(claims, changes=True)
    unfinished = claims.unfinished()
    assert set(unfinished) == {"captions[00000]"}
    failed(claims)
    assert claims.unfinished() == pytest.approx(unfinished, abs=1e-5)
