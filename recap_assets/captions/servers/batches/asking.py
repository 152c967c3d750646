"""Requests of a partition, asked by batches: begun, waited for, collected; none is paid for twice.

A request is in exactly one of these states: answered (its reply is in the cache), pending (in a
batch that `PendingBatches` keeps), failed (the provider refused it), or unknown. Only unknown ones
are put into a file, so whatever ends a build, the next one goes on where it was.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

import httpx2

from recap_assets.captions.reply_cache import KeptReply, ReplyCache, key_of_request
from recap_assets.captions.servers.batches.client import (
    BatchClient,
    BatchState,
    BusyError,
    GoneError,
)
from recap_assets.captions.servers.batches.lines import (
    RequestFile,
    Result,
    request_line,
    result_in,
)
from recap_assets.captions.servers.batches.pending import PendingBatch, PendingBatches
from recap_assets.captions.servers.client import IMAGE_REFUSED, said_in
from recap_assets.captions.servers.replies import caption_of
from recap_assets.captions.servers.spec import ServerSpec
from recap_assets.engines.errors import CaptionServerError
from recap_assets.engines.protocols import Usage
from recap_assets.untrusted.errors import UntrustedError

_log = logging.getLogger(__name__)

FIRST_POLL = 5.0
LONGEST_POLL = 120.0
"""Seconds between two looks at a batch; each pause is half as long again as the last."""

FULL_PAUSE = 600.0
"""Seconds until a batch for which a provider's queue had no room is begun again."""

LONGEST_WAIT = 30 * 3_600.0
"""Seconds from the upload to the end of a batch: the provider promises a day."""

_TELL_SECONDS = 60.0
_COLLECT_ATTEMPTS = 3
_ENDED = frozenset({"completed", "expired", "cancelled"})
_FULL = "token_limit_exceeded"
"""OpenAI's code where too many tokens wait in its queue already."""


@dataclass
class Round:
    """What one round of asking came to.

    Attributes:
        n_answered: Requests with a reply.
        unanswered: Requests to be asked again.
        said: What was said of the last that was not answered, for people.
    """

    n_answered: int
    unanswered: int
    said: str


