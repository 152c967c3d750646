"""A web server on loopback with all that a list of URLs meets."""

import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from recap_assets_tests.shards.building import encoded, jpeg, picture


@dataclass
class Web:
    """What is served, and what was asked for.

    Attributes:
        url: Of the server.
        asked: Requests by path.
        pages: Bodies by path beside the built-in ones, which a test may change.
        before: Called with the path of each request before it is answered.
    """

    url: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    pages: dict[str, bytes] = field(default_factory=dict)
    before: Callable[[str], object] = lambda _path: None

    def of(self, path: str) -> str:
        """The URL of a path."""
        return f"{self.url}/{path}"


@contextmanager
def served(context: ssl.SSLContext | None = None) -> Iterator[Web]:
    """The server, up for the length of the block; with a context it speaks https."""
    web = Web()

    class Handler(_Handler):
        pass

    Handler.web = web
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    web.url = f"http{'s' if context else ''}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    web: Web

    def do_GET(self) -> None:
        name, _, rest = unquote(self.path).lstrip("/").partition("/")
        self.web.asked[self.path.lstrip("/")] += 1
        self.web.before(self.path.lstrip("/"))
        try:
            self._answer(name, rest)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _answer(self, name: str, rest: str) -> None:
        if page := self.web.pages.get(self.path.lstrip("/")):
            self._give(page)
        elif answer := self._answers().get(name):
            answer(rest)
        else:
            self._give(b"no such page", 404)

    def _answers(self) -> Mapping[str, Callable[[str], None]]:
        html = {"Content-Type": "text/html"}
        return {
            "image": lambda seed: self._give(jpeg(int(seed))),
            "big": lambda seed: self._give(encoded(picture(int(seed), (1200, 800)), quality=80)),
            "opted_out": lambda tag: self._give(jpeg(1), headers={"X-Robots-Tag": tag}),
            "cut": lambda _: self._give(jpeg(2)[:400]),
            "short": lambda _: self._give(jpeg(2), n_promised=10**5),
            "html": lambda _: self._give(b"<html>not here</html>", headers=html),
            "endless": lambda _: self._give(b"", n_promised=10**12),
            "drip": lambda _: self._drip(),
            "silent": lambda _: time.sleep(6),
            "flood": lambda _: self._flood(),
            "moved": lambda to: self._give(b"", 302, {"Location": to.replace("+", "/")}),
        }

    def _give(
        self,
        body: bytes,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        n_promised: int | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(n_promised or len(body)))
        for key, value in {"Content-Type": "image/jpeg", **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def _drip(self) -> None:
        """A byte now and then: never silent for long, never done."""
        self.send_response(200)
        self.end_headers()
        for _ in range(100):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.1)

    def _flood(self) -> None:
        """Megabytes without a length said."""
        self.send_response(200)
        self.end_headers()
        for _ in range(40):
            self.wfile.write(b"x" * 2**20)

    def log_message(self, *_arguments: object) -> None:
        """Silent."""
