"""Kept replies are found by the texts that they hold, and removed for good."""

import json
from pathlib import Path

from recap_assets.assembly.forgetting.identity import Identity
from recap_assets.assembly.forgetting.removing import take_replies
from recap_assets.captions.reply_cache import KeptReply, ReplyCache

SECRET, OTHER = 'a "blue" café at noon', "a red kite over the sea"


def replies(path: Path) -> None:
    with ReplyCache(path) as kept:
        for number, text in enumerate((SECRET, OTHER, SECRET)):
            body = json.dumps({"choices": [{"text": text}]}, ensure_ascii=number == 0).encode()
            kept.put(bytes([number]), KeptReply(body, 1.0))


def test_replies_with_a_text_go_and_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "server_replies.sqlite"
    identity = Identity(texts=frozenset({SECRET}))
    assert take_replies(path, identity) == 0
    replies(path)
    before = path.read_bytes()
    assert take_replies(path, identity, dry_run=True) == 2
    assert path.read_bytes() == before
    assert take_replies(path, identity) == 2
    with ReplyCache(path) as kept:
        assert [kept.get(bytes([number])) is None for number in range(3)] == [True, False, True]
        assert kept.with_texts({OTHER}) == [b"\x01"]
        assert kept.count() == 1
    assert take_replies(path, identity) == 0


def test_more_replies_than_a_page_are_searched(tmp_path: Path) -> None:
    with ReplyCache(tmp_path / "server_replies.sqlite") as kept:
        for number in range(1_005):
            kept.put(number.to_bytes(2, "big"), KeptReply(f"text {number:05d}".encode(), 0.0))
        assert kept.with_texts({"text 01003", "text 00001"}) == [b"\x00\x01", b"\x03\xeb"]
