"""Servers that would fill the memory or never end: bounded in bytes, packed or not, and in time."""

import gzip
import itertools
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pytest

from recap_assets.captions.kinds.openai import OpenAISource
from recap_assets.captions.servers import client as server_client
from recap_assets.captions.servers.client import (
    LONGEST_ASKED_PAUSE,
    asked_pause,
    models_served,
)
from recap_assets.engines.errors import CaptionServerError
from recap_assets_tests.captions.kinds.openai.asking import ask, opened
from recap_assets_tests.chat_server import Answer, Start, captioned, refused, said

pytestmark = pytest.mark.usefixtures("no_long_pauses")

KEY = "sk-very/secret-4711"
START_OF_REPLY = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
LISTED = json.dumps({"data": [{"id": "m"}]}).encode()


@dataclass(frozen=True)
class RawServer:
    """Answers each connection with some bytes, as long as they come."""

    base_url: str


@pytest.fixture
def raw() -> Iterator[Callable[[Callable[[], Iterable[bytes]]], RawServer]]:
    listening: list[socket.socket] = []

    def answer_one(connection: socket.socket, parts: Iterable[bytes]) -> None:
        with connection:
            connection.settimeout(30)
            try:
                connection.recv(2**20)
                for part in parts:
                    connection.sendall(part)
            except OSError:
                return  # the client had enough

    def start(parts: Callable[[], Iterable[bytes]]) -> RawServer:
        server = socket.create_server(("127.0.0.1", 0))
        listening.append(server)

        def run() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer_one, args=(connection, parts()), daemon=True).start()

        threading.Thread(target=run, daemon=True).start()
        return RawServer(f"http://127.0.0.1:{server.getsockname()[1]}/v1")

    yield start
    for server in listening:
        server.close()


def endless(head: bytes, part: bytes, pause: float = 0.0) -> Iterator[bytes]:
    yield head
    for _ in itertools.count():
        yield part
        time.sleep(pause)


def bomb(wbits: int) -> bytes:
    """Kilobytes that unpack to four times the bound."""
    packer = zlib.compressobj(1, zlib.DEFLATED, wbits)
    return packer.compress(bytes(2**25)) + packer.flush()


def packed_as(encoding: str, body: bytes) -> list[bytes]:
    head = f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return [START_OF_REPLY, head, body]


def served(server: RawServer) -> list[str]:
    return models_served(OpenAISource(kind="openai", model="m", base_url=server.base_url))


BOMB, BARE_BOMB = bomb(31), bomb(-15)
BODIES = {
    "endless": lambda: endless(START_OF_REPLY + b"\r\n", b" " * 65_536),
    "bomb": lambda: packed_as("gzip", BOMB),
    "bare bomb": lambda: packed_as("deflate", BARE_BOMB),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_list_of_models_is_read_up_to_a_bound(raw, body) -> None:
    with pytest.raises(CaptionServerError, match=r"lists no models \(a reply of more than 8 MiB\)"):
        served(raw(body))


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_caption_is_read_up_to_a_bound(raw, body) -> None:
    with (
        opened(raw(body), concurrency=1, max_attempts=1) as captioner,
        pytest.raises(CaptionServerError, match="a reply of more than 8 MiB"),
    ):
        ask(captioner, [10])


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "\x1b[2J"])
def test_what_nobody_asked_for_is_not_unpacked(raw, encoding: str) -> None:
    with pytest.raises(CaptionServerError, match=r"packed as|cannot be reached") as raised:
        served(raw(lambda: packed_as(encoding, BOMB)))
    assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(LISTED, mtime=0)),
        ("deflate", zlib.compress(LISTED)),
        ("deflate", zlib.compress(LISTED, wbits=-15)),
        ("identity", LISTED),
    ],
)
def test_a_small_packed_reply_is_read(raw, encoding: str, body: bytes) -> None:
    assert served(raw(lambda: packed_as(encoding, body))) == ["m"]


def test_damaged_packing_is_said(raw) -> None:
    with pytest.raises(CaptionServerError, match="whose packing is damaged"):
        served(raw(lambda: packed_as("gzip", b"\x1f\x8b" + b"x" * 100)))


SLOW = {
    "body": lambda: endless(START_OF_REPLY + b"\r\n", b" ", 0.05),
    "chunks": lambda: endless(
        START_OF_REPLY + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", 0.05
    ),
    "headers": lambda: endless(START_OF_REPLY + b"X: ", b"a", 0.05),
    "nothing": lambda: endless(b"", b"", 0.05),
    "informational": lambda: endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.05),
}


