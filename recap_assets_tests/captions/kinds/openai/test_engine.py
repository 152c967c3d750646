"""Captions by a server on loopback: in order, so many at once, paid for once, the key unseen."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recap_assets.captions.kinds.openai import OpenAISource
from recap_assets.captions.servers.client import models_served
from recap_assets.engines.errors import CaptionServerError
from recap_assets.engines.protocols import RemoteCaptioner
from recap_assets_tests.captions.kinds.openai.asking import SHADES, ask, image, opened, uid
from recap_assets_tests.chat_server import (
    MODEL,
    Answer,
    Asked,
    Start,
    captioned,
    refused,
    said,
    together,
)

pytestmark = pytest.mark.usefixtures("no_long_pauses")

KEY = "sk-very-secret-4711"


def test_it_is_a_remote_captioner(start: Start) -> None:
    with opened(start()) as captioner:
        assert isinstance(captioner, RemoteCaptioner)


def test_what_is_asked_is_what_the_source_says(start: Start) -> None:
    server = start()
    keys = {
        "prompt": "What is it?",
        "system": "Be brief.",
        "decoding": {"temperature": 0.5, "top_p": 0.9, "top_k": 50, "min_tokens": 5,
                     "max_tokens": 40, "seed": 3},
        "extra_body": {"chat_template_kwargs": {"enable_thinking": False}},
    }  # fmt: skip
    with opened(server, **keys) as captioner:
        ((caption,),) = ask(captioner, [100])
    (asked,) = server.asked
    system, user = asked.body["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    assert user["content"][1] == {"type": "text", "text": "What is it?"}
    assert asked.image.shape == (40, 60, 3)
    assert abs(asked.shade - 100) <= 1
    rest = {key: value for key, value in asked.body.items() if key not in ("messages", "seed")}
    assert rest == {
        "model": MODEL, "temperature": 0.5, "top_p": 0.9, "top_k": 50, "min_tokens": 5,
        "max_tokens": 40, "chat_template_kwargs": {"enable_thinking": False},
    }  # fmt: skip
    assert 0 <= asked.body["seed"] < 2**31
    assert (caption.status, caption.n_prompt_tokens, caption.n_tokens) == ("ok", 300, 7)
    assert caption.seconds is not None
    assert caption.seconds > 0


def test_order_is_kept_whatever_the_delays(start: Start) -> None:
    delays = np.random.default_rng(0)

    def late(asked: Asked) -> Answer:
        return Answer(captioned(asked).body, seconds=delays.uniform(0, 0.05))

    with opened(start(late), candidates=2, concurrency=16) as captioner:
        first = captioner.submit([image(s) for s in SHADES], [uid(s) for s in SHADES])
        second = captioner.submit([image(250)], [uid(250)])
        rows = [*first.result(), *second.result()]
    for shade, row in zip((*SHADES, 250), rows, strict=True):
        assert [int(re.findall(r"\d+", c.text)[0]) for c in row] == pytest.approx(
            [shade] * 2, abs=1
        )
    texts = [c.text for row in rows for c in row]
    assert len(set(texts)) == len(texts)  # another seed for each uid and candidate


def test_a_caption_depends_on_neither_batch_nor_order(start: Start) -> None:
    with opened(start(), candidates=2) as captioner:
        together = dict(zip(SHADES, ask(captioner), strict=True))
    with opened(start(), candidates=2, concurrency=1) as captioner:
        for shade in reversed(SHADES):
            (alone,) = ask(captioner, [shade])
            assert [c.text for c in alone] == [c.text for c in together[shade]]


def test_no_more_requests_than_agreed_are_under_way(start: Start) -> None:
    server = start(together(4))
    with opened(server, concurrency=4) as captioner:
        work = ([image(s) for s in SHADES], [uid(s) for s in SHADES])
        for one in [captioner.submit(*work), captioner.submit(*work)]:
            one.result()
    assert server.most_at_once == 4


def test_what_was_replied_is_not_asked_for_again_but_failures_are(
    start: Start, tmp_path: Path
) -> None:
    def refuses_dark(asked: Asked) -> Answer:
        return refused("cannot load image", 400) if asked.shade < 50 else captioned(asked)

    server = start(refuses_dark)
    replies = tmp_path / "replies.sqlite"
    with opened(server, replies) as captioner:
        before = ask(captioner, [200, 10, 220])
    assert before[1][0].reason == "request_refused"
    server.asked.clear()
    server.answer = captioned
    with opened(server, replies, concurrency=3, timeout_seconds=9) as captioner:
        after = ask(captioner, [200, 10, 220])
        assert (captioner.usage.cache_hits, captioner.usage.requests) == (2, 1)
    assert (after[0], after[2]) == (before[0], before[2])  # seconds too
    assert after[1][0].status == "ok"
    with opened(server, replies, prompt="Another?") as captioner:
        ask(captioner, [200])
        assert captioner.usage.cache_hits == 0
    with opened(server, replies, cache=False) as captioner:
        ask(captioner, [200])
        assert captioner.usage.requests == 1


def test_copies_of_an_image_are_asked_for_once_where_nothing_is_drawn(
    start: Start, tmp_path: Path
) -> None:
    server = start()
    keys = {"decoding": {"temperature": 0}, "concurrency": 1}
    with opened(server, tmp_path / "replies.sqlite", **keys) as captioner:
        rows = captioner.caption([image(10)] * 2, [uid(1), uid(2)])
    assert "seed" not in server.asked[0].body
    assert (len(server.asked), rows[0][0].text) == (1, rows[1][0].text)


def test_another_process_finds_the_replies(start: Start, tmp_path: Path) -> None:
    server = start()
    replies = tmp_path / "replies.sqlite"
    with opened(server, replies) as captioner:
        mine = ask(captioner, [10, 20])
    code = f"""
