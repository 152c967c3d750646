"""A provider's files and batches over HTTP: attempts, bounds, and nothing believed."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2

from recap_assets.captions.served import is_local
from recap_assets.captions.servers.batches.lines import RequestFile, lines_of
from recap_assets.captions.servers.bodies import read_body, unpacker
from recap_assets.captions.servers.client import (
    BUSY,
    CONNECT_SECONDS,
    LONGEST_ASKED_PAUSE,
    MAX_ERROR_BYTES,
    MAX_REPLY_BYTES,
    NO_SUCH_REQUEST,
    advice,
    asked_pause,
    headers_of,
    in_words,
    pause_after,
    said_in,
)
from recap_assets.captions.servers.spec import ServerSpec
from recap_assets.engines.errors import CaptionServerError
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_text import parse_json
from recap_assets.untrusted.showing import one_line

T = TypeVar("T")

CALL_SECONDS = 120.0
TRANSFER_SECONDS = 3_600.0
"""For a file, from the first byte to the last."""

MOST_RESULT_BYTES = 4 * 2**30
"""Of a file of results, as it comes and unpacked."""

MOST_PAGES = 50
"""Of a hundred batches each that are looked through for one."""

_IDS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,255}")
_CODES = 3
"""Errors of a batch that are repeated to the user."""


@dataclass(frozen=True)
class BatchState:
    """What a provider says of a batch.

    Attributes:
        batch_id: Its name.
        file_id: Name of the file with its requests.
        status: As OpenAI documents them, from `validating` to `completed`.
        n_done: Requests that are done, failed ones included.
        n_all: All of them.
        results: Names of the files with its results.
        said: What it says is wrong with the batch as a whole, for people.
    """

    batch_id: str
    file_id: str
    status: str
    n_done: int = 0
    n_all: int = 0
    results: tuple[str, ...] = ()
    said: str = ""


class GoneError(CaptionServerError):
    """The provider does not know what is asked for."""


class BatchClient:
    """Talks to one provider; used in one event loop.

    Args:
        source: Address, key and attempts.

    Raises:
        CaptionServerError: The environment has no such key.
    """

    def __init__(self, source: ServerSpec) -> None:
        (self._url,) = source.addresses
        self._source = source
        headers = headers_of(source.server_key())
        del headers["content-type"]  # of an upload it has the boundary in it
        self._http = httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(CALL_SECONDS, connect=CONNECT_SECONDS),
            trust_env=not is_local(self._url),
        )

    async def upload(self, file: RequestFile) -> str:
        """Upload requests; the file's name.

        Raises:
            CaptionServerError: The provider does not take it.
        """

        async def attempt() -> str:
            file.content.seek(0)
            sent = {"file": ("recap.jsonl", file.content, "application/jsonl")}
            found = await self._call(
                "POST", "/files", seconds=TRANSFER_SECONDS, files=sent, data={"purpose": "batch"}
            )
            return _id_in(found.get("id"))

        return await self._tried(attempt)

    async def begun(self, file_id: str) -> BatchState:
        """The batch of an uploaded file, made where there is none yet: one, however often asked.

        Raises:
            GoneError: The file is gone.
            CaptionServerError: The provider makes no batch of it.
        """

        async def attempt() -> BatchState:
            # The reply to an earlier attempt may have been lost, and a batch is paid for.
            if (found := await self._found(file_id)) is not None:
                return found
            asked = {
                "input_file_id": file_id,
                "endpoint": "/v1/chat/completions",
                "completion_window": "24h",
            }
            return _state_in(await self._call("POST", "/batches", json=asked))

        return await self._tried(attempt)

    async def state(self, batch_id: str) -> BatchState:
        """How far a batch is.

        Raises:
            GoneError: There is no such batch.
            CaptionServerError: The provider does not say.
        """

        async def attempt() -> BatchState:
            return _state_in(await self._call("GET", f"/batches/{batch_id}"))

        return await self._tried(attempt)

    async def lines(self, file_id: str) -> AsyncGenerator[bytes]:
        """The lines of a file of results; it ends early where the connection does.

        Raises:
            GoneError: There is no such file.
            UntrustedError: It is larger than anything that is taken, or its packing is damaged.
        """
        url = f"{self._url}/files/{file_id}/content"
        async with (
            asyncio.timeout(TRANSFER_SECONDS),
            self._http.stream("GET", url) as response,
        ):
            await self._refuse_errors(response, f"/files/{file_id}/content")
            async for line in lines_of(_pieces_of(response)):
                yield line

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _found(self, file_id: str) -> BatchState | None:
        after: dict[str, str] = {}
        for _ in range(MOST_PAGES):
            try:
                page = await self._call("GET", "/batches", params={"limit": "100", **after})
            except GoneError:
                return None  # not every provider lists them
            listed = page.get("data")
            states = [_state_in(one) for one in listed] if isinstance(listed, list) else []
            for state in states:
                if state.file_id == file_id and state.status != "failed":
                    return state
            if not states or page.get("has_more") is not True:
                return None
            after = {"after": states[-1].batch_id}
        return None

    async def _call(
        self,
        method: str,
        path: str,
        seconds: float = CALL_SECONDS,
        **content: Any,  # noqa: ANN401 - of httpx2
    ) -> dict[str, object]:
        async with (
            asyncio.timeout(seconds),
            self._http.stream(method, f"{self._url}{path}", **content) as response,
        ):
            await self._refuse_errors(response, path)
            found = parse_json(await read_body(response, MAX_REPLY_BYTES), MAX_REPLY_BYTES)
        if not isinstance(found, dict):
            msg = "a reply that is no JSON object"
            raise UntrustedError(msg)
        return found

    async def _refuse_errors(self, response: httpx2.Response, path: str) -> None:
        status = response.status_code
        if status == httpx2.codes.OK:
            return
        try:
            said = said_in(await read_body(response, MAX_ERROR_BYTES, cut=True))
        except UntrustedError as error:
            said = str(error)
        msg = f"{self._source.server_name} answers {status} to {path}: {said}"
        if status in BUSY or status >= 500:
            raise BusyError(msg, asked_pause(response.headers.get("retry-after", "")))
        if status in NO_SUCH_REQUEST and path != "/files":
            raise GoneError(msg)
        raise CaptionServerError(f"{msg}. {advice(response)}")

    async def _tried(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """What an attempt gives, after pauses where the provider is busy or away.

        Raises:
            CaptionServerError: All attempts came to nothing.
        """
        said = ""
        for number in range(1, self._source.max_attempts + 1):
            asked = None
            try:
                return await attempt()
            except BusyError as busy:
                said, asked = str(busy), busy.pause
            except (httpx2.RequestError, TimeoutError) as error:
                said = f"{self._source.server_name} cannot be reached: {in_words(error)}"
            except UntrustedError as error:
                said = f"{self._source.server_name} answers with {error}"
            if number < self._source.max_attempts:
                await asyncio.sleep(
                    pause_after(number, asked) + min(asked or 0.0, LONGEST_ASKED_PAUSE)
                )
        msg = f"{said}. What was uploaded and begun there is kept: build again to go on with it"
        raise CaptionServerError(msg)


class BusyError(Exception):
    """An attempt that another may follow.

    Attributes:
        pause: Seconds that the provider asks to wait; None where it does not.
    """

    def __init__(self, said: str, pause: float | None) -> None:
        super().__init__(said)
        self.pause = pause


async def _pieces_of(response: httpx2.Response) -> AsyncIterator[bytes]:
    unpack = unpacker(response.headers.get("content-encoding", ""))
    n_came = n_unpacked = 0
    async for piece in response.aiter_raw():
        unpacked = unpack(piece, MOST_RESULT_BYTES - n_unpacked + 1)
        n_came, n_unpacked = n_came + len(piece), n_unpacked + len(unpacked)
        if max(n_came, n_unpacked) > MOST_RESULT_BYTES:
            msg = f"results of more than {MOST_RESULT_BYTES / 2**30:g} GiB"
            raise UntrustedError(msg)
        yield unpacked


def _id_in(value: object) -> str:
    """A name as the provider gives them; it becomes part of an address.

    Raises:
        UntrustedError: It is none.
    """
    if not isinstance(value, str) or _IDS.fullmatch(value) is None:
        msg = f"a reply with {one_line(repr(value), 80)} where a name should be"
        raise UntrustedError(msg)
    return value


def _state_in(found: object) -> BatchState:
    if not isinstance(found, dict):
        msg = "a batch that is no JSON object"
        raise UntrustedError(msg)
    counts = found.get("request_counts")
    n = [_count_in(counts, name) for name in ("completed", "failed", "total")]
    files = (found.get("output_file_id"), found.get("error_file_id"))
    return BatchState(
        batch_id=_id_in(found.get("id")),
        file_id=_id_in(found.get("input_file_id")),
        status=one_line(str(found.get("status")), 40),
        n_done=n[0] + n[1],
        n_all=n[2],
        results=tuple(_id_in(one) for one in files if one),
        said=_said_of(found.get("errors")),
    )


def _count_in(counts: object, name: str) -> int:
    value = counts.get(name) if isinstance(counts, dict) else None
    return min(value, 10**9) if type(value) is int and value > 0 else 0


def _said_of(errors: object) -> str:
    listed = errors.get("data") if isinstance(errors, dict) else None
    if not isinstance(listed, list):
        return ""
    said = [one_line(json.dumps(one), 200) for one in listed[:_CODES]]
    more = f" (and {len(listed) - _CODES} more)" if len(listed) > _CODES else ""
    return "; ".join(said) + more
