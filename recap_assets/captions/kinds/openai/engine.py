"""Captions by a server that speaks OpenAI's chat completions (vLLM, SGLang and others)."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from recap_assets.captions.kinds.openai.requests import request_body
from recap_assets.captions.kinds.openai.spec import OpenAISpec
from recap_assets.captions.reply_cache import ReplyCache
from recap_assets.captions.servers.asking import (
    Asking,
    Bodies,
    Plain,
    Wanted,
    opened_with_cache,
)
from recap_assets.captions.servers.images import ENCODERS, small_jpeg
from recap_assets.engines.protocols import Caption, Image

_PLAIN = np.full((64, 64, 3), 128, np.uint8)
_UNANSWERED = "captions no image, not even a plain grey one"


class ServerCaptioner(Asking):
    """Asks for a caption of each image and candidate, see `Asking`.

    Args:
        source: Server, prompt, decoding, image size and limits.
        cache: Where replies are kept; None keeps none.

    Raises:
        CaptionServerError: The environment has no such key.
    """

    def __init__(self, source: OpenAISpec, cache: ReplyCache | None) -> None:
        self._asked_of = source
        super().__init__(source, cache, Plain(self._plain_body, _UNANSWERED))
        self._encoders = ThreadPoolExecutor(ENCODERS, "recap-encode")

    def caption(
        self,
        images: Sequence[Image],
        uids: Sequence[bytes],
        texts: Sequence[Mapping[str, str]] | None = None,
    ) -> list[list[Caption]]:
        """Caption each image: for every image its candidates, in order.

        Raises:
            CaptionServerError: The server is lost, or would answer nothing that is asked.
        """
        return self.submit(images, uids, texts).result()

    def submit(
        self,
        images: Sequence[Image],
        uids: Sequence[bytes],
        texts: Sequence[Mapping[str, str]] | None = None,
    ) -> Future[list[list[Caption]]]:
        """Begin to caption; further batches may be begun before the first is through."""
        return self.begin(self._wanted(images, uids, texts), self._asked_of.candidates)

    def announce_images(
        self,
        images: Sequence[Image],
        uids: Sequence[bytes],
        texts: Sequence[Mapping[str, str]] | None = None,
    ) -> None:
        """Put the requests for some images into a provider's batches, for `collect`.

        Raises:
            CaptionServerError: The provider does not take them.
        """
        self.announce(self._wanted(images, uids, texts), self._asked_of.candidates)

    def _wanted(
        self,
        images: Sequence[Image],
        uids: Sequence[bytes],
        texts: Sequence[Mapping[str, str]] | None,
    ) -> list[Wanted]:
        prompts = [self._asked_of.asked(one) for one in texts or [{}] * len(images)]
        return [
            Wanted(uid, partial(self._prepared, image, uid, prompt))
            for image, uid, prompt in zip(images, uids, prompts, strict=True)
        ]

    def close(self) -> None:
        """Give up what is under way, and close connections, threads and the store."""
        super().close()
        self._encoders.shutdown(cancel_futures=True)

    async def _prepared(self, image: Image, uid: bytes, prompt: str) -> Bodies:
        jpeg = await asyncio.get_running_loop().run_in_executor(self._encoders, self._jpeg, image)
        return lambda candidate: request_body(self._asked_of, jpeg, uid, candidate, prompt)

    def _jpeg(self, image: Image) -> bytes:
        return small_jpeg(image, self._asked_of.max_pixels, self._asked_of.jpeg_quality)

    def _plain_body(self) -> bytes:
        prompt = self._asked_of.asked(dict.fromkeys(self._asked_of.reads, "something"))
        return request_body(self._asked_of, self._jpeg(_PLAIN), bytes(16), 0, prompt)


def load_server_captioner(source: OpenAISpec, replies: Path | None) -> ServerCaptioner:
    """A captioner behind a server; nothing is asked of it yet.

    Args:
        source: Server, prompt, decoding, image size and limits.
        replies: File of the replies that are kept; None keeps none.

    Raises:
        CaptionServerError: The environment has no such key, or the file cannot be used.
    """
    return opened_with_cache(source, replies, lambda cache: ServerCaptioner(source, cache))
