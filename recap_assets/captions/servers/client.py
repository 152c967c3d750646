"""Asking a captioning server: attempts, pauses, and when to give up.

The client is httpx2, which the model libraries bring with them (through huggingface_hub), and not
the `openai` package: its retries know neither that all requests of a server share one pause, nor
when a server is lost, and the key of the cache is made of the bytes that are sent.
"""

import asyncio
import json
import logging
import math
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

from recap_assets.captions.served import is_local
from recap_assets.captions.servers.addresses import Address, Addresses
from recap_assets.captions.servers.bodies import ReplyTooLargeError, read_body
from recap_assets.captions.servers.spec import ServerSpec
from recap_assets.engines.errors import CaptionServerError
from recap_assets.engines.protocols import Usage
from recap_assets.untrusted.decoding import decode_text
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_text import parse_json
from recap_assets.untrusted.showing import one_line

_log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
"""Seconds before the second attempt; each further pause is twice as long, and half of it chance."""

PATIENCE = 5.0
"""Seconds beside the pause for which an attempt waits while no address of several answers."""

LONGEST_PAUSE = 60.0
LONGEST_ASKED_PAUSE = 600.0
"""Seconds that a server's Retry-After is followed for."""

SERVER_FAILED = "server_failed"
"""Reason of a request whose attempts were used up."""

MAX_REPLY_BYTES = 8 * 2**20
MAX_ERROR_BYTES = 64 * 2**10
"""Of what comes with another status than 200; what is beyond is not read."""

CONNECT_SECONDS = 10.0
MODELS_SECONDS = 20.0
"""For the list of models, from the first byte asked to the last one read."""

_SAID_CHARACTERS = 300
_TOLD_PAUSE = _TOLD_AGAIN = 10.0
"""Seconds of a pause that is worth a line in the log, and by which it must exceed the last one."""

