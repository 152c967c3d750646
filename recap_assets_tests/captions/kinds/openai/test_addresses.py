"""Several addresses of one model: balanced, left out, taken back; no caption depends on it."""

import math
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from recap_assets.captions.kinds.openai import OpenAISource
from recap_assets.captions.servers import client as server_client
from recap_assets.captions.servers.findings import server_findings
from recap_assets.engines.errors import CaptionServerError
from recap_assets_tests.captions.kinds.openai.asking import SHADES, ask, opened
from recap_assets_tests.chat_server import (
    MODEL,
    Answer,
    Asked,
    ChatServer,
    Start,
    captioned,
    refused,
    together,
)
from recap_assets_tests.waiting import SECONDS

pytestmark = pytest.mark.usefixtures("no_long_pauses")


def texts(rows: list[list]) -> list[str]:
    return [caption.text for row in rows for caption in row]


def shades(*servers: ChatServer) -> Counter[int]:
    """How often each image was asked for, over all servers."""
    return Counter(asked.shade for server in servers for asked in server.asked)


def test_captions_and_kept_replies_do_not_depend_on_who_answers(
    start: Start, tmp_path: Path
) -> None:
    # Answered four at a time, two of each server, so that neither is quicker.
    one, both = start(), together(4)
    two, three = start(both), start(both)
    with opened(one) as captioner:
        alone = texts(ask(captioner))
    with opened([two, three], tmp_path / "replies.sqlite", concurrency=2) as captioner:
        assert texts(ask(captioner)) == alone
    assert len(two.asked) == len(three.asked) == len(SHADES) // 2
    with opened([three, one], tmp_path / "replies.sqlite") as captioner:
        assert texts(ask(captioner)) == alone
        assert captioner.usage.cache_hits == len(SHADES)
        assert captioner.usage.requests == 0


def test_the_least_busy_is_asked(start: Start) -> None:
    most_are_answered = threading.Event()

    def slow(asked: Asked) -> Answer:
        assert most_are_answered.wait(SECONDS)
        return captioned(asked)

    def counted(asked: Asked) -> Answer:
        if asked.number + 1 == len(SHADES) - 2:
            most_are_answered.set()
        return captioned(asked)

    sluggish, quick = start(slow), start(counted)
    with opened([sluggish, quick], concurrency=2) as captioner:
        assert all(row[0].status == "ok" for row in ask(captioner))
    assert len(sluggish.asked) <= 2
    assert len(quick.asked) >= len(SHADES) - 2


def test_each_address_has_its_own_number_of_requests_under_way(start: Start) -> None:
    both = together(4)
    servers = [start(both), start(both)]
    with opened(servers, concurrency=2) as captioner:
        assert all(row[0].status == "ok" for row in ask(captioner))
    assert [server.most_at_once for server in servers] == [2, 2]


def test_an_address_where_nobody_is_costs_no_request(start: Start) -> None:
    gone, there = start(), start()
    gone.stop()
    with opened([gone, there], max_attempts=1) as captioner:
        assert all(row[0].status == "ok" for row in ask(captioner))
        assert captioner.usage.requests == len(SHADES)


