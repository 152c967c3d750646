"""The addresses of one model: which is asked next, and which are left out for a while."""

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import httpx2

from recap_assets.engines.errors import CaptionServerError

_log = logging.getLogger(__name__)

_LOST_FAILURES = 7
"""Failures in a row that an address is credited with whose server answers nothing that is asked:
its pause is then the longest."""


@dataclass
class Address:
    """One of a source's addresses.

    Attributes:
        url: The address.
        http: The client that reaches it.
        under_way: Requests that wait for it.
        held_until: Until when it asked to be left alone, on the clock of `time.monotonic`.
        is_fit: Whether it is asked. A sole address always is.
        is_lost: Whether it would answer nothing that is asked.
        n_failed: Failures in a row.
        said: What was wrong last.
        turn: Number of its last request: of equally busy addresses the one that waited longest.
    """

    url: str
    http: httpx2.AsyncClient
    under_way: int = 0
    held_until: float = 0.0
    is_fit: bool = True
    is_lost: bool = False
    n_failed: int = 0
    said: str = ""
    turn: int = 0


class Addresses:
    """Chooses among a source's addresses; used in one event loop.

    A request goes to the address with the fewest under way. Where there are several, each is asked
    for its list of models before its first request. One that fails is left out for a pause that
    doubles with each failure in a row; then it is asked for the list again, and taken back if it
    answers and has the model. A sole address is never left out: requests wait for it.

    Args:
        every: The addresses.
        most: Requests under way at each.
        check: Raises CaptionServerError where an address does not answer or lacks the model.
        pause_after: Seconds from the number of failures in a row.
    """

    def __init__(
        self,
        every: Sequence[Address],
        most: int,
        check: Callable[[Address], Awaitable[None]],
        pause_after: Callable[[int], float],
    ) -> None:
        self._every, self._most = every, most
        self._check, self._pause_after = check, pause_after
        self.is_sole = len(every) == 1
        self._turns = itertools.count(1)
        self._is_begun = False
        self._first: set[str] = set()
        self._changed = asyncio.Event()
        self._checks: set[asyncio.Task[None]] = set()
        for at in every:
            at.is_fit = self.is_sole

    @property
    def said(self) -> str:
        """What is wrong with the addresses that are left out, for people."""
        out = [f"{at.url}: {at.said}" for at in self._every if not at.is_fit and at.said]
        more = f" (and {len(out) - 3} more)" if len(out) > 3 else ""
        return "; ".join(out[:3]) + more or "no address has answered yet"

    async def next(self, longest: float, beside: Address | None = None) -> Address | None:
        """The address for one request, after a wait where each wants to be left alone.

        Args:
            longest: Seconds to wait while no address is fit, once each has been asked for its list.
            beside: One that is not wanted, if there is another.

        Returns:
            None where none has become fit in that time.
        """
        if not self.is_sole and not self._is_begun:
            self._begin()
        deadline = time.monotonic() + longest
        while True:
            fit = [at for at in self._every if at.is_fit]
            fit = [at for at in fit if at is not beside] or fit
            free = [at for at in fit if self._is_free(at)]
            if free:
                at = min(free, key=lambda one: (one.under_way, one.turn))
                at.turn = next(self._turns)
                return at
            if not fit and not self._first and time.monotonic() >= deadline:
                return None
            await self._wait(fit, deadline)

    def failed(self, at: Address, said: str, pause: float | None) -> None:
        """Note that an attempt came to nothing.

        Args:
            at: Where.
            said: Why.
            pause: Seconds for which the server asked to be left alone; None if it did not.
        """
        # One request that must wait makes all others wait, which would be answered the same.
        at.held_until = max(at.held_until, time.monotonic() + (pause or 0.0))
        if not self.is_sole and pause is None:
            self._leave_out(at, said)

    def lost(self, at: Address, said: str) -> None:
        """Note that an address answers in a way in which it would answer everything."""
        at.is_lost, at.n_failed = True, max(at.n_failed, _LOST_FAILURES - 1)
        self._leave_out(at, said)

    def answered(self, at: Address) -> None:
        """Note that it answered."""
        at.n_failed = 0

    def begun(self, at: Address) -> None:
        """Note that a request waits for it."""
        at.under_way += 1

    def ended(self, at: Address) -> None:
        """Note that one waits no longer."""
        at.under_way -= 1
        self._changed.set()

    def has_other(self, at: Address) -> bool:
        """Whether another address is fit."""
        return any(one.is_fit for one in self._every if one is not at)

    @property
    def are_lost(self) -> bool:
        """Whether no address would answer anything."""
        return all(at.is_lost for at in self._every)

    async def close(self) -> None:
        """Close the connections."""
        for task in self._checks:
            task.cancel()
        for at in self._every:
            await at.http.aclose()

    def _is_free(self, at: Address) -> bool:
        return at.under_way < self._most and at.held_until <= time.monotonic()

    def _begin(self) -> None:
        self._is_begun = True
        self._first.update(at.url for at in self._every)
        for at in self._every:
            self._begin_check(at, 0.0)

    def _begin_check(self, at: Address, pause: float) -> None:
        task = asyncio.create_task(self._taken_back(at, pause))
        self._checks.add(task)
        task.add_done_callback(self._checks.discard)

    def _leave_out(self, at: Address, said: str) -> None:
        at.said = said
        if not at.is_fit:
            return  # several of its requests failed together: that is one failure
        at.is_fit, at.n_failed = False, at.n_failed + 1
        n_left = sum(one.is_fit for one in self._every)
        _log.warning("%s is left out (%s): %d addresses answer", at.url, said, n_left)
        self._begin_check(at, self._pause_after(at.n_failed))

    async def _taken_back(self, at: Address, pause: float) -> None:
        """Wait until the address is fit again."""
        is_first = at.url in self._first
        while not at.is_fit:
            await asyncio.sleep(pause)
            try:
                await self._check(at)
            except CaptionServerError as error:
                at.said, at.n_failed = str(error), at.n_failed + 1
                if at.url in self._first:
                    _log.warning("%s is left out: %s", at.url, error)
                is_first, pause = False, self._pause_after(at.n_failed)
            else:
                at.is_fit, at.is_lost = True, False
            self._first.discard(at.url)
            self._changed.set()
        if not is_first:
            _log.warning("%s answers again", at.url)

    async def _wait(self, fit: Sequence[Address], deadline: float) -> None:
        """Wait until an address may be free: one is taken back or answers, or a pause ends."""
        self._changed.clear()
        try:
            async with asyncio.timeout(self._longest_wait(fit, deadline)):
                await self._changed.wait()
        except TimeoutError:
            return

    def _longest_wait(self, fit: Sequence[Address], deadline: float) -> float | None:
        now = time.monotonic()
        if not fit:
            return None if self._first else max(deadline - now, 0.0)
        left = min((at.held_until - now for at in fit if at.held_until > now), default=None)
        return None if left is None else left * random.uniform(1, 1.1)  # noqa: S311 - no secret