BUSY = frozenset({408, 409, 425, 429})
NO_SUCH_REQUEST = frozenset({404, 405, 501})
IMAGE_REFUSED = frozenset({400, 413, 415, 422})


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
        reason: `request_refused` (the server will not take this image), `reply_too_large`,
            `reply_unreadable` (its packing), or `server_failed` (the attempts were used up).
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
    """Sends requests to the servers of one model; used in one event loop.

    Args:
        source: Addresses, key, timeout and attempts.
        usage: Where requests and retries are counted.

    Raises:
        CaptionServerError: The environment has no such key.
    """

    def __init__(self, source: ServerSpec, usage: Usage) -> None:
        self._source, self._usage = source, usage
        self._key = source.server_key()
        every = [Address(url, self._client_of(url)) for url in source.addresses]
        self._addresses = Addresses(
            every, source.concurrency, self._check, lambda n: pause_after(n, None)
        )

    async def ask(self, body: bytes, attempts: int | None = None) -> Answer:
        """Send a request until it is answered or its attempts are used up.

        Where the source has several addresses, each attempt goes to the one that is least busy,
        and what one refuses is asked of another before that is believed.

        Args:
            body: The request.
            attempts: How often; as the source says where it is not given.

        Raises:
            RequestFailedError: It came to nothing.
            CaptionServerError: Nothing that is asked of this server would be answered.
        """
        attempts = attempts or self._source.max_attempts
        said, refused_by = "", None
        for attempt in range(1, attempts + 1):
            longest = PATIENCE + pause_after(attempt, None)
            at = await self._addresses.next(longest, refused_by)
            if at is None:
                said = self._addresses.said
                continue
            self._usage.requests += 1
            self._usage.retries += attempt > 1
            try:
                return await self._asked_at(at, body)
            except _Attempt as failed:
                said, pause = failed.said, failed.pause
            except RequestFailedError:
                if refused_by or attempt == attempts or not self._addresses.has_other(at):
                    raise
                refused_by, pause = at, None
            if attempt < attempts and self._addresses.is_sole:
                await asyncio.sleep(pause_after(attempt, pause))
        raise RequestFailedError(SERVER_FAILED, said)

    async def close(self) -> None:
        """Close the connections."""
        await self._addresses.close()

    def _client_of(self, url: str) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            headers=headers_of(self._key),
            timeout=httpx2.Timeout(self._source.timeout_seconds, connect=CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=self._source.concurrency, keepalive_expiry=30),
            trust_env=not is_local(url),
        )

    async def _check(self, at: Address) -> None:
        """See that a server answers, and has the model where it lists its models.

        Raises:
            CaptionServerError: It does not.
        """
        try:
            models = await list_of_models(self._source, at.url, at.http)
        except NoListError:
            return
        if self._source.model not in models:
            listed = ", ".join(models[:8]) or "none"
            msg = f"it serves no {self._source.model}; it lists {listed}"
            raise CaptionServerError(msg)

    async def _asked_at(self, at: Address, body: bytes) -> Answer:
        self._addresses.begun(at)
        try:
            answer = await self._attempt(at, body)
        except _Attempt as failed:
            self._addresses.failed(at, failed.said, failed.pause)
            raise
        except CaptionServerError as error:
            if self._addresses.is_sole:
                raise
            self._addresses.lost(at, str(error))
            if self._addresses.are_lost:
                raise
            raise _Attempt(str(error)) from error
        except RequestFailedError:
            self._addresses.answered(at)
            raise
        finally:
            self._addresses.ended(at)
        self._addresses.answered(at)
        return answer

    async def _attempt(self, at: Address, body: bytes) -> Answer:
        started = time.monotonic()
        url = f"{at.url}/chat/completions"
        try:
            async with (
                asyncio.timeout(self._source.timeout_seconds),
                at.http.stream("POST", url, content=body) as response,
            ):
                content = await _content(response)
        except TimeoutError as error:
            said = f"no answer within {self._source.timeout_seconds:g} s"
            raise _Attempt(said) from error
        except httpx2.RequestError as error:
            raise _Attempt(in_words(error)) from error
        except UntrustedError as error:
            is_large = isinstance(error, ReplyTooLargeError)
            reason = "reply_too_large" if is_large else "reply_unreadable"
            raise RequestFailedError(reason, str(error)) from error
        if response.status_code != httpx2.codes.OK:
            raise self._judged(at, response, content)
        return Answer(content, time.monotonic() - started)

    def _judged(self, at: Address, response: httpx2.Response, content: bytes) -> Exception:
        status = response.status_code
        said = f"{status}: {said_in(content)}"
        if status in IMAGE_REFUSED:
            return RequestFailedError("request_refused", said)
        is_spent = status == 429 and b"insufficient_quota" in content
        if (status in BUSY or status >= 500) and not is_spent:
            return self._busy(at, said, asked_pause(response.headers.get("retry-after", "")))
        name = self._source.server_name_at(at.url)
        msg = f"{name} answers {said}. {advice(response)}"
        return CaptionServerError(msg)

    def _busy(self, at: Address, said: str, asked: float | None) -> _Attempt:
        pause = None if asked is None else min(asked, LONGEST_ASKED_PAUSE)
        if asked is not None and asked > LONGEST_ASKED_PAUSE:
            said += (
                f" (it asks to wait {min(asked, 1e12):,.0f} s; "
                f"no more than {LONGEST_ASKED_PAUSE:g} s are waited at a time)"
            )
        if (
            pause
            and pause >= _TOLD_PAUSE
            and time.monotonic() + pause > at.held_until + _TOLD_AGAIN
        ):
            name = self._source.server_name_at(at.url)
            _log.warning("%s answers %s: waiting %.0f s", name, said, pause)
        return _Attempt(said, pause)


class NoListError(CaptionServerError):
    """A server lists no models, and may have one nevertheless."""


def models_served(source: ServerSpec, url: str | None = None) -> list[str]:
    """Names of the models that the server lists, fit to be shown.

    Args:
        source: Model and key.
        url: One of its addresses; the first where it is not given.

    Raises:
        CaptionServerError: It cannot be reached, does not answer as such a server does, or answers
            without end.
    """
    return asyncio.run(_models_served(source, url or source.addresses[0]))


async def _models_served(source: ServerSpec, url: str) -> list[str]:
    headers = headers_of(source.server_key())
    async with httpx2.AsyncClient(headers=headers, trust_env=not is_local(url)) as http:
        return await list_of_models(source, url, http)


