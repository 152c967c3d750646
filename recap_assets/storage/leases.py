"""Leases of devices: of all processes of a machine one at a time computes on a GPU."""

import errno
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from recap_assets.storage.errors import StorageError
from recap_assets.untrusted.showing import one_line

FOLDER_VARIABLE = "RECAP_LEASES"
POLL_SECONDS = 0.2
MOST_BYTES = 1_000
_QUEUE = "queue"


@dataclass
class Lease:
    """Devices that belong to this process until it lets them go or ends.

    Attributes:
        devices: Their names, in the order in which they were asked for.
    """

    devices: tuple[str, ...]
    _files: list[int] = field(default_factory=list)

    @property
    def files(self) -> tuple[int, ...]:
        """Open files that hold it; a child that inherits them holds it, too, until it ends."""
        return tuple(self._files)

    def let_go(self) -> None:
        """Give the devices back; a second time nothing happens."""
        while self._files:
            os.close(self._files.pop())


@dataclass(frozen=True)
class Leases:
    """Leases of a machine's devices, each a locked file in one folder that all processes share.

    The operating system lets go of a lock when its processes end, however they end. Containers
    that share a device share leases only where they share the folder.
    """

    folder: Path

    @classmethod
    def of_this_machine(cls) -> "Leases":
        """Those in the folder that RECAP_LEASES names; by default one in the temporary folder."""
        named = os.environ.get(FOLDER_VARIABLE)
        return cls(Path(named) if named else Path(tempfile.gettempdir()) / "recap-leases")

    def take(
        self,
        devices: Sequence[str],
        n: int,
        holder: str,
        on_wait: Callable[[str], None] = lambda _holders: None,
        first: Sequence[str] = (),
    ) -> Lease:
        """Take `n` of the devices at once; wait, behind whoever waits already, until they are free.

        A process that holds some must let them go first: two that each wait for what the other
        holds would wait for ever.

        Args:
            devices: What is taken from, by names that all processes use.
            n: How many.
            holder: What the process does, for others that wait.
            on_wait: Called once with the holders, where they have to be waited for.
            first: Devices that must be among them.

        Raises:
            StorageError: The folder cannot be used.
        """
        order = [*first, *(name for name in devices if name not in first)]
        was_reported = False
        # Whoever waits holds the queue: what becomes free is theirs, and many devices become free
        # at last for one who needs many.
        with self._turn(holder):
            while True:
                if (lease := self._try(order, n, len(first), holder)) is not None:
                    return lease
                if not was_reported:
                    on_wait("; ".join(self.holders(devices).values()))
                    was_reported = True
                time.sleep(POLL_SECONDS)

    def holders(self, devices: Collection[str]) -> dict[str, str]:
        """Who holds each of the devices that are not free, for people."""
        found = {name: self._holder(self._path(name)) for name in devices}
        return {name: holder for name, holder in found.items() if holder is not None}

    def waiter(self) -> int | None:
        """The process that waits for devices now; None where none does."""
        if (holder := self._holder(self.folder / _QUEUE)) is None:
            return None
        number = holder.removeprefix("process ").partition(" ")[0]
        return int(number) if number.isdecimal() else 0

    def _try(self, order: Sequence[str], n: int, n_needed: int, holder: str) -> Lease | None:
        lease = Lease(())
        for i, name in enumerate(order):
            if len(lease.devices) == n:
                break
            if (file := _locked(self._path(name))) is not None:
                _write(file, holder)
                lease = Lease((*lease.devices, name), [*lease.files, file])
            elif i < n_needed:
                break
        if len(lease.devices) == n:
            return lease
        lease.let_go()
        return None

    @contextmanager
    def _turn(self, holder: str) -> Iterator[None]:
        self._make()
        while (file := _locked(self.folder / _QUEUE)) is None:
            time.sleep(POLL_SECONDS / 4)
        try:
            _write(file, holder)
            yield
        finally:
            os.close(file)

    def _holder(self, path: Path) -> str | None:
        """Who holds a file; None where nobody does."""
        if not path.exists():
            return None
        if (file := _locked(path)) is not None:
            os.close(file)
            return None
        with path.open("rb") as content:
            return one_line(content.read(MOST_BYTES).decode(errors="replace").strip(), 200)

    def _path(self, device: str) -> Path:
        return self.folder / f"{sha256(device.encode()).hexdigest()[:24]}.lease"

    def _make(self) -> None:
        try:
            self.folder.mkdir(parents=True)
            # All users of the machine share it, and nobody removes what another one made.
            self.folder.chmod(0o1777)
        except FileExistsError:
            pass
        except OSError as error:
            raise _unusable(self.folder, error) from error


def _locked(path: Path) -> int | None:
    """The open file, locked; None where another process has it."""
    try:
        file = _opened(path)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


def _opened(path: Path) -> int:
    flags = os.O_RDWR | os.O_NOFOLLOW
    try:
        # Linux refuses O_CREAT for a file of another user in a folder that all may write to.
        file = os.open(path, flags)
    except FileNotFoundError:
        file = os.open(path, flags | os.O_CREAT, 0o666)
        os.fchmod(file, 0o666)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "it is no ordinary file")
    return file


def _write(file: int, holder: str) -> None:
    os.ftruncate(file, 0)
    os.pwrite(file, f"process {os.getpid()} ({holder})".encode()[:MOST_BYTES], 0)


def _unusable(path: Path, error: OSError) -> StorageError:
    msg = (
        f"{path}: leases of GPUs cannot be kept there ({error.strerror}); name a folder that all "
        f"users of the machine can write to in {FOLDER_VARIABLE}"
    )
    return StorageError(msg)
