"""Claims between machines: leases beside the tables of an object store (ADR 0035)."""

import hashlib
import logging
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from recap_assets.storage.changes import guarded, n_changes
from recap_assets.storage.errors import StorageError
from recap_assets.storage.lease_objects import (
    FIRST_PATIENCE_SECONDS,
    SECONDS,
    Found,
    LeaseObjects,
    Owner,
    patiently,
)
from recap_assets.untrusted.errors import RecapError

FOLDER = ".claims"
POLL_SECONDS = (1.0, 5.0)
_BOOT = Path("/proc/sys/kernel/random/boot_id")

_log = logging.getLogger(__name__)


class LeaseLostError(StorageError):
    """Another process took a claim over, since this one did not renew it in time."""


@dataclass(frozen=True)
class StoreClaims:
    """Claims of the processes of several machines, each a lease object in an S3 bucket.

    A lease ends by itself when it was not renewed for `seconds`. Its holder renews it three times
    as often, and asks before every commit whether it still has it: one that was stopped, or cut
    off from the store, until another took its lease changes nothing any more.

    Attributes:
        tables: Root of the tables, `s3://bucket/prefix`; the leases are in a folder of it.
        seconds: How long a lease lasts after a renewal.
    """

    tables: str
    seconds: float = SECONDS

    @property
    def objects(self) -> LeaseObjects:
        """The leases."""
        return LeaseObjects(f"{self.tables}/{FOLDER}")

    @contextmanager
    def hold(
        self,
        name: str,
        place: str = "",
        run: str = "",
        on_wait: Callable[[str], None] = lambda _holder: None,
    ) -> Iterator[bool]:
        """Hold the claim on a name for the length of the block; wait while another holds it.

        The block is given whether the work was left unfinished elsewhere.

        Args:
            name: What is claimed.
            place: Names the locks of this machine that the process holds already, see `place_of`.
                A lease of the same place belongs to a process that has ended.
            run: Dagster's run.
            on_wait: Called once with the holder, where it has to be waited for.

        Raises:
            StorageError: The store does not answer for minutes.
            LeaseLostError: From within the block, before a change.
        """
        owner = Owner(
            token=uuid.uuid4().hex, name=name[:300], host=socket.gethostname()[:300],
            process=os.getpid(), run=run[:300], place=place, seconds=self.seconds,
        )  # fmt: skip
        lease = self._taken(_key_of(name), owner, on_wait)
        changes = n_changes()
        with lease.renewed(), guarded(lease.refuse_lost):
            try:
                yield lease.owner.is_suspect
            except RecapError:
                lease.end(lease.before if n_changes() == changes else lease.left)
                raise
            except BaseException:
                lease.end(lease.left)
                raise
            lease.end(None)

    def unfinished(self) -> list[str]:
        """Names that nobody holds now, and whose last holder did not finish.

        What was left less than half a lease ago is not among them yet.
        """
        found = self.objects.older_than(self.seconds / 2)
        return [
            one.owner.name for one in found if one.owner and one.owner.name and _is_unfinished(one)
        ]

    def prove(self) -> str:
        """Take a lease, be refused it a second time, renew it and let it go.

        Returns:
            What the store lacks for leases; empty where it lacks nothing.

        Raises:
            StorageError: The store does not answer, or does what it said it does not.
        """
        if missing := self.objects.abilities().missing:
            return missing
        key, owner = f"doctor-{uuid.uuid4().hex}", Owner(token="first", name="doctor")  # noqa: S106
        later = owner.model_copy(update={"renewals": 1})
        etag = self.objects.put(key, owner, IfNoneMatch="*") or ""
        refused = self.objects.put(key, later, IfNoneMatch="*") is None
        renewed = self.objects.put(key, later, IfMatch=etag)
        refused = refused and self.objects.put(key, owner, IfMatch=etag) is None
        if renewed is None or not refused:
            msg = f"{self.objects.root}: a lease that was held could be taken by another"
            raise StorageError(msg)
        self.objects.remove(key, renewed, None)
        return ""

    def _taken(self, key: str, owner: Owner, on_wait: Callable[[str], None]) -> "_Lease":
        pause, reported = POLL_SECONDS[0], False
        found: Found | None = None
        while True:
            if found is None or _may_take(found, owner):
                lease = _Lease(self.objects, key, owner, found)
                if patiently(lease.take):
                    return lease
            else:
                if not reported:
                    on_wait(str(found.owner or "a process that is not known"))
                reported = True
                time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter is no secret
                pause = min(1.5 * pause, POLL_SECONDS[1])
            found = patiently(lambda: self.objects.get(key))


