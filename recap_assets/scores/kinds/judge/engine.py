"""Marks of a chat model for image and text, read without trust."""

import asyncio
import base64
import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recap_assets.captions.reply_cache import ReplyCache
from recap_assets.captions.servers.asking import Asking, Bodies, Plain, Wanted, opened_with_cache
from recap_assets.captions.servers.images import ENCODERS, small_jpeg
from recap_assets.captions.servers.requests import chat_body
from recap_assets.engines.protocols import Caption, Image
from recap_assets.scores.kinds.judge.spec import JudgeSpec
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_text import parse_json
from recap_assets.untrusted.prompt_texts import quoted

_PLAIN = np.full((64, 64, 3), 128, np.uint8)
_UNANSWERED = "judges no image, not even a plain grey one"
_NO_MARKS = "reply_without_marks"
_MOST_REPLY = 16_384
"""Characters of a reply that are looked through."""

_NUMBER = re.compile(r"-?\d{1,4}(\.\d{1,6})?")


class Judge(Asking):
    """Asks for the marks of each pair, see `Asking`.

    Args:
        spec: Server, axes, image size and limits.
        cache: Where replies are kept; None keeps none.

    Raises:
        CaptionServerError: The environment has no such key.
    """

    def __init__(self, spec: JudgeSpec, cache: ReplyCache | None) -> None:
        self._spec = spec
        self.unscored: Counter[str] = Counter()
        super().__init__(spec, cache, Plain(self._plain_body, _UNANSWERED))
        self._encoders = ThreadPoolExecutor(ENCODERS, "recap-encode")

    def score(self, images: Sequence[Image], texts: Sequence[str]) -> NDArray[np.float32]:
        """A score for each pair, shape (n,); NaN where there is none.

        Raises:
            CaptionServerError: The server is lost, or would answer nothing that is asked.
        """
        return self.submit(images, texts).result()

    def submit(self, images: Sequence[Image], texts: Sequence[str]) -> Future[NDArray[np.float32]]:
        """Begin to judge; further batches may be begun before the first is through."""
        found: Future[NDArray[np.float32]] = Future()
        asked = self.begin(self._wanted(images, texts), 1)
        asked.add_done_callback(partial(self._hand_on, found))
        return found

    def announce_pairs(self, images: Sequence[Image], texts: Sequence[str]) -> None:
        """Put the requests for some pairs into a provider's batches, for `collect`.

        Raises:
            CaptionServerError: The provider does not take them.
        """
        self.announce(self._wanted(images, texts), 1)

    def _wanted(self, images: Sequence[Image], texts: Sequence[str]) -> list[Wanted]:
        return [
            Wanted(_name_of(text), partial(self._prepared, image, text))
            for image, text in zip(images, texts, strict=True)
        ]

    def close(self) -> None:
        """Give up what is under way, and close connections, threads and the store."""
        super().close()
        self._encoders.shutdown(cancel_futures=True)

    def _hand_on(
        self, found: "Future[NDArray[np.float32]]", asked: "Future[list[list[Caption]]]"
    ) -> None:
        if asked.cancelled():
            found.cancel()
        elif (error := asked.exception()) is not None:
            found.set_exception(error)
        else:
            scores = [self._score(replies[0]) for replies in asked.result()]
            found.set_result(np.array(scores, np.float32))

    def _score(self, reply: Caption) -> float:
        if reply.status in ("error", "refused", "empty"):
            self.unscored[reply.reason or reply.status] += 1
            return float("nan")
        # Marks are no caption: what would be too short for one, or has no words, is what is wanted.
        marks = marks_in(reply.text, self._spec)
        if marks is None:
            self.unscored[_NO_MARKS] += 1
            return float("nan")
        return taken(marks, self._spec)

    async def _prepared(self, image: Image, text: str) -> Bodies:
        loop = asyncio.get_running_loop()
        jpeg = await loop.run_in_executor(self._encoders, self._jpeg, image)
        return lambda _candidate: self._body(jpeg, text)

    def _jpeg(self, image: Image) -> bytes:
        return small_jpeg(image, self._spec.max_pixels, self._spec.jpeg_quality)

    def _plain_body(self) -> bytes:
        return self._body(self._jpeg(_PLAIN), "a grey square")

    def _body(self, jpeg: bytes, text: str) -> bytes:
        url = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
        asked: list[dict[str, object]] = [
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "text", "text": prompt_of(self._spec, text)},
        ]
        return chat_body(self._spec, asked, _name_of(text), 0, self._spec.system)


def _name_of(text: str) -> bytes:
    """16 bytes that only the text decides: a pair is asked for by no uid."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()


def prompt_of(spec: JudgeSpec, text: str) -> str:
    """What is asked of a text, which is cut, cleaned and quoted."""
    axes = "\n".join(f"- {name}: {what}" for name, what in spec.axes.items())
    form = ", ".join(f'"{name}": {spec.lowest}' for name in spec.axes)
    return (
        f"Caption: {quoted(text, spec.longest)}\n"
        f"Mark how it fits the image, from {spec.lowest} (worst) to {spec.highest} (best), on each "
        f"of these:\n{axes}\nAnswer with JSON in this form and nothing else: {{{form}}}"
    )


def marks_in(reply: str, spec: JudgeSpec) -> Mapping[str, float] | None:
    """The mark on each axis; None where one is missing, is no number or is out of bounds.

    The reply is JSON, alone or within other words; of one axis a bare number will do.
    """
    reply = reply[:_MOST_REPLY].strip()
    if len(spec.axes) == 1 and _NUMBER.fullmatch(reply):
        return _within(dict.fromkeys(spec.axes, float(reply)), spec)
    start, end = reply.find("{"), reply.rfind("}")
    try:
        told = parse_json(reply[start : end + 1].encode(), _MOST_REPLY * 4) if start >= 0 else None
    except UntrustedError:
        return None
    if not isinstance(told, dict):
        return None
    found = {name: _number(told.get(name)) for name in spec.axes}
    return _within({name: value for name, value in found.items() if value is not None}, spec)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    written = value.strip() if isinstance(value, str) else ""
    if isinstance(value, str):
        return float(written) if _NUMBER.fullmatch(written) else None
    return float(value)


def _within(marks: Mapping[str, float], spec: JudgeSpec) -> Mapping[str, float] | None:
    fits = all(spec.lowest <= mark <= spec.highest for mark in marks.values())
    return marks if fits and marks.keys() == spec.axes.keys() else None


def taken(marks: Mapping[str, float], spec: JudgeSpec) -> float:
    """The score of some marks, from 0 to 1."""
    match spec.take:
        case "mean":
            mark = sum(marks.values()) / len(marks)
        case "lowest_mark":
            mark = min(marks.values())
        case axis:
            mark = marks[axis]
    return (mark - spec.lowest) / (spec.highest - spec.lowest)


def load_judge(spec: JudgeSpec, replies: Path | None) -> Judge:
    """A judge behind a server; nothing is asked of it yet.

    Args:
        spec: Server, axes, image size and limits.
        replies: File of the replies that are kept; None keeps none.

    Raises:
        CaptionServerError: The environment has no such key, or the file cannot be used.
    """
    return opened_with_cache(spec, replies, lambda cache: Judge(spec, cache))
