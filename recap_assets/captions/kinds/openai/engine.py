"""Captions by a server that speaks OpenAI's chat completions (vLLM, SGLang and others)."""

import asyncio
import math
import os
import threading
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from recap_assets.captions.kinds.openai.client import (
    SERVER_FAILED,
    ChatClient,
    RequestFailedError,
    named,
    said_in,
)
from recap_assets.captions.kinds.openai.replies import caption_of
from recap_assets.captions.kinds.openai.requests import request_body, small_jpeg
from recap_assets.captions.kinds.openai.spec import OpenAISpec
from recap_assets.captions.reply_cache import KeptReply, ReplyCache, key_of_request
from recap_assets.engines.errors import CaptionServerError
from recap_assets.engines.protocols import Caption, Image, Usage

T = TypeVar("T")

_PLAIN = np.full((64, 64, 3), 128, np.uint8)

ENCODERS = min(8, os.cpu_count() or 1)
"""Threads that make images small and encode them, ahead of the requests."""


class ServerCaptioner:
    """Asks for each image and candidate, many at once, from an event loop in a thread of its own.

    An image that the server refuses, and a reply that is no caption, is a caption with the status
    `error`. Whether the image is to blame is proved first, with a plain grey one: a server that has
    no caption for that either is lost, or set up wrongly, and that is an exception. So no image is
    marked as an error because a server died.

    Args:
        source: Server, prompt, decoding, image size and limits.
        cache: Where replies are kept; None keeps none.

    Raises:
        CaptionServerError: The environment has no such key.
    """

    def __init__(self, source: OpenAISpec, cache: ReplyCache | None) -> None:
        self.usage = Usage()
        self._source, self._cache = source, cache
        self._client = ChatClient(source, self.usage)
        self._slots = asyncio.Semaphore(source.concurrency)
        self._proof = asyncio.Lock()
        self._proved_at = -math.inf
        self._lost: CaptionServerError | None = None
        self._encoders = ThreadPoolExecutor(ENCODERS, "recap-encode")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="recap-caption-server", daemon=True
        )
        self._thread.start()

    def caption(self, images: Sequence[Image], uids: Sequence[bytes]) -> list[list[Caption]]:
        """Caption each image: for every image its candidates, in order.

        Raises:
            CaptionServerError: The server is lost, or would answer nothing that is asked.
        """
        return self.submit(images, uids).result()

    def submit(self, images: Sequence[Image], uids: Sequence[bytes]) -> Future[list[list[Caption]]]:
        """Begin to caption; further batches may be begun before the first is through."""
        return self._begin(self._caption_all(images, uids))

    def close(self) -> None:
        """Give up what is under way, and close connections, threads and the store."""
        if self._loop.is_closed():
            return
        self._begin(self._stop()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._encoders.shutdown(cancel_futures=True)
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

    async def _caption_all(
        self, images: Sequence[Image], uids: Sequence[bytes]
    ) -> list[list[Caption]]:
        each = range(self._source.candidates)
        rows: list[list[asyncio.Task[Caption]]] = []
        first: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for image, uid in zip(images, uids, strict=True):
                    jpeg = group.create_task(self._encoded(image))
                    rows.append([group.create_task(self._one(jpeg, uid, n)) for n in each])
        except BaseExceptionGroup as errors:
            first = _first(errors)
        if first is not None:
            raise first
        return [[task.result() for task in row] for row in rows]

    async def _encoded(self, image: Image) -> bytes:
        limits = (self._source.max_pixels, self._source.jpeg_quality)
        return await self._loop.run_in_executor(self._encoders, small_jpeg, image, *limits)

    async def _one(self, jpeg: asyncio.Task[bytes], uid: bytes, candidate: int) -> Caption:
        encoded = await jpeg
        async with self._slots:
            if self._lost is not None:
                raise CaptionServerError(str(self._lost))
            body = request_body(self._source, encoded, uid, candidate)
            try:
                caption = await self._asked(body, uid)
            except CaptionServerError as error:
                self._lost = error
                raise
        return caption

    async def _asked(self, body: bytes, uid: bytes) -> Caption:
        key = key_of_request(body)
        kept = self._cache.get(key) if self._cache is not None else None
        if kept is not None:
            self.usage.cache_hits += 1
            return caption_of(kept.body, kept.seconds)
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
        """See that the server has a caption for a plain image, if it had none for any since then.

        Raises:
            CaptionServerError: It has none.
        """
        async with self._proof:
            if self._proved_at >= since:
                return
            jpeg = small_jpeg(_PLAIN, self._source.max_pixels, self._source.jpeg_quality)
            body = request_body(self._source, jpeg, bytes(16), 0)
            outcome = await self._answered(body, None, attempts=1)
            if outcome.caption.status == "error":
                msg = (
                    f"{named(self._source)} captions no image, not even a plain grey one: "
                    f"{outcome.said} (before that, to image {uid.hex()}: {failed.said}). What it "
                    "answered is kept: see that it runs and takes such requests, then build again"
                )
                raise CaptionServerError(msg)


class _Outcome(NamedTuple):
    """A caption or a failure, and what the server said."""

    caption: Caption
    said: str


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Of errors raised at once the one that says most: a lost server before what it led to."""
    lost = errors.subgroup(CaptionServerError)
    first: BaseException = lost if lost is not None else errors
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


def load_server_captioner(source: OpenAISpec, replies: Path | None) -> ServerCaptioner:
    """A captioner behind a server; nothing is asked of it yet.

    Args:
        source: Server, prompt, decoding, image size and limits.
        replies: File of the replies that are kept; None keeps none.

    Raises:
        CaptionServerError: The environment has no such key, or the file cannot be used.
    """
    cache = ReplyCache(replies) if replies is not None and source.cache else None
    try:
        return ServerCaptioner(source, cache)
    except BaseException:
        if cache is not None:
            cache.close()
        raise