class _Lease:
    """One lease that this process took, or tries to take."""

    def __init__(self, objects: LeaseObjects, key: str, owner: Owner, found: Found | None) -> None:
        self.owner = owner.model_copy(update={"is_suspect": _is_suspect(found, owner)})
        self.before = _left_before(found, self.owner)
        self._objects, self._key = objects, key
        self._etag = found.etag if found else ""
        self._renewed_at = 0.0
        self._lost = ""
        self._alone = threading.Lock()
        self._ended = threading.Event()

    @property
    def left(self) -> Owner:
        """What it says once its holder let it go unfinished."""
        return _unfinished(self.owner)

    def take(self) -> bool:
        """Take it as it was found; whether nobody else was faster.

        Raises:
            StorageError: The store does not answer.
        """
        condition = {"IfMatch": self._etag} if self._etag else {"IfNoneMatch": "*"}
        return self._write(**condition)

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Renew it from a thread as long as the block lasts."""
        thread = threading.Thread(
            target=self._keep, name=f"lease of {self.owner.name}", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            self._ended.set()

    def refuse_lost(self) -> None:
        """Refuse where it was lost; it is renewed first where that was not done for a while.

        Raises:
            LeaseLostError: Another has it.
            StorageError: The store does not answer, and another could have it.
        """
        with self._alone:
            if self._lost or _now() - self._renewed_at >= self.owner.seconds / 2:
                patiently(self._renew)

    def end(self, left: Owner | None) -> None:
        """Let it go.

        Args:
            left: What is left in its place, for whoever takes it next.
        """
        self._ended.set()
        with self._alone:
            if self._lost:
                return
            try:
                remove = partial(self._objects.remove, self._key, self._etag, left)
                patiently(remove, FIRST_PATIENCE_SECONDS)
            except StorageError as error:
                _log.warning("the claim on %s ends by itself: %s", self.owner.name, error)

    def _keep(self) -> None:
        third = self.owner.seconds / 3
        pause = third
        while not self._ended.wait(pause):
            with self._alone:
                if self._ended.is_set():
                    return
                try:
                    self._renew()
                    pause = third
                except LeaseLostError as error:
                    _log.warning("%s", error)
                    return
                except StorageError as error:
                    _log.warning("the claim on %s is not renewed: %s", self.owner.name, error)
                    pause = third / 4

    def _renew(self) -> None:
        if not self._lost and not self._write(IfMatch=self._etag):
            self._lost = self._holder_now()
        if self._lost:
            msg = (
                f"the claim on {self.owner.name} went to {self._lost}, since it was not renewed "
                f"for {self.owner.seconds:g} seconds: this process was stopped, or cut off from "
                "the store. It writes nothing more of it; run again to reuse what the other built"
            )
            raise LeaseLostError(msg)

    def _holder_now(self) -> str:
        """Who has it after a renewal failed; nobody where only the answer to one was lost."""
        found = self._objects.get(self._key)
        if found and found.owner and found.owner.token == self.owner.token:
            self._etag = found.etag
            if self._write(IfMatch=found.etag):
                return ""
        return str(found.owner) if found and found.owner else "another process"

    def _write(self, **condition: str) -> bool:
        # Counted from before the request, so that the store's own count never began earlier.
        began = _now()
        self.owner = self.owner.model_copy(update={"renewals": self.owner.renewals + 1})
        etag = self._objects.put(self._key, self.owner, **condition)
        if etag is None:
            return False
        self._etag, self._renewed_at = etag, began
        return True


def place_of(folder: Path) -> str:
    """Names the file locks of a folder as this machine sees them; "" where it cannot be named.

    Two processes with the same name of a place exclude each other by these locks.
    """
    try:
        boot = _BOOT.read_text().strip()
        stat = folder.stat()
    except OSError:
        return ""
    return f"{socket.gethostname()} {boot} {stat.st_dev}:{stat.st_ino}"[:300]


def _is_suspect(found: Found | None, owner: Owner) -> bool:
    """Whether a process of another place left the work unfinished, whose clock may be another."""
    if found is None or found.is_free:
        return False
    before = found.owner
    if before is None or before.is_suspect:
        return True
    return before.token != owner.token and (not owner.place or before.place != owner.place)


def _left_before(found: Found | None, owner: Owner) -> Owner | None:
    """What was there, for a holder who lets go without having done anything."""
    if found is None or found.is_free:
        return None
    if found.owner is None or found.owner.token == owner.token:
        return _unfinished(owner) if owner.is_suspect else None
    return _unfinished(found.owner)


def _unfinished(owner: Owner) -> Owner:
    return owner.model_copy(update={"state": "unfinished"})


def _may_take(found: Found, owner: Owner) -> bool:
    before = found.owner
    if found.is_free or before is None:
        return found.is_free or found.is_expired
    ended = owner.place != "" and before.place == owner.place
    return ended or before.token == owner.token or _is_unfinished(found)


def _is_unfinished(found: Found) -> bool:
    return found.is_expired or (found.owner is not None and found.owner.state == "unfinished")


def _key_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:24]


def _now() -> float:
    """Seconds of a clock that also counts while the machine sleeps, where there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