from pathlib import Path
from recap_assets_tests.captions.kinds.openai.asking import *
class At: base_url = {server.base_url!r}
with opened(At, Path({str(replies)!r})) as captioner:
    print([c.text for (c,) in ask(captioner, [10, 20, 30])], captioner.usage.requests)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - our own words
    texts, requests = done.stdout.rsplit(" ", 1)
    assert int(requests) == 1
    assert all(c.text in texts for (c,) in mine)


def test_the_key_is_sent_and_nothing_else_ever_shows_it(
    start: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CAPTION_KEY", f"  {KEY}\n")
    caplog.set_level(0)

    def echoes(asked: Asked) -> Answer:
        told = f"you sent {asked.headers['authorization']}"
        return refused(told, 401) if asked.shade < 50 else Answer(said(told))

    server = start(echoes)
    replies = tmp_path / "replies.sqlite"
    with opened(server, replies, api_key_env="CAPTION_KEY", concurrency=1) as captioner:
        ((caption,),) = ask(captioner, [200])
        with pytest.raises(CaptionServerError) as raised:
            ask(captioner, [10])
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert caption.text == "you sent Bearer [key]"
    assert "you sent Bearer [key]" in str(raised.value)
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    printed = "".join(capfd.readouterr())
    assert KEY not in f"{raised.getrepr(style='long')}{caplog.text}{printed}"
    assert KEY.encode() not in kept


@pytest.mark.parametrize(
    ("value", "words"), [(None, "is not set"), (" ", "is not set"), ("a\nb", "is set to what")]
)
def test_a_missing_key_is_told_before_anything_is_asked(
    start: Start, monkeypatch: pytest.MonkeyPatch, value: str | None, words: str
) -> None:
    monkeypatch.delenv("CAPTION_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("CAPTION_KEY", value)
    server = start()
    with (
        pytest.raises(CaptionServerError, match=rf"CAPTION_KEY {words}"),
        opened(server, api_key_env="CAPTION_KEY"),
    ):
        pass
    assert not server.asked


def test_no_proxy_stands_between_this_machine_and_itself(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with opened(start(), max_attempts=1) as captioner:
        assert ask(captioner, [10])[0][0].status == "ok"


def test_the_models_that_a_server_lists(start: Start) -> None:
    server = start()
    source = OpenAISource(kind="openai", model=MODEL, base_url=server.base_url)
    assert models_served(source) == [MODEL]
    wrong = source.model_copy(update={"base_url": server.base_url.removesuffix("/v1")})
    with pytest.raises(CaptionServerError, match=r"404 to /models\. See that base_url ends in /v1"):
        models_served(wrong)
    server.stop()
    with pytest.raises(CaptionServerError, match=r"cannot be reached.*recap serve-captioner"):
        models_served(source)
