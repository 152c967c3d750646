"""Object stores to test against: a server of moto's, and one that ignores conditions."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from recap_assets_tests.ports import free_port
from recap_assets_tests.waiting import wait_for


def environment(endpoint: str) -> Mapping[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def moto_server(address: str = "127.0.0.1") -> Iterator[str]:
    """Its endpoint, as this machine reaches it; it listens on `address`.

    A process of its own: deltalake holds the GIL while it waits for an answer.
    """
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", address, "-p", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, **quiet)  # noqa: S603 - our own words
    try:
        wait_for(lambda: server.poll() is not None or _answers(port), "moto's server answers")
        assert server.poll() is None, "moto's server did not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class _Careless(BaseHTTPRequestHandler):
    """Takes every PUT, whatever its conditions."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self._take()
        self._answer(200)

    def do_DELETE(self) -> None:
        self.server.deleted.append(self.path)  # type: ignore[attr-defined]
        self._answer(204)

    def _take(self) -> None:
        if self.headers.get("Expect") == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        if self.headers.get("Transfer-Encoding") == "chunked":
            while (line := self.rfile.readline()).strip():
                self.rfile.read(int(line.split(b";")[0], 16))
        else:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def careless_server() -> Iterator[tuple[str, list[str]]]:
    """Endpoint of a store without conditional PUT, and the paths that were deleted from it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Careless)
    server.deleted = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.deleted  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
