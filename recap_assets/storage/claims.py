"""Claims: of all processes on a machine one at a time builds a partition."""

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Claims:
    """Claims on partitions, each a locked file in one folder.

    The operating system lets go of a lock when its process ends, however it ends, so a crash
    leaves nothing claimed. Processes on machines that do not share a POSIX file system do not see
    each other's claims: there two may build the same partition, the same slice is replaced twice,
    and the later one wins.
    """

    folder: Path

    @contextmanager
    def hold(
        self, name: str, on_wait: Callable[[str], None] = lambda _holder: None
    ) -> Iterator[None]:
        """Hold the claim on a name for the length of the block; wait while another holds it.

        Args:
            name: What is claimed.
            on_wait: Told once who holds it, where it has to be waited for.
        """
        path = self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.claim"
        self.folder.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(file, on_wait)
            os.ftruncate(file, 0)
            os.pwrite(file, f"process {os.getpid()}: {name}".encode(), 0)
            yield
        finally:
            # The file stays: deleting it would let a waiter hold a lock on a file nobody finds.
            os.close(file)


def _lock(file: int, on_wait: Callable[[str], None]) -> None:
    told = False
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not told:
                on_wait(os.pread(file, 1_000, 0).decode(errors="replace"))
                told = True
            time.sleep(POLL_SECONDS)
        else:
            return