@pytest.mark.parametrize("parts", SLOW.values(), ids=SLOW)
def test_a_reply_that_drips_for_ever_ends_with_a_deadline(
    raw, parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_client, "MODELS_SECONDS", 0.4)
    with pytest.raises(CaptionServerError, match=r"not listed its models within 0\.4 s"):
        served(raw(parts))
    with (
        opened(raw(parts), concurrency=1, max_attempts=1, timeout_seconds=0.4) as captioner,
        pytest.raises(CaptionServerError, match=r"no answer within 0\.4 s"),
    ):
        ask(captioner, [10])


def test_headers_without_end_are_given_up(raw) -> None:
    with pytest.raises(CaptionServerError, match="cannot be reached"):
        served(raw(lambda: endless(START_OF_REPLY, b"X: " + b"a" * 65_000 + b"\r\n")))


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"data": 3}', b'{"data": [1]}', b"\xff", b""])
def test_what_is_no_list_of_models_is_said(raw, body: bytes) -> None:
    with pytest.raises(CaptionServerError, match=r"lists no models.* ends in /v1"):
        served(raw(lambda: packed_as("identity", body)))


def test_the_names_of_models_are_short_and_fit_to_be_shown(raw) -> None:
    body = json.dumps({"data": [{"id": "\x1b[2Jm"}, {"id": "x" * 10_000}]}).encode()
    first, second = served(raw(lambda: packed_as("identity", body)))
    assert first == r"\x1b[2Jm"
    assert len(second) < 250


def test_a_list_of_models_that_repeats_the_key_does_not_show_it(
    raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTION_KEY", KEY)
    spelt = json.dumps({"data": [{"id": KEY}]}).replace("/", r"\/").replace("k", r"\u006b")
    server = raw(lambda: packed_as("identity", spelt.encode()))
    source = OpenAISource(
        kind="openai", model="m", base_url=server.base_url, api_key_env="CAPTION_KEY"
    )
    assert models_served(source) == ["[key]"]


def test_a_redirect_is_told_and_never_followed(start: Start) -> None:
    other = start()
    moved = Answer("", 307, {"Location": f"{other.base_url}/chat/completions"})
    with (
        opened(start(lambda _: moved), concurrency=1) as captioner,
        pytest.raises(CaptionServerError, match=rf"points to {other.base_url}.*base_url"),
    ):
        ask(captioner, [10])
    assert not other.asked


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("1e9", 1e9),
        ("-inf", 0.0),
        ("inf", float("inf")),
        ("nan", None),
        ("", None),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
        ("9" * 5_000, 1e100),
    ],
)
def test_what_retry_after_asks_for(value: str, seconds: float | None) -> None:
    assert asked_pause(value) == (seconds if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("zone", ["GMT", "-2359", "+2359"])
def test_the_last_date_that_there_is_can_be_asked_for(zone: str) -> None:
    asked = asked_pause(f"Fri, 31 Dec 9999 23:59:59 {zone}")
    assert asked is None or asked > 2e11


def test_a_pause_of_decades_is_capped_and_said(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert LONGEST_ASKED_PAUSE == 600
    monkeypatch.setattr(server_client, "LONGEST_ASKED_PAUSE", 0.05)
    monkeypatch.setattr(server_client, "_TOLD_PAUSE", 0.01)
    monkeypatch.setattr(server_client, "_TOLD_AGAIN", 0.0)
    busy = refused("busy", 429, headers={"Retry-After": "1000000000"})
    words = r"asks to wait 1,000,000,000 s; no more than 0\.05 s are waited at a time"
    with (
        opened(start(lambda _: busy), concurrency=1, max_attempts=2) as captioner,
        pytest.raises(CaptionServerError, match=words),
    ):
        ask(captioner, [10])
    assert "asks to wait 1,000,000,000 s" in caplog.text


def test_a_key_that_is_spelt_in_parts_or_codes_is_in_no_caption_and_no_kept_reply(
    start: Start, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTION_KEY", KEY)
    spelt = json.dumps(said(f"the key is {KEY}")).replace("/", r"\/").replace("sk-", r"\u0073k-")
    parts = said([{"type": "text", "text": f"the key is {KEY[:9]}"}, KEY[9:]])
    replies = tmp_path / "replies.sqlite"
    bodies = {10: spelt, 20: parts}
    server = start(lambda asked: Answer(bodies.get(asked.shade) or captioned(asked).body))
    with opened(server, replies, api_key_env="CAPTION_KEY") as captioner:
        rows = ask(captioner, [10, 20])
    assert [c.text for (c,) in rows] == ["the key is [key]"] * 2
