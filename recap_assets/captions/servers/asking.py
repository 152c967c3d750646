"""Asking a server (vLLM, SGLang and others) for many texts at once, each with its own request."""

import asyncio
import math
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from recap_assets.captions.reply_cache import KeptReply, ReplyCache, key_of_request
from recap_assets.captions.servers.batches.asking import BatchAsking
from recap_assets.captions.servers.batches.pending import PendingBatches
from recap_assets.captions.servers.client import (
    SERVER_FAILED,
    ChatClient,
    RequestFailedError,
    said_in,
)
from recap_assets.captions.servers.replies import caption_of
from recap_assets.captions.servers.spec import ServerSpec
from recap_assets.engines.errors import CaptionServerError
from recap_assets.engines.protocols import Caption, Usage

T = TypeVar("T")

_VAIN_ROUNDS = 3
"""Rounds of batches in a row without any reply after which the rest is given up."""

_PREPARED_AT_ONCE = 64
"""Of what is put into batches, images encoded: the regions or texts of one image may be many."""

BATCHES_FILE = "server_batches.sqlite"
"""Beside the file of replies: the batches that providers work on."""

Bodies = Callable[[int], bytes]
"""From the number of a candidate to the request for it."""


class Wanted(NamedTuple):
    """What is asked for one image, region or pair.

    Attributes:
        uid: The image's, or whatever names what is asked for in an error.
        prepare: Gives the requests; called in the event loop, which it must not hold up.
    """

    uid: bytes
    prepare: Callable[[], Awaitable[Bodies]]


class Plain(NamedTuple):
    """A request that any server answers that can be asked such things at all.

    Attributes:
        body: Gives it.
        unanswered: What to say of a server that does not, behind its name.
    """

    body: Callable[[], bytes]
    unanswered: str


