"""Claims: one process at a time builds a partition."""

import fcntl
import hashlib
import logging
import math
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from recap_assets.storage.changes import n_changes
from recap_assets.storage.errors import StorageError
from recap_assets.storage.store_claims import StoreClaims, place_of
from recap_assets.untrusted.errors import RecapError

POLL_SECONDS = 0.2
SUFFIX = ".claim"
MOST_BYTES = 1_000
_log = logging.getLogger(__name__)
JOURNAL = "forgetting.json"
"""In the data folder while samples are being forgotten: nothing is built meanwhile."""
_WRITTEN = re.compile(r"(\d+) *\n(\d+\.\d+) *\n(.+)", re.DOTALL)


@dataclass(frozen=True)
class Claims:
    """Claims on partitions, each a locked file in one folder and, between machines, a lease.

    The operating system lets go of a lock when its process ends, however it ends, so a crash
    leaves nothing claimed. Processes on machines that do not share a POSIX file system do not see
    each other's locks; where the tables are in an object store, whoever has the lock takes a lease
    there as well.

    Attributes:
        folder: Of the files.
        leases: Of the object store; None where the tables are in none.
    """

    folder: Path
    leases: StoreClaims | None = None

    @contextmanager
    def hold(
        self,
        name: str,
        on_wait: Callable[[str], None] = lambda _holder: None,
        run: str = "",
    ) -> Iterator[float | None]:
        """Hold the claim on a name for the length of the block; wait while another holds it.

        Where the last holder of the claim did not finish, killed or by an error, the block is
        given the time when that one began, in seconds since 1970; infinity where it was on another
        machine, whose clock may be wrong. The name counts as unfinished until a block finishes, or
        fails by what a user can fix before it changed anything.

        Args:
            name: What is claimed.
            on_wait: Called once with the holder, where it has to be waited for.
            run: Dagster's run, for whoever waits on another machine.

        Raises:
            StorageError: The object store does not answer, or gave the lease to another; the
                second comes from whatever changes something next.
        """
        path = self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}{SUFFIX}"
        self.folder.mkdir(parents=True, exist_ok=True)
        file = _locked(path, on_wait)
        try:
            # After the lock: of a build and a removal that begin at once one sees the other.
            self._refuse_while_forgetting()
            before = _read(file)
            _write(file, _Holder(str(os.getpid()), time.time(), name))
            changes = n_changes()
            try:
                with self._lease(name, on_wait, run) as is_suspect:
                    began = before.began if before else None
                    yield math.inf if is_suspect else began
            except RecapError:
                if n_changes() == changes:
                    _let_go(path, file, before)
                raise
            path.unlink()
        finally:
            os.close(file)

    def _refuse_while_forgetting(self) -> None:
        if (journal := self.folder.parent.parent / JOURNAL).exists():
            msg = (
                f"samples are being forgotten ({journal}), and nothing is built meanwhile. Wait "
                "for `recap forget` to finish; if it was interrupted, call it again to complete it"
            )
            raise StorageError(msg)

    def held(self) -> list[str]:
        """Names that a process of this machine holds now."""
        return sorted(filter(None, map(_held, self.folder.glob(f"*{SUFFIX}"))))

    def unfinished(self) -> dict[str, float]:
        """Names whose last holder did not come to its end and that nobody holds now.

        Returns:
            When the last holder of each began, in seconds since 1970; infinity of those that
            another machine left.
        """
        found = filter(None, map(_unfinished, self.folder.glob(f"*{SUFFIX}")))
        here = {holder.name: holder.began for holder in found}
        if self.leases is None or _missing(self.leases):
            return here
        return dict.fromkeys(self.leases.unfinished(), math.inf) | here

    def on_this_machine(self) -> "Claims":
        """The same by files alone, for what other machines do not have."""
        return replace(self, leases=None)

    def prove(self) -> str:
        """Take a claim, be refused it a second time, and let it go.

        Returns:
            What holds the claims, and among which processes.

        Raises:
            StorageError: A claim that was held could be taken by another.
        """
        there = next(one for one in (self.folder, *self.folder.parents) if one.exists())
        with tempfile.TemporaryDirectory(dir=there) as folder:
            _prove_files(Path(folder))
        if self.leases is None:
            return "file locks, among processes that share this folder and its locks"
        if missing := self.leases.prove():
            return f"{FILES_ALONE} ({missing})"
        return (
            "leases beside the tables, among all machines: one was taken, refused to a second, "
            f"renewed and let go; one that nobody renews ends after {self.leases.seconds:g} s"
        )

    @contextmanager
    def _lease(self, name: str, on_wait: Callable[[str], None], run: str) -> Iterator[bool]:
        if self.leases is None or _missing(self.leases):
            yield False
            return
        with self.leases.hold(name, place_of(self.folder), run, on_wait) as is_suspect:
            yield is_suspect


FILES_ALONE = "file locks alone, among processes of one machine: the store lacks what leases need"


@cache
def _missing(leases: StoreClaims) -> str:
    """What the store lacks for leases; said once in a process."""
    missing = leases.objects.abilities().missing
    if missing:
        _log.warning("claims on %s are %s (%s)", leases.tables, FILES_ALONE, missing)
    return missing


def _prove_files(folder: Path) -> None:
    path = folder / f"doctor{SUFFIX}"
    file, other = (os.open(path, os.O_RDWR | os.O_CREAT) for _ in range(2))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _locks(other):
            msg = f"a lock that is held on a file in {folder.parent} could be taken by another"
            raise StorageError(msg)
    except OSError as error:
        msg = f"files in {folder.parent} cannot be locked: {error.strerror}"
        raise StorageError(msg) from error
    finally:
        os.close(file)
        os.close(other)


def _locks(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


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


def _held(path: Path) -> str | None:
    """The name that a locked file is of; None where nobody holds it."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        if _locks(file):
            return None
        holder = _read(file)
        return holder.name if holder else "a partition"
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
