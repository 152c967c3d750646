"""Asking a captioning server: attempts, pauses, and when to give up.

The client is httpx2, which the model libraries bring with them (through huggingface_hub), and not
the `openai` package: its retries know neither that all requests of a server share one pause, nor
when a server is lost, and the key of the cache is made of the bytes that are sent.
"""

import asyncio
import json
import math
import os
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx2

from recap_assets.engines.errors import CaptionServerError
from recap_assets.engines.protocols import Usage
from recap_assets.specs.servers import OpenAISource

FIRST_PAUSE = 1.0
"""Seconds before the second attempt; each further pause is twice as long, and half of it chance."""

LONGEST_PAUSE = 60.0
LONGEST_ASKED_PAUSE = 600.0
"""Seconds that a server's Retry-After is followed for."""

SERVER_FAILED = "server_failed"
"""Reason of a request whose attempts were used up."""

MAX_REPLY_BYTES = 8 * 2**20
CONNECT_SECONDS = 10.0

_SHORTEST_KEY = 8
"""Characters; a shorter one (such as `EMPTY`) is no secret, and may be a word of a caption."""

_BUSY = frozenset({408, 409, 425, 429})
_IMAGE_REFUSED = frozenset({400, 413, 415, 422})


@dataclass(frozen=True)
class Answer:
    """A reply with status 200.

    Attributes:
        body: As it came, but for the key where the server repeats it.
        seconds: What the last attempt took.
    """

    body: bytes
    seconds: float


class RequestFailedError(Exception):
    """One request came to nothing, others may not.

    Attributes:
        reason: `request_refused` (the server will not take this image), `reply_too_large`, or
            `server_failed` (the attempts were used up).
        said: What the server said last, for people.
    """

    def __init__(self, reason: str, said: str) -> None:
        super().__init__(f"{reason}: {said}")
        self.reason, self.said = reason, said


class _Attempt(Exception):  # noqa: N818 - not an error yet
    """An attempt that another may follow."""

    def __init__(self, said: str, pause: float | None = None) -> None:
        super().__init__(said)
        self.said, self.pause = said, pause


class ChatClient:
    """Sends requests to one server; used in one event loop.

    Args:
        source: Address, key, timeout and attempts.
        usage: Where requests and retries are counted.

    Raises:
        CaptionServerError: The environment has no such key.
    """

    def __init__(self, source: OpenAISource, usage: Usage) -> None:
        self._source, self._usage = source, usage
        self._key = key_of(source)
        self._held_until = 0.0
        self._http = httpx2.AsyncClient(
            headers=headers_of(self._key),
            timeout=httpx2.Timeout(source.timeout_seconds, connect=CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=source.concurrency, keepalive_expiry=30),
            trust_env=not is_local(source.base_url),
        )

    async def ask(self, body: bytes, attempts: int | None = None) -> Answer:
        """Send a request until it is answered or its attempts are used up.

        Args:
            body: The request.
            attempts: How often; as the source says where it is not given.

        Raises:
            RequestFailedError: It came to nothing.
            CaptionServerError: Nothing that is asked of this server would be answered.
        """
        attempts = attempts or self._source.max_attempts
        said = ""
        for attempt in range(1, attempts + 1):
            await self._wait_while_held()
            self._usage.requests += 1
            self._usage.retries += attempt > 1
            try:
                return await self._attempt(body)
            except _Attempt as failed:
                self._hold_all(failed.pause)
                said, pause = failed.said, failed.pause
            if attempt < attempts:
                await asyncio.sleep(_pause_after(attempt, pause))
        raise RequestFailedError(SERVER_FAILED, said)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _attempt(self, body: bytes) -> Answer:
        started = time.monotonic()
        url = f"{self._source.base_url}/chat/completions"
        try:
            async with (
                asyncio.timeout(self._source.timeout_seconds),
                self._http.stream("POST", url, content=body) as response,
            ):
                content = self._without_key(await _read(response))
        except TimeoutError as error:
            said = f"no answer within {self._source.timeout_seconds:g} s"
            raise _Attempt(said) from error
        except httpx2.RequestError as error:
            raise _Attempt(_in_words(error)) from error
        if response.status_code != httpx2.codes.OK:
            raise self._judged(response, content)
        return Answer(content, time.monotonic() - started)

    def _judged(self, response: httpx2.Response, content: bytes) -> Exception:
        status = response.status_code
        said = f"{status}: {said_in(content)}"
        if status in _IMAGE_REFUSED:
            return RequestFailedError("request_refused", said)
        is_spent = status == 429 and b"insufficient_quota" in content
        if (status in _BUSY or status >= 500) and not is_spent:
            return _Attempt(said, _asked_pause(response))
        msg = f"{named(self._source)} answers {said}. {_advice(status)}"
        return CaptionServerError(msg)

    def _hold_all(self, seconds: float | None) -> None:
        # Whoever is told to wait makes all others wait, who would be told the same.
        self._held_until = max(self._held_until, time.monotonic() + (seconds or 0.0))

    async def _wait_while_held(self) -> None:
        while (left := self._held_until - time.monotonic()) > 0:
            await asyncio.sleep(left + random.uniform(0, 0.1 * left))  # noqa: S311 - no secret

    def _without_key(self, content: bytes) -> bytes:
        if self._key is None or len(self._key) < _SHORTEST_KEY:
            return content
        return content.replace(self._key.encode(), b"[key]")


