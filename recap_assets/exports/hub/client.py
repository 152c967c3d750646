"""The Hub's own library within bounds: of replies, of waits, of what it says when it fails."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import constants, set_client_factory
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)
from huggingface_hub.utils._http import default_client_factory

from recap_assets.captions.servers.bodies import unpacker
from recap_assets.exports.hub.target import HubError, Target
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.showing import one_line

MAX_REPLY_BYTES = 64 * 2**20
"""A page of a listing has a thousand files, and a megabyte at most."""

MAX_PAGES = 5_000
MAX_WAIT_SECONDS = 300
"""The Hub counts requests in windows of five minutes."""

REPLY_SECONDS = 300
CONNECT_SECONDS = 30
_ADVICE = {
    401: "the token is not accepted: `hf auth login`, or set HF_TOKEN to one that is valid",
    402: "the plan of its owner does not allow it, as for private storage beyond its quota",
    403: "the token has no right to write there: one of its owner with the right to write does",
    404: "there is no such repository or branch, or the token may not see it",
    409: "something else changes it at this time: run the same again",
    412: "something else was pushed there in between: run the same again, it compares once more",
    413: "it is larger than the Hub takes: give the export fewer samples in a shard",
    429: "too many requests: run the same again later, it continues",
    507: "the storage of its owner is full",
}


_LIBRARY = Path(huggingface_hub.__file__).parent


class _BoundedSend:
    """Sends as a client does, with bounds on what a server may make it read and wait.

    The library's client is one of httpx or of httpx2, by its version: both are used alike.
    """

    def __init__(self, send: Callable[..., Any]) -> None:
        self._send = send
        self._n_pages = 0

    def __call__(self, request: Any, **options: Any) -> Any:  # noqa: ANN401 - see above
        """The reply, read as a whole.

        Raises:
            HubError: The reply or the wait that it asks for is too long, or so is a listing.
        """
        if "/tree/" in request.url.path:
            self._n_pages += 1
            if self._n_pages > MAX_PAGES:
                msg = f"the server lists more than {MAX_PAGES:,} pages of files"
                raise HubError(msg)
        came = self._send(request, **{**options, "stream": True})
        try:
            content = _body(came)
        except UntrustedError as error:
            msg = f"the server gave {error}"
            raise HubError(msg) from error
        finally:
            came.close()
        _refuse_long_wait(came)
        kept = {"content-encoding", "content-length", "transfer-encoding"}
        headers = [(name, value) for name, value in came.headers.multi_items() if name not in kept]
        reply = type(came)
        return reply(came.status_code, headers=headers, content=content, request=came.request)


def _bounded_client() -> Any:  # noqa: ANN401 - of httpx or httpx2
    client = default_client_factory()
    client.headers["accept-encoding"] = "gzip, deflate"
    client.timeout = (CONNECT_SECONDS, REPLY_SECONDS, REPLY_SECONDS, REPLY_SECONDS)
    client.send = _BoundedSend(client.send)
    return client


def _body(response: Any) -> bytes:  # noqa: ANN401 - of httpx or httpx2
    unpack = unpacker(response.headers.get("content-encoding", ""))
    content, n_came = bytearray(), 0
    for piece in response.iter_raw():
        n_came += len(piece)
        content += unpack(piece, MAX_REPLY_BYTES - len(content) + 1)
        if max(n_came, len(content)) > MAX_REPLY_BYTES:
            msg = f"a reply of more than {MAX_REPLY_BYTES >> 20} MiB"
            raise UntrustedError(msg)
    return bytes(content)


def _refuse_long_wait(response: Any) -> None:  # noqa: ANN401 - of httpx or httpx2
    """The library waits for as long as it is asked to."""
    asked = [response.headers.get("retry-after", ""), response.headers.get("ratelimit", "")]
    seconds = [part.strip().removeprefix("t=") for text in asked for part in text.split(";")]
    longest = max((int(text[:12]) for text in seconds if text.isdecimal()), default=0)
    if response.status_code >= 400 and longest > MAX_WAIT_SECONDS:
        msg = f"the server asks to wait {longest:,} seconds: run the same again then, it continues"
        raise HubError(msg)


@contextmanager
def bounded_library() -> Iterator[list[str]]:
    """The library with bounded clients and without bars; the list is of what it warned of."""
    had_bars = not are_progress_bars_disabled()
    notes: list[str] = []
    set_client_factory(_bounded_client)
    disable_progress_bars()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield notes
        of_library = [one for one in caught if Path(one.filename).is_relative_to(_LIBRARY)]
        notes += [one_line(str(one.message), 500) for one in of_library]
    finally:
        set_client_factory(default_client_factory)
        if had_bars:
            enable_progress_bars()


@contextmanager
def asking(target: Target, what: str) -> Iterator[None]:
    """Around calls of the library: what it raises becomes an error of ours.

    Raises:
        HubError: A call failed.
    """
    try:
        yield
    except Exception as error:  # whatever the library makes of a hostile reply
        msg = f"{target}: {what} failed: {_in_words(error)}"
        raise HubError(msg) from error


def _in_words(error: BaseException) -> str:
    """Why, by the first cause that says it, and what to do."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, HubError):
            return str(cause)
        if isinstance(cause, HfHubHTTPError):
            return _of_status(cause)
        if isinstance(cause, OfflineModeIsEnabled):
            return "HF_HUB_OFFLINE forbids to reach it"
        if any(kind.__name__ == "TransportError" for kind in type(cause).__mro__):
            advice = "run the same again, it continues"
            return f"{_endpoint()} cannot be reached ({_said(cause)}): {advice}"
        cause = cause.__cause__
    hint = "" if constants.HF_HUB_DISABLE_XET else _WITHOUT_XET
    return f"{_said(error)}{hint}"


_WITHOUT_XET = (
    ". Where the server has no Xet storage, as a mirror of one's own, set HF_HUB_DISABLE_XET=1"
)


def _of_status(error: HfHubHTTPError) -> str:
    status = error.response.status_code
    advice = _ADVICE.get(status, "run the same again, it continues")
    said = f" ({one_line(error.server_message, 300)})" if error.server_message else ""
    return f"{_endpoint()} answers {status}{said}: {advice}"


def _said(error: BaseException) -> str:
    return one_line(f"{type(error).__name__}: {error}", 300)


def _endpoint() -> str:
    return one_line(constants.ENDPOINT, 200)
