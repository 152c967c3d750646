"""img2dataset, run in its own environment, with bounds that it lacks.

Run as `python img2dataset_process.py OPTIONS.json`, never imported: it needs the packages of that
environment and nothing of this project. img2dataset's workers are spawned and execute this module
again, so all that is set up at its top level holds in each of them.

Why img2dataset's own fetching is not enough for a list from elsewhere: `urllib.request.urlopen`
opens file:, ftp: and data: URLs, follows redirects into private networks, reads a body of any size
into memory, and its timeout bounds the silence of a server, not the length of a request.
"""

import ipaddress
import json
import os
import socket
import ssl
import sys
import threading
import time
import types
import urllib.request
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlparse

OPTIONS = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
HEADER_BYTES = 256 * 2**10
MAX_REDIRECTIONS = 5
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

# img2dataset imports Weights & Biases, which is neither installed here nor wanted.
sys.modules["wandb"] = types.ModuleType("wandb")


class _Socket(socket.socket):
    """A socket that gives a bounded number of bytes in a bounded time."""

    ends_at = float("inf")
    n_left = float("inf")

    def bound(self) -> None:
        self.ends_at = time.monotonic() + OPTIONS["deadline"]
        self.n_left = OPTIONS["max_bytes"] + HEADER_BYTES

    def recv_into(self, buffer: Any, *sizes: Any, **options: Any) -> int:  # noqa: ANN401 - as it is called
        left = self.ends_at - time.monotonic()
        if left <= 0:
            msg = f"timed out: longer than {OPTIONS['deadline']} s"
            raise TimeoutError(msg)
        if left < (self.gettimeout() or left + 1):
            self.settimeout(left)
        n = super().recv_into(buffer, *sizes, **options)
        self.n_left -= n
        if self.n_left < 0:
            msg = f"too many bytes: more than {OPTIONS['max_bytes']}"
            raise OSError(msg)
        return n


class _SSLSocket(_Socket, ssl.SSLSocket):
    pass


def _is_private(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if address.version == 6:
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.ip_address(address.packed[-4:])
        address = inner or address
    return not address.is_global or address.is_multicast


def _proxies() -> set[tuple[str, int]]:
    """The proxies that the environment names; behind one, the proxy decides what is reached."""
    found = set()
    for url in urllib.request.getproxies().values():
        parts = urlparse(url if "//" in url else f"//{url}")
        if parts.hostname:
            found.add((parts.hostname, parts.port or 80))
    return found


PROXIES = _proxies()


def _connect(
    address: tuple[str, int], timeout: float, _source: tuple[str, int] | None = None
) -> _Socket:
    """As socket.create_connection, but only to the public addresses of a host.

    The address that was checked is the one that is connected to, whatever the name means later.
    """
    is_trusted = OPTIONS["allow_private_addresses"] or address in PROXIES
    error: OSError | None = None
    for family, kind, protocol, _, place in socket.getaddrinfo(*address, 0, socket.SOCK_STREAM):
        if not is_trusted and _is_private(str(place[0])):
            error = OSError(f"private address {place[0]}: not allowed")
            continue
        sock = _Socket(family, kind, protocol)
        try:
            sock.settimeout(timeout)
            sock.connect(place)
        except OSError as failure:
            sock.close()
            error = failure
            continue
        sock.bound()
        return sock
    raise error or OSError("no address")


class _Response(HTTPResponse):
    def begin(self) -> None:
        super().begin()
        if self.length is not None and self.length > OPTIONS["max_bytes"]:
            msg = f"too many bytes: {self.length}, more than {OPTIONS['max_bytes']}"
            raise OSError(msg)


class _Connection(HTTPConnection):
    response_class = _Response

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as urllib gives them
        super().__init__(*args, **options)
        self._create_connection = _connect


class _SecureConnection(HTTPSConnection):
    response_class = _Response

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as above
        super().__init__(*args, **options)
        self._create_connection = _connect

    def connect(self) -> None:
        super().connect()
        cast(_SSLSocket, self.sock).bound()


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(_Connection, req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(_SecureConnection, req, context=CONTEXT)


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = MAX_REDIRECTIONS


CONTEXT = ssl.create_default_context()
CONTEXT.sslsocket_class = _SSLSocket


def _opener() -> urllib.request.OpenerDirector:
    """Opens http and https and nothing else."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(), urllib.request.UnknownHandler(), _Http(), _Https(),
        _Redirects(), urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):  # fmt: skip
        opener.add_handler(handler)
    return opener


urllib.request.install_opener(_opener())


def _end_with_parent(parent: int) -> None:
    """End when the process that started this one has ended, however it did."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()

import cv2  # type: ignore[import-not-found]  # noqa: E402 - what it imports must find the above
import img2dataset.blurrer  # type: ignore[import-not-found]  # noqa: E402
import img2dataset.main  # type: ignore[import-not-found]  # noqa: E402

# The package hides its module of this name behind a function of the same name.
MAIN: Any = sys.modules["img2dataset.main"]


class _FaceBlur:
    """A Gaussian as wide as DataComp's blurring of faces asks.

    img2dataset 1.47 asks albumentations for a kernel of that size and leaves the width to it, which
    then is about a third: faces stay recognizable.
    """

    def __init__(self, blur_limit: tuple[int, int], **_options: object) -> None:
        self._sigma = (blur_limit[0] - 1) / 2

    def __call__(self, image: "cv2.Mat") -> dict[str, "cv2.Mat"]:
        return {"image": cv2.GaussianBlur(image, (0, 0), self._sigma)}


img2dataset.blurrer.A = types.SimpleNamespace(GaussianBlur=_FaceBlur)


class _NoLogger:
    """In place of a process that prints the statistics that are in the files anyway."""

    def __init__(self, *_arguments: object) -> None:
        self.done_shards: set[int] = set()

    def start(self) -> None:
        """Nothing to start."""

    join = terminate = start


MAIN.LoggerProcess = _NoLogger


def _in_this_process(_n: int, downloader: Any, parts: Any, _size: int, n_retries: int) -> None:  # noqa: ANN401 - img2dataset's own
    """In place of a pool of one worker: starting that takes longer than a small list."""
    for _ in range(n_retries + 1):
        parts = [part for is_done, part in map(downloader, parts) if not is_done]


if OPTIONS["is_small"]:
    MAIN.multiprocessing_distributor = _in_this_process

if __name__ == "__main__":
    MAIN.download(**OPTIONS["img2dataset"])