def models_served(source: OpenAISource) -> list[str]:
    """Names of the models that the server lists.

    Raises:
        CaptionServerError: It cannot be reached, or does not answer as such a server does.
    """
    key = key_of(source)
    try:
        response = httpx2.get(
            f"{source.base_url}/models",
            headers=headers_of(key),
            timeout=CONNECT_SECONDS,
            trust_env=not is_local(source.base_url),
        )
        if response.status_code != httpx2.codes.OK:
            advice = _advice(response.status_code)
            msg = f"{named(source)} answers {response.status_code} to /models. {advice}"
            raise CaptionServerError(msg)
        return [_shown(str(model["id"])) for model in response.json()["data"]]
    except httpx2.TransportError as error:
        msg = f"{named(source)} cannot be reached: {_in_words(error)}. {_START}"
        raise CaptionServerError(msg) from error
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{named(source)} lists no models; is this the address that ends in /v1?"
        raise CaptionServerError(msg) from error


_START = "Start it, for example with `recap serve-captioner --source NAME`"


def named(source: OpenAISource) -> str:
    """The server in an error's words."""
    return f"the captioning server {source.base_url} (model {source.model})"


def key_of(source: OpenAISource) -> str | None:
    """The key, from the environment variable that the source names; None where it names none.

    Raises:
        CaptionServerError: The variable is not set.
    """
    if source.api_key_env is None:
        return None
    key = os.environ.get(source.api_key_env, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        what = "not set" if not key else "set to what is no key"
        msg = f"{named(source)} wants a key, and the variable {source.api_key_env} is {what}"
        raise CaptionServerError(msg)
    return key


def headers_of(key: str | None) -> dict[str, str]:
    """Headers of every request."""
    headers = {"content-type": "application/json", "accept": "application/json"}
    return headers if key is None else {**headers, "authorization": f"Bearer {key}"}


def is_local(url: str) -> bool:
    """Whether the address is this machine's own: then no proxy of the environment is asked."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def said_in(content: bytes) -> str:
    """What a server says is wrong, on one line of at most 300 printable characters."""
    text = content[:65_536].decode("utf-8", "replace")
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    for name in ("error", "message", "detail"):
        if isinstance(told, dict) and told.get(name):
            told = told[name]
    if told is not None:
        text = told if isinstance(told, str) else json.dumps(told)
    return " ".join(_shown(text).split())[:300] or "nothing"


def _shown(text: str) -> str:
    """The text without control characters: it may end in a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


async def _read(response: httpx2.Response) -> bytes:
    content = bytearray()
    async for piece in response.aiter_bytes():
        content += piece
        if len(content) > MAX_REPLY_BYTES:
            said = f"a reply of more than {MAX_REPLY_BYTES // 2**20} MiB"
            raise RequestFailedError("reply_too_large", said)
    return bytes(content)


def _pause_after(attempt: int, asked: float | None) -> float:
    """Seconds before the next attempt, half of them chance; a pause that was asked for is added."""
    longest = FIRST_PAUSE if asked else min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE)
    return longest * random.uniform(0.5, 1)  # noqa: S311 - no secret


def _asked_pause(response: httpx2.Response) -> float | None:
    """Seconds that Retry-After asks for, given as a number or as a date."""
    value = response.headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        seconds = (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_ASKED_PAUSE)


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _advice(status: int) -> str:
    if status in (401, 403):
        return "Name the variable that holds its key by api_key_env"
    if status == 404:
        return "See that base_url ends in /v1 and that model is a name that it lists at /models"
    return "Nothing that is asked would be answered"
