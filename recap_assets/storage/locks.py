"""Claims: of all processes on a machine one at a time builds a partition."""

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from recap_assets.storage.changes import n_changes
from recap_assets.untrusted.errors import RecapError

POLL_SECONDS = 0.2
SUFFIX = ".claim"
MOST_BYTES = 1_000
_WRITTEN = re.compile(r"(\d+) *\n(\d+\.\d+) *\n(.+)", re.DOTALL)


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
    ) -> Iterator[float | None]:
        """Hold the claim on a name for the length of the block; wait while another holds it.

        Where the last holder of the claim did not finish, killed or by an error, the block is
        given the time when that one began, in seconds since 1970. The name counts as unfinished
        until a block finishes, or fails by what a user can fix before it changed anything.

        Args:
            name: What is claimed.
            on_wait: Called once with the holder, where it has to be waited for.
        """
        path = self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}{SUFFIX}"
        self.folder.mkdir(parents=True, exist_ok=True)
        file = _locked(path, on_wait)
        try:
            before = _read(file)
            _write(file, _Holder(str(os.getpid()), time.time(), name))
            changes = n_changes()
            try:
                yield before.began if before else None
            except RecapError:
                if n_changes() == changes:
                    _let_go(path, file, before)
                raise
            path.unlink()
        finally:
            os.close(file)

    def unfinished(self) -> dict[str, float]:
        """Names whose last holder did not come to its end and that nobody holds now.

        Returns:
            When the last holder of each began, in seconds since 1970.
        """
        if not self.folder.is_dir():
            return {}
        found = filter(None, map(_unfinished, self.folder.glob(f"*{SUFFIX}")))
        return {holder.name: holder.began for holder in found}


@dataclass(frozen=True)
class _Holder:
    process: str
    began: float
    name: str


def _locked(path: Path, on_wait: Callable[[str], None]) -> int:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        _lock(file, on_wait)
        # Whoever held it before took the file away: others would not find a lock on that one.
        if _is_at(path, file):
            return file
        os.close(file)


def _is_at(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False


def _unfinished(path: Path) -> _Holder | None:
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _read(file)
    except BlockingIOError:
        return None
    finally:
        os.close(file)


def _write(file: int, holder: _Holder) -> None:
    # As long as what it replaces, so that no kill leaves a part of either.
    words = f"{holder.process:<10}\n{holder.began:<20.6f}\n{holder.name}"
    os.pwrite(file, words.encode(), 0)


def _let_go(path: Path, file: int, before: _Holder | None) -> None:
    """Leave the name as it was found: unfinished where it was so before."""
    if before is None:
        path.unlink()
    else:
        _write(file, before)


def _read(file: int) -> _Holder | None:
    """Who wrote the file; nobody where it was just made, or holds what no claim holds."""
    found = _WRITTEN.fullmatch(os.pread(file, MOST_BYTES, 0).decode(errors="replace"))
    return _Holder(found[1], float(found[2]), found[3]) if found else None


def _lock(file: int, on_wait: Callable[[str], None]) -> None:
    was_reported = False
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not was_reported:
                holder = _read(file)
                on_wait(f"process {holder.process if holder else 'unknown'}")
                was_reported = True
            time.sleep(POLL_SECONDS)
        else:
            return