class Asking:
    """Asks for each image and candidate, many at once, from an event loop in a thread of its own.

    What the server refuses, and a reply that is no text, is a caption with the status `error`.
    Whether the request is to blame is proved first, with a plain one: a server that does not answer
    that either is lost, or set up wrongly, and that is an exception. So no image is marked as an
    error because a server died.

    Args:
        source: Server, decoding and limits.
        cache: Where replies are kept; None keeps none.
        plain: The plain request.

    Raises:
        CaptionServerError: The environment has no such key.
    """

    def __init__(self, source: ServerSpec, cache: ReplyCache | None, plain: Plain) -> None:
        self.usage = Usage()
        self._source, self._cache, self._plain = source, cache, plain
        self._client = ChatClient(source, self.usage)
        self._slots = asyncio.Semaphore(source.under_way)
        self._proof = asyncio.Lock()
        self._proved_at = -math.inf
        self._lost: CaptionServerError | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="recap-caption-server", daemon=True
        )
        self._thread.start()
        self._batches: BatchAsking | None = None
        self._n_vain = 0
        self._uids: dict[bytes, bytes] = {}

    def announce(self, wanted: Sequence[Wanted], candidates: int) -> None:
        """Put what will be asked into batches, for `collect`; of a source with `batch: true`.

        Raises:
            CaptionServerError: The provider does not take them.
        """
        self._begin(self._announced(wanted, candidates)).result()

    def collect(self, progress: Callable[[float], None]) -> bool:
        """Wait for the batches, and keep their replies.

        Args:
            progress: Called with the share that is done.

        Returns:
            Whether all is answered or refused. If not, announce everything again: what is answered
            by now is asked no more.

        Raises:
            CaptionServerError: The provider refuses them, or answers nothing that is asked.
        """
        return self._begin(self._collected(progress)).result()

    def begin(self, wanted: Sequence[Wanted], candidates: int) -> Future[list[list[Caption]]]:
        """Begin to ask; the future gives every image's candidates, in order.

        Its result raises CaptionServerError where the server is lost, or would answer nothing.
        """
        return self._begin(self._all(wanted, candidates))

    def close(self) -> None:
        """Give up what is under way, and close connections, the thread and the store."""
        if self._loop.is_closed():
            return
        self._begin(self._stop()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self._cache is not None:
            self._cache.close()

    def _begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _stop(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.close()
        if self._batches is not None:
            await self._batches.close()

    async def _announced(self, wanted: Sequence[Wanted], candidates: int) -> None:
        batches = self._of_batches()
        for start in range(0, len(wanted), _PREPARED_AT_ONCE):
            these = wanted[start : start + _PREPARED_AT_ONCE]
            prepared = await asyncio.gather(*(one.prepare() for one in these))
            for one, body_of in zip(these, prepared, strict=True):
                for candidate in range(candidates):
                    body = body_of(candidate)
                    self._uids[key_of_request(body)] = one.uid
                    await batches.add(body)

    async def _collected(self, progress: Callable[[float], None]) -> bool:
        batches = self._of_batches()
        found = await batches.finish(progress)
        if found.n_answered:
            self._proved_at, self._n_vain = time.monotonic(), 0
        elif found.unanswered or batches.failed:
            # Whether the requests are to blame is proved as it is for those that are asked singly.
            named = next((self._uids.get(key) for key in batches.failed), None) or bytes(16)
            failed = _Outcome(Caption("", "error", reason=SERVER_FAILED), found.said)
            await self._prove(failed, named, since=0.0)
        self._n_vain += not found.n_answered
        return not found.unanswered or self._n_vain >= _VAIN_ROUNDS

    def _of_batches(self) -> BatchAsking:
        if self._batches is None:
            assert self._cache is not None, "a source with `batch: true` has a cache"  # noqa: S101
            pending = PendingBatches(self._cache.path.with_name(BATCHES_FILE))
            self._batches = BatchAsking(self._source, self._cache, pending, self.usage)
        return self._batches

    async def _all(self, wanted: Sequence[Wanted], candidates: int) -> list[list[Caption]]:
        rows: list[list[asyncio.Task[Caption]]] = []
        first: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for uid, prepare in wanted:
                    bodies = group.create_task(_awaited(prepare))
                    each = (self._one(bodies, uid, n) for n in range(candidates))
                    rows.append([group.create_task(one) for one in each])
        except BaseExceptionGroup as errors:
            first = _first(errors)
        if first is not None:
            raise first
        return [[task.result() for task in row] for row in rows]

    async def _one(self, bodies: asyncio.Task[Bodies], uid: bytes, candidate: int) -> Caption:
        body_of = await bodies
        async with self._slots:
            if self._lost is not None:
                raise CaptionServerError(str(self._lost))
            try:
                return await self._asked(body_of(candidate), uid)
            except CaptionServerError as error:
                self._lost = error
                raise

    async def _asked(self, body: bytes, uid: bytes) -> Caption:
        key = key_of_request(body)
        kept = self._cache.get(key) if self._cache is not None else None
        if kept is not None:
            is_new = self._batches is not None and key in self._batches.collected
            self.usage.cache_hits += not is_new
            return caption_of(kept.body, kept.seconds)
        if self._batches is not None:
            reason, _ = self._batches.failed.get(key, (SERVER_FAILED, ""))
            return Caption("", "error", reason=reason)
        outcome = await self._answered(body, key)
        if outcome.caption.reason == SERVER_FAILED:
            await self._prove(outcome, uid, since=time.monotonic())
            # The server may have been away for just as long as the attempts took.
            outcome = await self._answered(body, key, attempts=1)
        if outcome.caption.status == "error":
            is_servers_fault = outcome.caption.reason == SERVER_FAILED
            await self._prove(outcome, uid, since=time.monotonic() if is_servers_fault else 0.0)
        return outcome.caption

    async def _answered(
        self, body: bytes, key: bytes | None, attempts: int | None = None
    ) -> "_Outcome":
        try:
            answer = await self._client.ask(body, attempts)
        except RequestFailedError as failed:
            return _Outcome(Caption("", "error", reason=failed.reason), failed.said)
        caption = caption_of(answer.body, answer.seconds)
        self.usage.prompt_tokens += caption.n_prompt_tokens or 0
        self.usage.completion_tokens += caption.n_tokens or 0
        if caption.status != "error":
            self._proved_at = time.monotonic()
            if self._cache is not None and key is not None:
                self._cache.put(key, KeptReply(answer.body, answer.seconds))
        return _Outcome(caption, said_in(answer.body))

    async def _prove(self, failed: "_Outcome", uid: bytes, since: float) -> None:
        """See that the server answers the plain request, if it answered none since then.

        Raises:
            CaptionServerError: It does not.
        """
        async with self._proof:
            if self._proved_at >= since:
                return
            outcome = await self._answered(self._plain.body(), None, attempts=1)
            if outcome.caption.status == "error":
                msg = (
                    f"{self._source.server_name} {self._plain.unanswered}: "
                    f"{outcome.said} (before that, to image {uid.hex()}: {failed.said}). What it "
                    "answered is kept: see that it runs and takes such requests, then build again"
                )
                raise CaptionServerError(msg)


class _Outcome(NamedTuple):
    """A caption or a failure, and what the server said."""

    caption: Caption
    said: str


async def _awaited(prepare: Callable[[], Awaitable[Bodies]]) -> Bodies:
    return await prepare()


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Of errors raised at once the one that says most: a lost server before what it led to."""
    lost = errors.subgroup(CaptionServerError)
    first: BaseException = lost if lost is not None else errors
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


def opened_with_cache(
    source: ServerSpec, replies: Path | None, make: Callable[[ReplyCache | None], T]
) -> T:
    """What asks a server, with the file of replies where the source wants them kept.

    Args:
        source: The source.
        replies: The file; None keeps none.
        make: Makes what asks; where it fails, the file is closed.

    Raises:
        CaptionServerError: The file cannot be used.
    """
    cache = ReplyCache(replies) if replies is not None and source.cache else None
    try:
        return make(cache)
    except BaseException:
        if cache is not None:
            cache.close()
        raise
