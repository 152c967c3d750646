"""What was replied stays, for all processes, through a kill; a broken store says what to do."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from recap_assets.captions.reply_cache import KeptReply, ReplyCache, key_of_request
from recap_assets.engines.errors import CaptionServerError

KEY = key_of_request(b"request")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "replies.sqlite"


@pytest.fixture
def cache(path: Path) -> Iterator[ReplyCache]:
    with ReplyCache(path) as found:
        yield found


def test_what_is_put_is_got_again_bit_for_bit(cache: ReplyCache, path: Path) -> None:
    assert cache.get(KEY) is None
    reply = KeptReply(b'{"a": "\xff\x00"}' * 1_000, 1.25)
    cache.put(KEY, reply)
    assert cache.get(KEY) == reply
    assert cache.get(key_of_request(b"another")) is None
    with ReplyCache(path) as other:
        assert other.get(KEY) == reply
    cache.put(KEY, KeptReply(b"newer", 2.0))
    assert cache.get(KEY) == KeptReply(b"newer", 2.0)
    assert cache.count() == 1


WRITER = """
import sys
from pathlib import Path
from recap_assets.captions.reply_cache import *
with ReplyCache(Path(sys.argv[1])) as cache:
    for n in range(200):
        key = key_of_request(f"{sys.argv[2]} {n}".encode())
        cache.put(key, KeptReply(key, 0.5))
    print("put", flush=True)
    sys.stdin.read()
"""


def test_several_processes_write_at_once_and_a_kill_loses_nothing(path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [
        subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - our own words
        for name in ("a", "b", "c")
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"put\n"
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()
    with ReplyCache(path) as cache:
        assert cache.count() == 600
        keys = [key_of_request(f"{name} {n}".encode()) for name in "abc" for n in range(200)]
        assert all(cache.get(key) == KeptReply(key, 0.5) for key in keys)


def test_old_replies_can_be_removed(path: Path) -> None:
    with ReplyCache(path) as cache:
        for n in range(3):
            cache.put(key_of_request(bytes([n])), KeptReply(os.urandom(100_000), 1.0))
    kept = key_of_request(b"\x00")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE replies SET written = written - 864000 WHERE key != ?", (kept,))
    size = path.stat().st_size
    with ReplyCache(path) as cache:
        assert (cache.count(timedelta(days=9)), cache.count(timedelta(days=11))) == (2, 0)
        cache.remove(timedelta(days=9))
        assert cache.count() == 1
        assert cache.get(kept) is not None
    assert path.stat().st_size < size / 2


def test_a_reply_that_rotted_is_asked_again(cache: ReplyCache, path: Path) -> None:
    cache.put(KEY, KeptReply(b"body", 1.0))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE replies SET body = x'00ff'")
    assert cache.get(KEY) is None


def test_a_file_that_is_no_store_is_refused_with_advice(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database, but long enough to be looked at " * 100)
    with pytest.raises(CaptionServerError, match=r"not a database.*cache: false"):
        ReplyCache(path)
    assert path.read_bytes().startswith(b"not a database")


def test_a_store_of_another_layout_is_refused(path: Path) -> None:
    ReplyCache(path).close()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA user_version = 9")
    with pytest.raises(CaptionServerError, match="its layout is 9, this program knows 1"):
        ReplyCache(path)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CaptionServerError, match="cannot be used"):
        ReplyCache(tmp_path / "file" / "replies.sqlite")