class BatchAsking:
    """Puts requests into files, has them answered, and keeps the replies; in one event loop.

    Args:
        source: Provider, key and attempts.
        cache: Where replies are kept.
        pending: Where batches are kept.
        usage: Where requests and tokens are counted.

    Raises:
        CaptionServerError: The environment has no such key.
    """

    def __init__(
        self, source: ServerSpec, cache: ReplyCache, pending: PendingBatches, usage: Usage
    ) -> None:
        self._source, self._cache, self._pending, self._usage = source, cache, pending, usage
        self._client = BatchClient(source)
        self.failed: dict[bytes, tuple[str, str]] = {}
        """Reason and words of the requests that the provider refused, by their keys."""
        self.collected: set[bytes] = set()
        """Requests that were answered since this was made: they are paid for, and no cache hits."""
        self._file = RequestFile()
        self._batches = {one.file_id: one for one in pending.at(source.addresses[0])}
        self._batch_of = {key: one.file_id for one in self._batches.values() for key in one.keys}
        self._wanted: set[bytes] = set()
        self._asked: Counter[bytes] = Counter()
        self._not_before: dict[str, float] = {}
        self._told_at = 0.0

    async def add(self, body: bytes) -> None:
        """Ask for one thing, unless that is answered, failed or pending."""
        key = key_of_request(body)
        if key in self._wanted or key in self.failed or self._cache.get(key) is not None:
            return
        self._wanted.add(key)
        if key in self._batch_of:
            return
        line = request_line(key, body)
        if not self._file.takes(line):
            await self._send()
        if not self._file.takes(line):
            self.failed[key] = ("request_refused", "the request alone is larger than a batch")
            return
        self._file.add(key, line)
        self._usage.requests += 1
        self._asked[key] += 1
        self._usage.retries += self._asked[key] > 1

    async def finish(self, progress: Callable[[float], None]) -> Round:
        """Wait until all that was added is answered, refused or given back.

        Args:
            progress: Called with the share that is done.

        Raises:
            CaptionServerError: A batch was refused or cancelled, or is not done in time.
        """
        await self._send()
        n_before = len(self.collected)
        waiting = [one for one in self._batches.values() if one.keys & self._wanted]
        said = await self._all_ended(waiting, progress)
        unanswered = len(self._wanted)
        self._wanted.clear()
        return Round(len(self.collected) - n_before, unanswered, said)

    async def close(self) -> None:
        """Close the connections and files."""
        self._file.close()
        await self._client.close()
        self._pending.close()

    async def _send(self) -> None:
        """Upload what was added, and have it begun."""
        file, self._file = self._file, RequestFile()
        try:
            if not file.keys:
                return
            file_id = await self._client.upload(file)
        finally:
            file.close()
        # From here on a kill loses nothing: the batch of a file is found by the file's name.
        one = self._pending.add(self._source.addresses[0], file_id, file.keys)
        self._batches[file_id] = one
        self._batch_of.update(dict.fromkeys(file.keys, file_id))
        await self._state_of(one)
        _log.info("%s: a batch of %d requests is begun", self._source.server_name, len(one.keys))

    async def _all_ended(
        self, waiting: list[PendingBatch], progress: Callable[[float], None]
    ) -> str:
        """Wait for batches and collect each as it ends; what is said of requests without a reply.

        What is wrong with one is raised when the others are collected.
        """
        said, pause, states = "", FIRST_POLL, dict[str, BatchState]()
        wrong: CaptionServerError | None = None
        left = list(waiting)
        while left:
            for one in list(left):
                try:
                    more = await self._looked_at(self._batches[one.file_id], states)
                except CaptionServerError as error:
                    more, wrong = str(error), wrong or error
                if more is not None:
                    said = more or said
                    left.remove(one)
            self._tell(waiting, states, progress)
            if left:
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, LONGEST_POLL)
        if wrong is not None:
            raise wrong
        return said

    async def _looked_at(self, one: PendingBatch, states: dict[str, BatchState]) -> str | None:
        """Collect a batch if it has ended; what is said then, None while it has not.

        Raises:
            CaptionServerError: It was refused or cancelled, or is not done in time.
        """
        if time.monotonic() < self._not_before.get(one.file_id, 0.0):
            return None
        try:
            state = states[one.file_id] = await self._state_of(one)
        except GoneError as error:
            self._forget(one)
            return str(error)
        name = f"{self._source.server_name}: the batch {state.batch_id}"
        if state.status in _ENDED:
            said = await self._collected(one, state)
            self._forget(one)
            if state.status == "cancelled":
                msg = f"{name} was cancelled there. What it had answered is kept: build again to "
                raise CaptionServerError(f"{msg}ask for the rest")
            return said
        if state.status == "failed" and _FULL not in state.said:
            self._forget(one)
            msg = f"{name} is refused: {state.said or 'no reason is given'}. Nothing was answered"
            raise CaptionServerError(msg)
        if time.time() - one.began > LONGEST_WAIT:
            msg = f"{name} is {state.status} after {LONGEST_WAIT / 3_600:g} hours. It is kept: "
            raise CaptionServerError(f"{msg}build again to wait on")
        if state.status == "failed":
            self._begin_later(one)
        return None

    async def _state_of(self, one: PendingBatch) -> BatchState:
        if one.batch_id is not None:
            return await self._client.state(one.batch_id)
        state = await self._client.begun(one.file_id)
        self._name(one, state.batch_id)
        return state

    def _name(self, one: PendingBatch, batch_id: str | None) -> None:
        self._pending.name(one, batch_id)
        self._batches[one.file_id] = replace(one, batch_id=batch_id)

    def _begin_later(self, one: PendingBatch) -> None:
        """Have another batch made of a file when the provider's queue has room again."""
        _log.info("%s: its queue is full; a batch waits", self._source.server_name)
        self._not_before[one.file_id] = time.monotonic() + FULL_PAUSE
        self._name(one, None)

    def _forget(self, one: PendingBatch) -> None:
        self._pending.remove(one)
        self._batches.pop(one.file_id, None)
        for key in one.keys:
            self._batch_of.pop(key, None)

    async def _collected(self, one: PendingBatch, state: BatchState) -> str:
        """Keep the replies of a batch; what is said of the last request without one.

        Raises:
            CaptionServerError: The results cannot be read, or no request would be answered.
        """
        left, said = set(one.keys), f"the batch {state.batch_id} is {state.status} without a reply"
        share = max(time.time() - one.began, 0.0) / max(len(one.keys), 1)
        for file_id in state.results:
            for attempt in range(1, _COLLECT_ATTEMPTS + 1):
                try:
                    said = await self._read(file_id, left, share) or said
                    break
                except GoneError as error:
                    said = str(error)
                    break
                except (httpx2.RequestError, TimeoutError, BusyError, UntrustedError) as error:
                    if attempt == _COLLECT_ATTEMPTS:
                        raise self._not_collected(state, error) from error
                    await asyncio.sleep(FIRST_POLL * attempt)
        return said

    def _not_collected(self, state: BatchState, error: Exception) -> CaptionServerError:
        return CaptionServerError(
            f"{self._source.server_name}: the results of the batch {state.batch_id} cannot be read "
            f"({type(error).__name__}: {error}). They are kept there: build again to collect them"
        )

    async def _read(self, file_id: str, left: set[bytes], seconds: float) -> str:
        said = ""
        async with aclosing(self._client.lines(file_id)) as lines:
            async for line in lines:
                result = result_in(line)
                # Only what this batch was asked may be answered by it, and once.
                if result is not None and result.key in left:
                    said = self._take(result, left, seconds) or said
        return said

    def _take(self, result: Result, left: set[bytes], seconds: float) -> str:
        """Keep one result; what is said of it where it is no reply."""
        said = f"{result.status}: {said_in(result.said)}"
        if result.status in IMAGE_REFUSED:
            left.discard(result.key)
            return self._fail(result.key, "request_refused", said)
        if result.status != httpx2.codes.OK:
            # It stays unanswered and is asked again. `Asking` proves whether anything would be.
            return said
        left.discard(result.key)
        caption = caption_of(result.body, seconds)
        self._usage.prompt_tokens += caption.n_prompt_tokens or 0
        self._usage.completion_tokens += caption.n_tokens or 0
        if caption.status == "error":
            return self._fail(result.key, caption.reason or "error", said)
        self._cache.put(result.key, KeptReply(result.body, seconds))
        self._wanted.discard(result.key)
        self.collected.add(result.key)
        return ""

    def _fail(self, key: bytes, reason: str, said: str) -> str:
        self.failed[key] = (reason, said)
        self._wanted.discard(key)
        return said

    def _tell(
        self,
        waiting: list[PendingBatch],
        states: dict[str, BatchState],
        progress: Callable[[float], None],
    ) -> None:
        """Say how far the batches are."""
        n_all = sum(len(one.keys) for one in waiting)
        of_each = (
            len(one.keys) if states[one.file_id].status in _ENDED else states[one.file_id].n_done
            for one in waiting
            if one.file_id in states
        )
        done = min(sum(of_each) / max(n_all, 1), 1.0)
        progress(done)
        now = time.monotonic()
        if now - self._told_at < _TELL_SECONDS or done >= 1:
            return
        self._told_at = now
        _log.info("%s: %s", self._source.server_name, _in_words(waiting, done, n_all))


def _in_words(waiting: list[PendingBatch], done: float, n_all: int) -> str:
    """How far batches are, and how long they will take at the pace that they had."""
    took = time.time() - min(one.began for one in waiting)
    left = f", about {took / done * (1 - done) / 60:,.0f} minutes left" if done else ""
    return f"{done * n_all:,.0f} of {n_all:,} requests in {len(waiting)} batches are done{left}"
