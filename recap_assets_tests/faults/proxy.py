"""A proxy before an object store that answers some requests as failing stores and networks do."""

import http.client
import socket
import struct
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Literal, Self, cast
from urllib.parse import urlsplit

METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")
MOST_BYTES = 64 * 2**20
UPSTREAM_SECONDS = 30.0
PATIENCE = 2.0
"""Seconds after which the tables' reader and writer gives up on a request in these faults."""
_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}

How = Literal["", "500", "503", "late", "dropped", "refused", "ignored"]


@dataclass(frozen=True)
class Trouble:
    """What is done to which requests.

    Attributes:
        how: "500" and "503" answer so; "late" answers after `seconds`; "dropped" breaks the
            connection in the middle of the reply; "refused" answers 501 to a request
            with `condition`, "ignored" hands it on without.
        methods: Requests that count.
        first: The number of the first of them to which it is done; 0: never.
        last: The number of the last one.
        performed: Whether the store has done what was asked before "500", "503" or "dropped".
        seconds: How late the answer is; with "503": what Retry-After says, where it is not 0.
        condition: The header that "refused" and "ignored" are about.
    """

    how: How = ""
    methods: Sequence[str] = METHODS
    first: int = 0
    last: int = 0
    performed: bool = False
    seconds: float = 0.0
    condition: str = "if-none-match"


@dataclass(frozen=True)
class _Reply:
    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""


@dataclass
class Seen:
    """What came by: requests by method, and how many of them had trouble."""

    requests: Counter[str] = field(default_factory=Counter)
    n_matched: int = 0
    n_done: int = 0


class Proxy:
    """Stands before a store as long as the block lasts.

    Args:
        upstream: The store's endpoint, `http://host:port`.
        trouble: What is done.
    """

    def __init__(self, upstream: str, trouble: Trouble) -> None:
        self.trouble = trouble
        self.seen = Seen()
        self.closing = threading.Event()
        self._upstream = urlsplit(upstream).netloc
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """Its own endpoint."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def counted(self) -> Mapping[str, int]:
        """Requests by method."""
        return {method: self.seen.requests[method] for method in METHODS}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def strikes(self, method: str, headers: Mapping[str, str]) -> bool:
        """Count a request; whether it has trouble."""
        trouble = self.trouble
        of_conditions = trouble.how in {"refused", "ignored"}
        matches = method in trouble.methods
        if of_conditions:
            matches = matches and trouble.condition in {name.lower() for name in headers}
        with self._lock:
            self.seen.requests[method] += 1
            self.seen.n_matched += matches
            struck = matches and trouble.first <= self.seen.n_matched <= trouble.last
            self.seen.n_done += struck
        return struck

    def forward(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> _Reply:
        """Have the store do it."""
        connection = http.client.HTTPConnection(self._upstream, timeout=UPSTREAM_SECONDS)
        try:
            # Of one connection each: the server behind is not asked to keep any.
            sent = {k: v for k, v in headers.items() if k.lower() not in _HOP | {"expect"}}
            sent |= {"Content-Length": str(len(body)), "Connection": "close"}
            connection.request(method, path, body, sent)
            found = connection.getresponse()
            kept = [(k, v) for k, v in found.getheaders() if k.lower() not in _HOP]
            if method == "HEAD" and (length := found.getheader("Content-Length")):
                kept.append(("Content-Length", length))
            return _Reply(found.status, kept, found.read())
        finally:
            connection.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    proxy: Proxy

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that is killed breaks its connections."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = UPSTREAM_SECONDS

    def _handle(self) -> None:
        proxy = cast("_Server", self.server).proxy
        headers = dict(self.headers.items())
        body = self._body()
        struck = proxy.strikes(self.command, headers)
        trouble = proxy.trouble if struck else Trouble()
        if trouble.how == "ignored":
            headers = {k: v for k, v in headers.items() if k.lower() != trouble.condition}
        reply = _Reply(500)
        if trouble.how in {"", "late", "ignored"} or trouble.performed or self._reads(trouble):
            reply = proxy.forward(self.command, self.path, headers, body)
        if trouble.how == "late":
            proxy.closing.wait(trouble.seconds)
        if trouble.how == "dropped":
            self._break(reply)
        else:
            self._send(_failed(trouble) or reply)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 - http.server's names

    def _reads(self, trouble: Trouble) -> bool:
        return trouble.how == "dropped" and self.command == "GET"

    def _body(self) -> bytes:
        if self.headers.get("Expect") == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self._exactly(int(self.headers.get("Content-Length", 0)))
        parts: list[bytes] = []
        while n_bytes := int(self.rfile.readline(100).split(b";")[0], 16):
            parts.append(self._exactly(n_bytes))
            self.rfile.readline(100)
        self.rfile.readline(100)
        return b"".join(parts)

    def _exactly(self, n_bytes: int) -> bytes:
        if n_bytes > MOST_BYTES:
            msg = f"a body of {n_bytes} bytes"
            raise ValueError(msg)
        return self.rfile.read(n_bytes)

    def _send(self, reply: _Reply) -> None:
        self._begin(reply)
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def _begin(self, reply: _Reply) -> None:
        self.send_response_only(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        if self.command != "HEAD" and reply.status != http.client.NO_CONTENT:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()

    def _break(self, reply: _Reply) -> None:
        """Send half of the reply's body, where there is one, and reset the connection."""
        if reply.body and self.command == "GET":
            self._begin(reply)
            self.wfile.write(reply.body[: len(reply.body) // 2])
            self.wfile.flush()
        self.close_connection = True
        with suppress(OSError):
            # Closed with this set, a connection is reset rather than ended.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, *_args: object) -> None:
        """Print nothing."""


def _failed(trouble: Trouble) -> _Reply | None:
    """What is answered in the place of the store; None where the store's own reply is."""
    if trouble.how == "500":
        return _error(500, "InternalError", "We encountered an internal error. Please try again.")
    if trouble.how == "503":
        after = [("Retry-After", str(int(trouble.seconds)))] if trouble.seconds else []
        return _error(503, "SlowDown", "Please reduce your request rate.", after)
    if trouble.how == "refused":
        return _error(501, "NotImplemented", "A header you provided is not implemented.")
    return None


def _error(status: int, code: str, text: str, headers: Sequence[tuple[str, str]] = ()) -> _Reply:
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code>'
        f"<Message>{text}</Message></Error>"
    )
    return _Reply(status, [("Content-Type", "application/xml"), *headers], body.encode())
