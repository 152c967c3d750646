"""Texts rewritten by a server that speaks OpenAI's chat completions, a request an image."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from recap_assets.captions.reply_cache import ReplyCache
from recap_assets.captions.rewriters.kind import RewriteTask
from recap_assets.captions.rewriters.kinds.openai.spec import OpenAIRewriterSpec
from recap_assets.captions.servers.asking import (
    Asking,
    Bodies,
    Plain,
    Wanted,
    opened_with_cache,
)
from recap_assets.captions.servers.requests import chat_body
from recap_assets.engines.protocols import Caption

_UNANSWERED = "rewrites nothing, not even plain words"


class ServerRewriter(Asking):
    """Asks for each image and candidate, see `Asking`; no request has texts of two images.

    Args:
        source: Server, system message, decoding and limits.
        task: Prompt and candidates.
        cache: Where replies are kept; None keeps none.

    Raises:
        CaptionServerError: The environment has no such key.
    """

    def __init__(
        self, source: OpenAIRewriterSpec, task: RewriteTask, cache: ReplyCache | None
    ) -> None:
        self._by, self._task = source, task
        plain = partial(self._body, dict.fromkeys(task.reads, "a photo of a dog"), bytes(16), 0)
        super().__init__(source, cache, Plain(plain, _UNANSWERED))

    def rewrite(
        self, inputs: Sequence[Mapping[str, str]], uids: Sequence[bytes]
    ) -> list[list[Caption]]:
        """Write for each image its candidates, in order.

        Raises:
            CaptionServerError: The server is lost, or would answer nothing that is asked.
        """
        return self.submit(inputs, uids).result()

    def submit(
        self, inputs: Sequence[Mapping[str, str]], uids: Sequence[bytes]
    ) -> Future[list[list[Caption]]]:
        """Begin to write; further batches may be begun before the first is through."""
        return self.begin(self._wanted(inputs, uids), self._task.candidates)

    def announce_texts(self, inputs: Sequence[Mapping[str, str]], uids: Sequence[bytes]) -> None:
        """Put the requests for some images' texts into a provider's batches, for `collect`.

        Raises:
            CaptionServerError: The provider does not take them.
        """
        self.announce(self._wanted(inputs, uids), self._task.candidates)

    def _wanted(self, inputs: Sequence[Mapping[str, str]], uids: Sequence[bytes]) -> list[Wanted]:
        pairs = zip(inputs, uids, strict=True)
        return [Wanted(uid, partial(self._prepared, texts, uid)) for texts, uid in pairs]

    async def _prepared(self, texts: Mapping[str, str], uid: bytes) -> Bodies:
        return partial(self._body, texts, uid)

    def _body(self, texts: Mapping[str, str], uid: bytes, candidate: int) -> bytes:
        return chat_body(self._by, self._task.asked(texts), uid, candidate, self._by.system)


def load_server_rewriter(
    source: OpenAIRewriterSpec, task: RewriteTask, replies: Path | None
) -> ServerRewriter:
    """A rewriter behind a server; nothing is asked of it yet.

    Args:
        source: Server, system message, decoding and limits.
        task: Prompt and candidates.
        replies: File of the replies that are kept; None keeps none.

    Raises:
        CaptionServerError: The environment has no such key, or the file cannot be used.
    """
    return opened_with_cache(source, replies, lambda cache: ServerRewriter(source, task, cache))
