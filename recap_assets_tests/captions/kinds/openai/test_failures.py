"""A server that is busy, wrong or lost: asked again, told in words, and no image is blamed."""

import re
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from recap_assets.captions.servers import client as server_client
from recap_assets.engines.errors import CaptionServerError
from recap_assets_tests.captions.kinds.openai.asking import SHADES, ask, image, opened, uid
from recap_assets_tests.chat_server import (
    Answer,
    Asked,
    Start,
    captioned,
    refused,
    said,
)
from recap_assets_tests.waiting import SECONDS, wait_for

pytestmark = pytest.mark.usefixtures("no_long_pauses")


@pytest.mark.parametrize("as_date", [False, True])
def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(start: Start, as_date: bool) -> None:
    told: list[float] = []
    times: list[float] = []

    def busy_once(asked: Asked) -> Answer:
        times.append(time.monotonic())
        if told:
            return captioned(asked)
        told.append(time.monotonic())
        # A date has whole seconds: of two at least one is left.
        later = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
        return refused("busy", 429, headers={"Retry-After": later if as_date else "1"})

    with opened(start(busy_once), concurrency=1) as captioner:
        rows = ask(captioner, [10, 20, 30])
        assert captioner.usage.retries == 1
    assert [row[0].status for row in rows] == ["ok"] * 3
    assert min(times[1:]) - told[0] > 0.95


def test_whoever_waits_makes_the_others_wait(start: Start) -> None:
    begun = threading.Barrier(2)
    times: list[float] = []

    def busy_once(asked: Asked) -> Answer:
        times.append(time.monotonic())
        if asked.number < 2:
            begun.wait(SECONDS)
        if asked.number == 1:
            return refused("busy", 429, headers={"Retry-After": "2"})
        # The first is answered once the client has heard that it must wait.
        (server,) = captioner._client._addresses._every
        wait_for(lambda: server.held_until, "the client knows that the server is busy")
        return captioned(asked)

    with opened(start(busy_once), concurrency=2) as captioner:
        rows = ask(captioner, [10, 20, 30, 40])
    assert [row[0].status for row in rows] == ["ok"] * 4
    assert min(times[2:]) - max(times[:2]) > 1.95


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_what_may_pass_is_tried_again(start: Start, status: int) -> None:
    def fails_twice(asked: Asked) -> Answer:
        return refused("not now", status) if asked.number < 2 else captioned(asked)

    with opened(start(fails_twice)) as captioner:
        ((caption,),) = ask(captioner, [10])
        usage = captioner.usage
    assert caption.status == "ok"
    assert (usage.requests, usage.retries, usage.prompt_tokens) == (3, 2, 300)


def test_a_reply_that_never_comes_is_given_up_and_asked_for_again(start: Start) -> None:
    asked_again, is_given_up = threading.Event(), []

    def hangs_once(asked: Asked) -> Answer:
        if asked.number:
            asked_again.set()
        else:
            is_given_up.append(asked_again.wait(SECONDS))
        return captioned(asked)

    # Others may be late, too, where the machine is busy.
    with opened(start(hangs_once), timeout_seconds=1, max_attempts=20) as captioner:
        ((caption,),) = ask(captioner, [10])
        assert captioner.usage.retries >= 1
    assert caption.status == "ok"
    assert is_given_up == [True]


@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_image_that_the_server_refuses_is_a_caption_with_a_reason(
    start: Start, status: int
) -> None:
    def refuses_dark(asked: Asked) -> Answer:
        return refused("cannot load image", status) if asked.shade < 50 else captioned(asked)

    server = start(refuses_dark)
    with opened(server, concurrency=1) as captioner:
        rows = ask(captioner)
    bad = [row[0] for shade, row in zip(SHADES, rows, strict=True) if shade < 50]
    assert {(c.status, c.reason, c.text) for c in bad} == {("error", "request_refused", "")}
    assert all(r[0].status == "ok" for s, r in zip(SHADES, rows, strict=True) if s >= 50)
    # None is asked for again, but the first is proved to be to blame, with a plain image.
    assert len(server.asked) == len(SHADES) + 1


def test_a_server_that_refuses_everything_stops_the_step(start: Start) -> None:
    server = start(lambda _: refused("max_tokens is too large", 400))
    with (
        opened(server, concurrency=1) as captioner,
        pytest.raises(CaptionServerError, match="not even a plain grey one: 400: max_tokens is"),
    ):
        ask(captioner)
    first, grey = (asked.shade for asked in server.asked)
    assert min(abs(first - shade) for shade in SHADES) <= 1  # any one of them may be the first
    assert grey == 128


def test_a_server_that_is_none_stops_the_step(start: Start) -> None:
    server = start(lambda _: Answer("<html>welcome</html>"))
    with (
        opened(server) as captioner,
        pytest.raises(CaptionServerError, match="not even a plain grey one: <html>welcome"),
    ):
        ask(captioner)


def test_a_server_that_stays_busy_marks_no_image(start: Start) -> None:
    def busy(asked: Asked) -> Answer:
        return refused("slow down", 429) if asked.number > 3 else captioned(asked)

    with (
        opened(start(busy), concurrency=1, max_attempts=3) as captioner,
        pytest.raises(CaptionServerError, match="429: slow down"),
    ):
        ask(captioner)