async def list_of_models(source: ServerSpec, url: str, http: httpx2.AsyncClient) -> list[str]:
    """See `models_served`.

    Raises:
        NoListError: It knows no such request.
        CaptionServerError: As there.
    """
    name = source.server_name_at(url)
    try:
        listed = parse_json(await _models_at(source, url, http), MAX_REPLY_BYTES)
        return [one_line(str(model["id"]), 200) for model in listed["data"]]  # type: ignore[index]
    except TimeoutError as error:
        msg = f"{name} has not listed its models within {MODELS_SECONDS:g} s"
        raise CaptionServerError(msg) from error
    except httpx2.TransportError as error:
        msg = f"{name} cannot be reached: {in_words(error)}. {_START}"
        raise CaptionServerError(msg) from error
    except (ValueError, KeyError, TypeError, httpx2.HTTPError) as error:
        why = f" ({error})" if isinstance(error, UntrustedError) else ""
        msg = f"{name} lists no models{why}; is this the address that ends in /v1?"
        raise CaptionServerError(msg) from error


async def _models_at(source: ServerSpec, url: str, http: httpx2.AsyncClient) -> bytes:
    async with (
        asyncio.timeout(MODELS_SECONDS),
        http.stream("GET", f"{url}/models", timeout=CONNECT_SECONDS) as response,
    ):
        if response.status_code != httpx2.codes.OK:
            code = response.status_code
            msg = f"{source.server_name_at(url)} answers {code} to /models. {advice(response)}"
            raise (NoListError if code in NO_SUCH_REQUEST else CaptionServerError)(msg)
        return await _content(response)


async def _content(response: httpx2.Response) -> bytes:
    if response.status_code == httpx2.codes.OK:
        return await read_body(response, MAX_REPLY_BYTES)
    try:
        return await read_body(response, MAX_ERROR_BYTES, cut=True)
    except UntrustedError as error:
        return str(error).encode()


_START = "Start it, for example with `recap serve-captioner --source NAME`"


def headers_of(key: str | None) -> dict[str, str]:
    """Headers of every request. Replies are small, and what is not packed cannot swell."""
    headers = {
        "content-type": "application/json",
        "accept": "application/json",
        "accept-encoding": "identity",
    }
    return headers if key is None else {**headers, "authorization": f"Bearer {key}"}


def said_in(content: bytes) -> str:
    """What a server says is wrong, on one line of about 300 characters, fit to be shown."""
    text = decode_text(content[:MAX_ERROR_BYTES]).text or repr(content[:_SAID_CHARACTERS])
    try:
        said = parse_json(content[:MAX_ERROR_BYTES], MAX_ERROR_BYTES)
    except UntrustedError:
        said = None
    for name in ("error", "message", "detail"):
        if isinstance(said, dict) and said.get(name):
            said = said[name]
    if said is not None:
        text = said if isinstance(said, str) else json.dumps(said)
    return one_line(text, _SAID_CHARACTERS) or "nothing"


def pause_after(attempt: int, asked: float | None) -> float:
    """Seconds before the next attempt, half of them chance; a pause that was asked for is added."""
    longest = FIRST_PAUSE if asked else min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE)
    return longest * random.uniform(0.5, 1)  # noqa: S311 - no secret


def asked_pause(retry_after: str) -> float | None:
    """Seconds that the header asks for, given as a number or as a date; None where neither."""
    value = retry_after.strip()[:100]
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
            seconds = (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
        except (ValueError, OverflowError, TypeError):
            return None
    return None if math.isnan(seconds) else max(seconds, 0.0)


def in_words(error: Exception) -> str:
    """An error of the connection, on one line fit to be shown."""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return one_line(said, _SAID_CHARACTERS)


def advice(response: httpx2.Response) -> str:
    """What to do about a reply that every request would be given."""
    status = response.status_code
    if status in (401, 403):
        return "Name the variable that holds its key by api_key_env"
    if status == 404:
        return "See that base_url ends in /v1 and that model is a name that it lists at /models"
    if response.has_redirect_location:
        to = one_line(response.headers["location"], _SAID_CHARACTERS)
        return f"It points to {to}, where no image and no key is sent; give that as base_url"
    return "Nothing that is asked would be answered"
