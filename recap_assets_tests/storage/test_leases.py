"""A device has one holder at a time, whoever dies."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from recap_assets.storage.errors import StorageError
from recap_assets.storage.leases import Leases
from recap_assets_tests.waiting import SECONDS, wait_for

CARDS = ("GPU-a", "GPU-b", "GPU-c")
HOLDER = """
import sys, time
from pathlib import Path
from recap_assets.storage.leases import Leases
lease = Leases(Path(sys.argv[1])).take(("GPU-a", "GPU-b", "GPU-c"), int(sys.argv[2]), "captions/a")
print(*lease.devices, flush=True)
time.sleep(600)
"""


def held_elsewhere(folder: Path, n: int) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", HOLDER, str(folder), str(n)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own words
    assert process.stdout
    assert len(process.stdout.readline().split()) == n
    return process


def test_two_holders_never_have_the_same_device(tmp_path: Path) -> None:
    leases = Leases(tmp_path / "leases")
    first, second = leases.take(CARDS, 1, "one"), leases.take(CARDS, 2, "other")
    assert first.devices == ("GPU-a",)
    assert second.devices == ("GPU-b", "GPU-c")
    held = leases.holders(CARDS)
    assert held["GPU-a"] == f"process {os.getpid()} (one)"
    first.let_go()
    first.let_go()
    assert set(leases.holders(CARDS)) == {"GPU-b", "GPU-c"}
    assert leases.take(CARDS, 1, "third").devices == ("GPU-a",)


def test_a_killed_holder_lets_go_and_who_waits_is_told_who_holds(tmp_path: Path) -> None:
    process = held_elsewhere(tmp_path, 3)
    told: list[str] = []

    def kill(holders: str) -> None:
        told.append(holders)
        assert process.poll() is None
        process.kill()

    lease = Leases(tmp_path).take(CARDS, 2, "mine", kill)
    assert process.wait() == -signal.SIGKILL
    assert lease.devices == CARDS[:2]
    assert told == ["; ".join([f"process {process.pid} (captions/a)"] * 3)]


def test_who_needs_many_is_not_overtaken_by_who_needs_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases, order = Leases(tmp_path), []
    first = leases.take(CARDS, 1, "first")
    waiting: set[str] = set()

    def sleep(seconds: float) -> None:
        waiting.add(threading.current_thread().name)
        time.sleep(seconds)

    monkeypatch.setattr("recap_assets.storage.leases.time", SimpleNamespace(sleep=sleep))

    def take(n: int) -> None:
        lease = leases.take(CARDS, n, str(n))
        order.append(n)
        lease.let_go()

    threads = [threading.Thread(target=take, args=(n,), name=f"needs {n}") for n in (3, 1)]
    for thread in threads:
        thread.start()
        wait_for(lambda name=thread.name: name in waiting, "it waits")
    assert order == []
    assert leases.waiter() == os.getpid()
    first.let_go()
    for thread in threads:
        thread.join(SECONDS)
    assert order == [3, 1]
    assert leases.waiter() is None


def test_a_child_that_inherits_it_holds_it_until_its_end(tmp_path: Path) -> None:
    leases = Leases(tmp_path)
    lease = leases.take(CARDS, 1, "training")
    code = "print('on', flush=True); input()"
    with subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, "-c", code], pass_fds=lease.files, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as child:  # fmt: skip
        assert child.stdout
        assert child.stdout.readline() == "on\n"
        lease.let_go()
        assert set(leases.holders(CARDS)) == {"GPU-a"}
        child.communicate("\n")
    assert leases.holders(CARDS) == {}


def test_devices_that_must_be_among_them_are_waited_for(tmp_path: Path) -> None:
    leases = Leases(tmp_path)
    other = leases.take(CARDS, 1, "other")
    lease = leases.take(CARDS, 2, "more", lambda _holders: other.let_go(), first=("GPU-a",))
    assert lease.devices == ("GPU-a", "GPU-b")


def test_all_users_share_the_folder_and_no_link_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "leases"
    Leases(folder).take(CARDS, 1, "one").let_go()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
    (file,) = folder.glob("*.lease")
    assert stat.S_IMODE(file.stat().st_mode) == 0o666
    target = tmp_path / "precious"
    target.write_text("as it was")
    file.unlink()
    file.symlink_to(target)
    with pytest.raises(StorageError, match="RECAP_LEASES"):
        Leases(folder).take(CARDS, 1, "one")
    assert target.read_text() == "as it was"