def test_a_server_that_was_away_for_all_attempts_is_asked_once_more(start: Start) -> None:
    def away(asked: Asked) -> Answer:
        return refused("restarting", 503) if 2 <= asked.number < 5 else captioned(asked)

    with opened(start(away), concurrency=1, max_attempts=3) as captioner:
        rows = ask(captioner)
    assert {row[0].status for row in rows} == {"ok"}


def test_an_image_that_breaks_the_server_costs_only_itself(start: Start) -> None:
    def breaks(asked: Asked) -> Answer:
        return refused("CUDA error", 500) if asked.shade < 10 else captioned(asked)

    with opened(start(breaks), max_attempts=3, concurrency=2) as captioner:
        rows = ask(captioner)
        # Three attempts and a last one, and a plain image before and after that.
        assert captioner.usage.requests in range(len(SHADES) + 3, len(SHADES) + 6)
    assert [row[0].reason for row in rows] == ["server_failed"] + [None] * (len(SHADES) - 1)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (refused("Invalid token", 401), "401: Invalid token. Name the variable"),
        (refused("The model `x` does not exist.", 404), "404: The model `x` does not exist"),
        (refused("You exceeded your quota", 429, "insufficient_quota"), "exceeded your quota"),
        (Answer("moved", 307, {"Location": "http://127.0.0.1:1/v1"}), "307: moved"),
        (refused("\x1b[2J\u202egone\n\nnow", 403), r"403: \x1b[2J\u202egone now"),
    ],
)
def test_what_no_request_could_pass_stops_at_once_and_in_words(
    start: Start, answer: Answer, words: str
) -> None:
    server = start(lambda _: answer)
    with opened(server, concurrency=1) as captioner:
        with pytest.raises(CaptionServerError, match=re.escape(words)) as raised:
            ask(captioner)
        assert server.base_url in str(raised.value)
        with pytest.raises(CaptionServerError):  # and stays so
            ask(captioner, [10])
    assert len(server.asked) == 1


def test_a_lost_server_is_an_exception_and_what_it_answered_is_kept(
    start: Start, tmp_path: Path
) -> None:
    answered: Counter[int] = Counter()

    def dies(asked: Asked) -> Answer:
        if asked.number == 7:
            server.stop()
        else:
            answered[asked.shade] += 1
        return captioned(asked)

    server = start(dies)
    replies = tmp_path / "replies.sqlite"
    with (
        opened(server, replies, concurrency=1, max_attempts=3) as captioner,
        pytest.raises(
            CaptionServerError, match=r"a plain grey one: .*to image (\w\w)\1{15}: .*build again"
        ),
    ):
        ask(captioner)
    assert len(answered) == 7
    server.start()
    with opened(server, replies, concurrency=1) as captioner:
        rows = ask(captioner)
        assert captioner.usage.cache_hits == 7
    assert [row[0].status for row in rows] == ["ok"] * len(SHADES)
    assert set(answered.values()) == {1}
    assert len(answered) == len(SHADES)


def test_closing_gives_up_what_is_under_way(start: Start) -> None:
    under_way, closed, answered = threading.Event(), threading.Event(), []

    def hangs(asked: Asked) -> Answer:
        under_way.set()
        closed.wait(SECONDS)
        answered.append(asked)
        return captioned(asked)

    with opened(start(hangs)) as captioner:
        future = captioner.submit([image(10)], [uid(10)])
        assert under_way.wait(SECONDS)
    assert future.cancelled()
    assert not answered, "closing waits for the answer"
    closed.set()


def test_replies_that_are_no_captions(start: Start) -> None:
    bodies = {
        20: "<html>gateway</html>",
        40: {"choices": []},
        60: said("a photo cut sh", "length"),
        80: said("", "content_filter"),
        100: said("I'm sorry, but I can't describe people in images."),
        120: said([{"type": "text", "text": " a photo "}, {"type": "text", "text": "in parts"}]),
        140: said(None, reasoning="a long thought"),
        160: b"\xff\xfe",
        180: said("  "),
    }

    def oddly(asked: Asked) -> Answer:
        body = next((b for s, b in bodies.items() if abs(s - asked.shade) <= 2), None)
        return captioned(asked) if body is None else Answer(body)

    with opened(start(oddly)) as captioner:
        rows = ask(captioner, list(bodies))
    assert [(c.status, c.reason, c.text) for (c,) in rows] == [
        ("error", "reply_not_json", ""),
        ("error", "reply_malformed", ""),
        ("truncated", None, "a photo cut sh"),
        ("refused", "content_filter", ""),
        ("refused", "declined", "I'm sorry, but I can't describe people in images."),
        ("ok", None, "a photo in parts"),
        ("empty", "only_thinking", ""),
        ("error", "reply_not_json", ""),
        ("empty", None, ""),
    ]


def test_a_reply_without_end_is_not_read_to_the_end(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_client, "MAX_REPLY_BYTES", 100_000)

    def endless(asked: Asked) -> Answer:
        return Answer(said("x" * 200_000)) if asked.shade < 50 else captioned(asked)

    with opened(start(endless)) as captioner:
        assert [c.reason for (c,) in ask(captioner, [200, 10])] == [None, "reply_too_large"]