def test_one_that_dies_loses_no_caption_and_nothing_answered_is_asked_again(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    def dies(asked: Asked) -> Answer:
        if asked.number == 3:
            mortal.stop()
        return captioned(asked)

    mortal, other = start(dies), start()
    with opened(start()) as captioner:
        alone = texts(ask(captioner))
    with opened([mortal, other], concurrency=2) as captioner:
        assert texts(ask(captioner)) == alone
        # Those that were under way there when it died, and none beside.
        assert 1 <= captioner.usage.retries <= 2
        assert captioner.usage.requests == len(SHADES) + captioner.usage.retries
    asked = shades(mortal, other)
    assert len(asked) == len(SHADES)
    assert sum(asked.values()) <= len(SHADES) + 2
    assert f"{mortal.base_url} is left out" in caplog.text


def test_one_that_comes_back_is_asked_again(start: Start) -> None:
    away, other = start(), start()
    away.stop()
    with opened([away, other], concurrency=1) as captioner:
        ask(captioner, [10, 20, 30])
        assert not away.asked
        away.start()
        deadline = time.monotonic() + SECONDS
        while not away.asked and time.monotonic() < deadline:
            ask(captioner, [10, 20])
        assert away.asked


def test_one_that_fails_what_it_is_asked_is_left_out_for_longer_and_longer(start: Start) -> None:
    broken, other = start(lambda _: refused("CUDA error", 500)), start()
    began = time.monotonic()
    with opened([broken, other], concurrency=1) as captioner:
        for _ in range(4):
            assert all(row[0].status == "ok" for row in ask(captioner))
    # It lists its models all the time, so it is tried now and then; of its pauses, each is twice
    # as long as the one before, and at least half of that is waited.
    shortest = server_client.FIRST_PAUSE / 2
    most = 1 + math.log2(1 + (time.monotonic() - began) / shortest)
    assert 1 <= len(broken.asked) <= most
    assert len(other.asked) == 4 * len(SHADES)


def test_one_that_is_busy_is_left_alone_for_as_long_as_it_asks(start: Start) -> None:
    busy = start(lambda _: refused("slow down", 429, headers={"Retry-After": "600"}))
    other = start()
    began = time.monotonic()
    with opened([busy, other], concurrency=1) as captioner:
        assert all(row[0].status == "ok" for row in ask(captioner))
    assert len(busy.asked) == 1
    assert time.monotonic() - began < 600


def test_one_without_the_model_is_never_asked(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    other_model, unlisted = start(), start()
    other_model.models, unlisted.models = ["another/vlm"], None
    with opened([other_model, unlisted]) as captioner:
        assert all(row[0].status == "ok" for row in ask(captioner))
    assert not other_model.asked
    assert f"it serves no {MODEL}; it lists another/vlm" in caplog.text


def test_what_one_refuses_is_asked_of_another_before_it_is_believed(start: Start) -> None:
    def refuses(below: int) -> ChatServer:
        return start(
            lambda asked: (
                refused("too many tokens", 400) if asked.shade < below else captioned(asked)
            )
        )

    small, large = refuses(120), refuses(20)
    with opened([small, large]) as captioner:
        rows = ask(captioner)
    by_shade = dict(zip(SHADES, (row[0] for row in rows), strict=True))
    assert {s for s, c in by_shade.items() if c.status == "error"} == {5, 17}
    assert {c.reason for c in by_shade.values() if c.status == "error"} == {"request_refused"}


def test_one_that_wants_another_key_is_left_out_and_all_of_them_stop_the_step(
    start: Start,
) -> None:
    locked, other = start(lambda _: refused("Invalid token", 401)), start()
    with opened([locked, other]) as captioner:
        assert all(row[0].status == "ok" for row in ask(captioner))
    other.answer = locked.answer
    with (
        opened([locked, other], concurrency=1) as captioner,
        pytest.raises(CaptionServerError, match=r"401: Invalid token\. Name the variable"),
    ):
        ask(captioner)


def test_all_lost_is_an_exception_that_says_what_each_said_and_what_was_answered_is_kept(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_client, "PATIENCE", 0.2)
    servers: list[ChatServer] = []
    answered: Counter[int] = Counter()
    lock = threading.Lock()

    def dies(asked: Asked) -> Answer:
        with lock:
            is_last = sum(answered.values()) == 7
            answered[asked.shade] += not is_last
        if is_last:
            for server in servers:
                server.stop()
        return captioned(asked)

    servers += [start(dies), start(dies)]
    replies = tmp_path / "replies.sqlite"
    with (
        opened(servers, replies, concurrency=1, max_attempts=3) as captioner,
        pytest.raises(
            CaptionServerError, match=r"each of 2 captioning servers, .* a plain grey one: "
        ),
    ):
        ask(captioner)
    for server in servers:
        server.answer = captioned
        server.start()
    with opened(servers, replies) as captioner:
        rows = ask(captioner)
        assert captioner.usage.cache_hits >= 6
    assert [row[0].status for row in rows] == ["ok"] * len(SHADES)


def test_an_image_that_breaks_servers_costs_only_itself(start: Start) -> None:
    def breaks(asked: Asked) -> Answer:
        return refused("CUDA error", 500) if asked.shade < 10 else captioned(asked)

    with opened([start(breaks), start(breaks)], max_attempts=3) as captioner:
        rows = ask(captioner)
    assert [row[0].reason for row in rows] == ["server_failed"] + [None] * (len(SHADES) - 1)


def test_the_doctor_says_which_address_is_down(start: Start) -> None:
    there, gone, wrong = start(), start(), start()
    gone.stop()
    wrong.models = ["another/vlm"]
    urls = [server.base_url for server in (there, gone, wrong)]
    source = OpenAISource.model_validate({"kind": "openai", "model": MODEL, "base_url": urls})
    first, second, third = server_findings(source, "sources.vlm")
    assert first == (True, f"sources.vlm: {urls[0]} serves {MODEL}")
    assert not second[0]
    assert f"{urls[1]} (model {MODEL}) cannot be reached" in second[1]
    assert third == (False, f"sources.vlm: {urls[2]} serves no {MODEL}; it lists another/vlm")
