"""A server on loopback that speaks OpenAI's chat completions as vLLM does, and can be told how."""

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from recap_assets_tests.ports import free_port
from recap_assets_tests.waiting import SECONDS

MODEL = "tiny/vlm"


@dataclass(frozen=True)
class Asked:
    """A request: its JSON, its headers with small letters, and its number from 0."""

    body: Mapping[str, Any]
    headers: Mapping[str, str]
    number: int

    @property
    def jpeg(self) -> bytes:
        parts = self.body["messages"][-1]["content"]
        url = next(part["image_url"]["url"] for part in parts if part["type"] == "image_url")
        return base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))

    @property
    def image(self) -> NDArray[np.uint8]:
        return simplejpeg.decode_jpeg(self.jpeg)

    @property
    def shade(self) -> int:
        """What tells the tests' images apart: their mean grey."""
        return round(float(self.image.mean()))


@dataclass(frozen=True)
class Answer:
    """What is sent back; text and bytes as they are, anything else as JSON."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def said(text: Any, finish: str | None = "stop", **message: Any) -> dict[str, Any]:
    """A reply as vLLM 0.33 writes it."""
    told = {"role": "assistant", "content": text, "refusal": None, "reasoning": None, **message}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "message": told, "logprobs": None, "finish_reason": finish}],
        "usage": {"prompt_tokens": 300, "total_tokens": 307, "completion_tokens": 7},
    }


def refused(message: str, status: int, code: Any = None, **options: Any) -> Answer:
    """An error as vLLM and OpenAI write it."""
    error = {"message": message, "type": "error", "param": None, "code": code or status}
    return Answer({"error": error}, status, **options)


def captioned(asked: Asked) -> Answer:
    """A caption that only the image and the seed decide."""
    return Answer(said(f"a photo of shade {asked.shade} drawn {asked.body.get('seed', 'surely')}"))


def together(n: int) -> Callable[[Asked], Answer]:
    """Captions that come once `n` requests are under way, at one server or at several."""
    met = threading.Barrier(n)

    def wait(asked: Asked) -> Answer:
        met.wait(SECONDS)
        return captioned(asked)

    return wait


class ChatServer:
    """Runs in a thread; `stop` and `start` keep the port and what was asked.

    Attributes:
        answer: Called for each request, in threads.
        asked: Requests, in the order in which they came.
        most_at_once: The largest number of requests that were under way together.
        models: What it lists; None for no list.
    """

    def __init__(self, answer: Callable[[Asked], Answer] = captioned, port: int = 0) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.most_at_once = 0
        self.models: list[str] | None = [MODEL]
        self._at_once = 0
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        # Not one of the system's choice: it is to be there still after `stop`.
        self._port = port or free_port()
        self.start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def start(self) -> None:
        self._http = _Http(self, self._port)
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Die as a killed process does: its connections break."""
        self._http.shutdown()
        self._http.server_close()
        with self._lock:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # the other side was first

    def other(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:  # noqa: ARG002 - of those that know more
        """What is said to any other request."""
        return Answer("Not Found", 404)

    def completed(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
        with self._lock:
            asked = Asked(body, headers, len(self.asked))
            self.asked.append(asked)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            answer = self.answer(asked)
            time.sleep(answer.seconds)
        finally:
            with self._lock:
                self._at_once -= 1
        return answer

    def connected(self, connection: socket.socket, *, now: bool) -> None:
        with self._lock:
            (self._connections.add if now else self._connections.discard)(connection)


Start = Callable[..., ChatServer]

S = TypeVar("S", bound=ChatServer)


@contextmanager
def servers_of(make: Callable[[Callable[[Asked], Answer]], S]) -> Iterator[Callable[..., S]]:
    """What starts servers of a kind, by their `answer`; they are stopped at the block's end."""
    servers: list[S] = []

    def start(answer: Callable[[Asked], Answer] = captioned) -> S:
        servers.append(make(answer))
        return servers[-1]

    try:
        yield start
    finally:
        for server in servers:
            server.stop()


def chat_servers() -> AbstractContextManager[Start]:
    """What starts servers that answer chats."""
    return servers_of(ChatServer)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, owner: ChatServer, port: int) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, *_: object) -> None:
        """A client that leaves in the middle is none of the tests' business."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 2**16
    disable_nagle_algorithm = True
    server: _Http

    def setup(self) -> None:
        super().setup()
        self.server.owner.connected(self.connection, now=True)

    def finish(self) -> None:
        self.server.owner.connected(self.connection, now=False)
        super().finish()

    def do_GET(self) -> None:
        models = self.server.owner.models
        if self.path == "/v1/models" and models is not None:
            self._send(Answer({"object": "list", "data": [{"id": name} for name in models]}))
        elif self.path == "/health":
            self._send(Answer(""))
        else:
            self._send(self.server.owner.other("GET", self.path, self._given, b""))

    def do_POST(self) -> None:
        body = self._body()
        if self.path == "/v1/chat/completions":
            self._send(self.server.owner.completed(json.loads(body), self._given))
        else:
            self._send(self.server.owner.other("POST", self.path, self._given, body))

    @property
    def _given(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _body(self) -> bytes:
        if (length := self.headers["content-length"]) is not None:
            return self.rfile.read(int(length))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, answer: Answer) -> None:
        body = answer.body
        if not isinstance(body, bytes | str):
            body = json.dumps(body)
        content = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""
