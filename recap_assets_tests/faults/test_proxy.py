"""What the proxy before a store does to requests, seen by a plain client."""

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from recap_assets_tests.faults.proxy import Proxy, Trouble
from recap_assets_tests.waiting import SECONDS, wait_for

BODY = b"0123456789"


class _Store(BaseHTTPRequestHandler):
    """Remembers what is put, and answers each GET with the same."""

    def _handle(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        condition = self.headers.get("If-None-Match")
        self.server.got.append((self.command, sent, condition))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(BODY)

    do_GET = do_HEAD = do_PUT = _handle  # noqa: N815 - http.server's names

    def log_message(self, *_args: object) -> None:
        pass


Got = list[tuple[str, bytes, str | None]]


@pytest.fixture
def store() -> Iterator[tuple[str, Got]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Store)
    server.got = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", server.got  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


def ask(proxy: Proxy, method: str, *, only_new: bool = True) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(urlsplit(proxy.url).netloc, timeout=SECONDS)
    headers = {"If-None-Match": "*"} if only_new and method == "PUT" else {}
    connection.request(method, "/bucket/key", b"sent" if method == "PUT" else None, headers)
    return connection.getresponse()


def test_without_trouble_it_hands_everything_on_and_counts(store: tuple[str, Got]) -> None:
    url, got = store
    with Proxy(url, Trouble()) as proxy:
        assert ask(proxy, "PUT").read() == BODY
        assert ask(proxy, "GET").read() == BODY
        found = ask(proxy, "HEAD")
        assert (found.getheader("Content-Length"), found.read()) == ("10", b"")
    assert got == [("PUT", b"sent", "*"), ("GET", b"", None), ("HEAD", b"", None)]
    assert proxy.counted == {"GET": 1, "HEAD": 1, "PUT": 1, "POST": 0, "DELETE": 0}
    assert proxy.seen.n_done == 0


@pytest.mark.parametrize("performed", [False, True])
def test_the_second_and_third_put_fail_done_or_not(
    store: tuple[str, Got], *, performed: bool
) -> None:
    url, got = store
    with Proxy(url, Trouble("500", ("PUT",), 2, 3, performed=performed)) as proxy:
        assert ask(proxy, "GET").status == 200
        assert [ask(proxy, "PUT").status for _ in range(4)] == [200, 500, 500, 200]
    assert [method for method, *_ in got].count("PUT") == (4 if performed else 2)
    assert proxy.seen.n_done == 2


def test_503_tells_how_long_to_wait_where_it_is_asked_to(store: tuple[str, Got]) -> None:
    with Proxy(store[0], Trouble("503", ("GET",), 1, 1, seconds=2.0)) as proxy:
        found = ask(proxy, "GET")
        assert (found.status, found.getheader("Retry-After")) == (503, "2")
        assert b"<Code>SlowDown</Code>" in found.read()
    with Proxy(store[0], Trouble("503", ("GET",), 1, 1)) as proxy:
        assert ask(proxy, "GET").getheader("Retry-After") is None


def test_a_reply_breaks_off_in_its_middle(store: tuple[str, Got]) -> None:
    with Proxy(store[0], Trouble("dropped", ("GET", "PUT"), 1, 2)) as proxy:
        with pytest.raises((ConnectionError, http.client.IncompleteRead)) as broken:
            ask(proxy, "GET").read()
        if isinstance(broken.value, http.client.IncompleteRead):
            assert broken.value.partial == BODY[:5]
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            ask(proxy, "PUT")
        assert ask(proxy, "GET").read() == BODY
    assert [method for method, *_ in store[1]] == ["GET", "GET"]


def test_a_late_answer_does_not_keep_the_end_waiting(store: tuple[str, Got]) -> None:
    with Proxy(store[0], Trouble("late", ("GET",), 1, 1, seconds=600.0)) as proxy:
        connection = http.client.HTTPConnection(urlsplit(proxy.url).netloc, timeout=0.2)
        connection.request("GET", "/bucket/key")
        wait_for(lambda: proxy.seen.n_done, "it is the first that the proxy sees")
        with pytest.raises(TimeoutError):
            connection.getresponse()
        assert ask(proxy, "GET").read() == BODY


def test_conditions_are_refused_or_passed_over_and_nothing_else(store: tuple[str, Got]) -> None:
    url, got = store
    with Proxy(url, Trouble("refused", ("PUT",), 1, 9)) as proxy:
        assert ask(proxy, "PUT").status == 501
        assert ask(proxy, "PUT", only_new=False).status == 200
    with Proxy(url, Trouble("ignored", ("PUT",), 1, 9)) as proxy:
        assert ask(proxy, "PUT").status == 200
    assert got == [("PUT", b"sent", None)] * 2
