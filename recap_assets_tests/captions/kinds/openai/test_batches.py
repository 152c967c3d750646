"""A provider's batches: asked once, collected after any kill, and no reply is believed."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from recap_assets.captions.kinds.openai import OpenAISource
from recap_assets.captions.kinds.openai.engine import ServerCaptioner
from recap_assets.captions.kinds.openai.spec import OpenAISpec
from recap_assets.captions.servers import client as server_client
from recap_assets.captions.servers.batches import asking, client, lines, pending
from recap_assets.engines.errors import CaptionServerError
from recap_assets.engines.protocols import Caption
from recap_assets_tests.batch_server import BatchServer, batch_servers
from recap_assets_tests.captions.kinds.openai.asking import SHADES, ask, image, opened, uid
from recap_assets_tests.chat_server import MODEL, Answer, captioned, refused, said
from recap_assets_tests.waiting import SECONDS

Start = Callable[..., BatchServer]

REPOSITORY = Path(__file__).parents[4]


@pytest.fixture
def start() -> Iterator[Start]:
    with batch_servers() as start:
        yield start


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_client, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(asking, "FIRST_POLL", 0.01)
    monkeypatch.setattr(asking, "FULL_PAUSE", 0.02)


@pytest.fixture
def replies(tmp_path: Path) -> Path:
    return tmp_path / "replies.sqlite"


def announced(captioner: ServerCaptioner, shades: Any = SHADES) -> None:
    """Announce images in two calls, as a stage does, until all is settled."""
    half = len(shades) // 2
    while True:
        for part in (shades[:half], shades[half:]):
            captioner.announce_images([image(s) for s in part], [uid(s) for s in part])
        if captioner.collect(lambda _: None):
            return


def in_batches(server: BatchServer, replies: Path, **keys: Any) -> list[Caption]:
    with opened(server, replies, batch=True, **keys) as captioner:
        announced(captioner)
        return [caption for row in ask(captioner) for caption in row]


def created(server: BatchServer) -> int:
    return server.asked_of.count("POST /batches")


def test_batches_give_the_captions_that_single_requests_give(start: Start, replies: Path) -> None:
    server = start()
    server.looks = 3
    shares: list[float] = []
    prices = {"price_per_million_prompt_tokens": 2, "price_per_million_completion_tokens": 10}
    with opened(server, replies, batch=True, candidates=2, **prices) as captioner:
        captioner.announce_images([image(s) for s in SHADES], [uid(s) for s in SHADES])
        assert captioner.collect(shares.append)
        rows = ask(captioner)
        usage = captioner.usage
        source: OpenAISpec = captioner._asked_of
    assert not server.asked  # nothing at the price of single requests
    assert created(server) == 1
    n = 2 * len(SHADES)
    assert (usage.requests, usage.retries, usage.cache_hits) == (n, 0, 0)
    assert (usage.prompt_tokens, usage.completion_tokens) == (300 * n, 7 * n)
    assert source.cost_with(usage)["cost"] == pytest.approx((600 * n + 70 * n) / 1e6 / 2)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    with opened(start(), candidates=2) as captioner:
        singly = ask(captioner)
    assert [[c.text for c in row] for row in rows] == [[c.text for c in row] for row in singly]
    assert {c.status for row in rows for c in row} == {"ok"}


def test_what_was_replied_is_asked_in_no_batch_and_the_other_way_round(
    start: Start, replies: Path
) -> None:
    server = start()
    with opened(server, replies) as captioner:
        ask(captioner, SHADES[:5])
    assert len(server.asked) == 5
    in_batches(server, replies)
    assert len(server.paid) == len(SHADES) - 5
    with opened(server, replies) as captioner:
        ask(captioner)
        assert captioner.usage.cache_hits == len(SHADES)
    assert in_batches(server, replies)[0].status == "ok"
    assert created(server) == 1
    assert len(server.asked) == 5


def test_files_keep_to_the_bounds(
    start: Start, replies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start()
    monkeypatch.setattr(lines, "MOST_REQUESTS", 7)
    captions = in_batches(server, replies)
    uploaded = [server.files[one["input_file_id"]] for one in server.batches.values()]
    assert [len(one.splitlines()) for one in uploaded] == [7, 7, 6]
    assert {caption.status for caption in captions} == {"ok"}
    monkeypatch.setattr(lines, "MOST_FILE_BYTES", 3 * len(uploaded[0].splitlines()[0]))
    server.batches.clear()
    in_batches(server, replies, prompt="Again?")
    assert all(
        len(server.files[one["input_file_id"]]) <= lines.MOST_FILE_BYTES
        for one in server.batches.values()
    )
    monkeypatch.setattr(lines, "MOST_FILE_BYTES", 100)
    (too_large, *_) = in_batches(server, replies, prompt="And now?")
    assert (too_large.status, too_large.reason) == ("error", "request_refused")


def test_errors_of_lines_are_rows_with_reasons(start: Start, replies: Path) -> None:
    oddities: dict[int, Answer] = {
        5: refused("cannot load image", 400),
        17: Answer({"choices": []}),
        29: Answer(said("I'm sorry, but I can't describe people in images.")),
        41: Answer(said("a photo cut sh", "length")),
    }
    server = start()
    server.answer = lambda asked: next(
        (a for s, a in oddities.items() if abs(s - asked.shade) <= 1), captioned(asked)
    )
    captions = in_batches(server, replies)
    assert [(c.status, c.reason) for c in captions[:5]] == [
        ("error", "request_refused"),
        ("error", "reply_malformed"),
        ("refused", "declined"),
        ("truncated", None),
        ("ok", None),
    ]
    assert created(server) == 1
    assert not server.asked


def test_what_a_batch_leaves_is_asked_again_and_nothing_that_it_answered(
    start: Start, replies: Path
) -> None:
    server = start()
    server.end = "expired"

    def half_first(what: str) -> None:
        if what == "POST /files" and "POST /files" in server.asked_of[:-1]:
            server.end = "completed"

    server.before = half_first
    with opened(server, replies, batch=True) as captioner:
        announced(captioner)
        assert (captioner.usage.requests, captioner.usage.retries) == (30, 10)
        assert {row[0].status for row in ask(captioner)} == {"ok"}
    assert created(server) == 2
    assert set(server.paid.values()) == {1}


def test_a_request_that_is_never_answered_is_given_up_and_costs_only_itself(
    start: Start, replies: Path
) -> None:
    server = start(lambda asked: refused("boom", 500) if asked.shade < 10 else captioned(asked))
    captions = in_batches(server, replies)
    assert [c.reason for c in captions] == ["server_failed"] + [None] * (len(SHADES) - 1)
    assert max(server.paid.values()) == created(server) == 4
    assert not server.asked
    # Alone, it might be the provider that is to blame: the plain image is the proof.
    assert in_batches(server, replies)[0].reason == "server_failed"
    assert {asked.shade for asked in server.asked} == {128}


def test_a_provider_that_answers_nothing_stops_the_step_and_blames_no_image(
    start: Start, replies: Path
) -> None:
    server = start(lambda _: refused("Invalid token", 401))
    with pytest.raises(CaptionServerError, match="401: Invalid token"):
        in_batches(server, replies)
    server.answer = captioned
    assert {caption.status for caption in in_batches(server, replies)} == {"ok"}


def test_a_batch_that_is_refused_says_why_and_is_begun_again(start: Start, replies: Path) -> None:
    server = start()
    wrong = {"code": "invalid_json_line", "message": "This line is no JSON.", "line": 3}
    server.errors = {"object": "list", "data": [wrong]}
    with pytest.raises(CaptionServerError, match=r"is refused: .*invalid_json_line.*\"line\": 3"):
        in_batches(server, replies)
    server.errors = None
    assert {caption.status for caption in in_batches(server, replies)} == {"ok"}
    assert set(server.paid.values()) == {1}


def test_a_full_queue_is_waited_for(start: Start, replies: Path) -> None:
    server = start()
    full = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached."}
    server.errors = {"object": "list", "data": [full]}

    def room_at_last(what: str) -> None:
        if what == "POST /batches" and created(server) == 3:
            server.errors = None

    server.before = room_at_last
    assert {caption.status for caption in in_batches(server, replies)} == {"ok"}
    assert server.asked_of.count("POST /files") == 1
    assert set(server.paid.values()) == {1}


def test_a_batch_that_somebody_cancelled_keeps_what_it_answered(
    start: Start, replies: Path
) -> None:
    server = start()
    server.end = "cancelled"
    with pytest.raises(CaptionServerError, match=r"was cancelled there.*build again"):
        in_batches(server, replies)
    server.end = "completed"
    assert {caption.status for caption in in_batches(server, replies)} == {"ok"}
    assert set(server.paid.values()) == {1}
    assert len(server.paid) == len(SHADES)


def test_a_batch_or_results_that_are_gone_are_asked_again(start: Start, replies: Path) -> None:
    server = start()

    def vanish(what: str) -> None:
        if what.startswith("GET /batches/") and created(server) == 1:
            server.batches.clear()
        if what.endswith("/content") and created(server) == 2:
            server.files.clear()

    server.before = vanish
    assert {caption.status for caption in in_batches(server, replies)} == {"ok"}
    assert created(server) == 3


def test_a_provider_that_is_away_for_a_while_is_asked_again(start: Start, replies: Path) -> None:
    server = start()
    failed: Counter[str] = Counter()

    def away(what: str) -> Answer | None:
        kind = re.sub(r"\d+", "", what)
        failed[kind] += 1
        return refused("restarting", 503) if failed[kind] % 2 else None

    server.after = away
    assert {caption.status for caption in in_batches(server, replies)} == {"ok"}
    # The reply to the creation was lost, and the batch was found.
    assert len(server.batches) == 1
    assert set(server.paid.values()) == {1}


def test_one_that_stays_away_is_an_error_that_keeps_the_batch(start: Start, replies: Path) -> None:
    server = start()
    server.after = lambda what: refused("down", 502) if "GET /batches/" in what else None
    with pytest.raises(CaptionServerError, match=r"502 to /batches/batch_2: down.*build again"):
        in_batches(server, replies, max_attempts=2)
    server.after = lambda _: None
    assert {caption.status for caption in in_batches(server, replies)} == {"ok"}
    assert created(server) == 1


def test_a_batch_that_never_ends_is_not_waited_for_without_end(
    start: Start, replies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start()
    server.looks = 10**9
    monkeypatch.setattr(asking, "LONGEST_WAIT", 0.5)
    with pytest.raises(CaptionServerError, match=r"is in_progress after .* hours. It is kept"):
        in_batches(server, replies)
    monkeypatch.undo()
    server.looks = 1
    assert {caption.status for caption in in_batches(server, replies)} == {"ok"}
    assert created(server) == 1


KEY = "0" * 64
HOSTILE: dict[str, bytes] = {
    "no json": b"<html>",
    "no object": b"[1, 2]",
    "no name": b'{"response": {"status_code": 200}}',
    "a name that is none": b'{"custom_id": "' + b"z" * 64 + b'"}',
    "a number for a name": b'{"custom_id": 7}',
    "a request of nobody": json.dumps(
        {"custom_id": KEY, "response": {"status_code": 200}}
    ).encode(),
    "deep": b"[" * 100_000,
    "long": b"x" * (9 * 2**20),
    "not utf-8": b'{"custom_id": "\xff\xfe"}',
}


@pytest.mark.parametrize("line", HOSTILE.values(), ids=HOSTILE)
def test_lines_that_are_no_results_are_passed_by(start: Start, replies: Path, line: bytes) -> None:
    server = start()
    server.results = lambda found: [line, *found[:3], line, *found[3:], line]
    assert {caption.status for caption in in_batches(server, replies)} == {"ok"}
    assert created(server) == 1


def test_no_batch_answers_what_another_was_asked_and_the_first_answer_counts(
    start: Start, replies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start()
    monkeypatch.setattr(lines, "MOST_REQUESTS", 10)
    names: list[str] = []

    def swapped(found: list[bytes]) -> list[bytes]:
        names.extend(json.loads(line)["custom_id"] for line in found)
        forged = [
            {"custom_id": name, "response": {"status_code": 200, "body": said("forged")}}
            for name in names
        ]
        return [*found, *(json.dumps(one).encode() for one in forged)]

    server.results = swapped
    assert "forged" not in {caption.text for caption in in_batches(server, replies)}


@pytest.mark.parametrize(
    ("at", "body"),
    [
        ("POST /files", {"id": "../../secrets"}),
        ("POST /files", {"id": ""}),
        ("POST /files", ["file-1"]),
        ("GET /batches/", "<html>"),
        ("GET /batches/", {"id": "b", "input_file_id": "f", "output_file_id": "a/../b"}),
        ("GET /batches/", b"[" * 100_000),
    ],
)
def test_replies_that_are_none_end_in_words(
    start: Start, replies: Path, at: str, body: Any
) -> None:
    server = start()
    server.after = lambda what: Answer(body) if what.startswith(at) else None
    with pytest.raises(CaptionServerError, match=r"answers with .*build again"):
        in_batches(server, replies, max_attempts=2)
    server.after = lambda _: None
    assert {caption.status for caption in in_batches(server, replies)} == {"ok"}
    assert set(server.paid.values()) == {1}


@pytest.mark.parametrize("name", ["batch 1", "b" * 300, None, "../../v1/files"])
def test_a_batch_without_a_usable_name_is_found_by_its_file(
    start: Start, replies: Path, name: str | None
) -> None:
    server = start()
    reply = Answer({"id": name, "input_file_id": "file-1"})
    server.after = lambda what: reply if what == "POST /batches" else None
    assert {caption.status for caption in in_batches(server, replies)} == {"ok"}
    assert len(server.batches) == 1
    assert set(server.paid.values()) == {1}


def test_results_without_end_are_read_up_to_a_bound(
    start: Start, replies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start()
    monkeypatch.setattr(client, "MOST_RESULT_BYTES", 100_000)
    server.results = lambda found: [*found, b"x" * 200_000]
    with pytest.raises(CaptionServerError, match=r"results of more than .* kept there: build"):
        in_batches(server, replies)
    server.files = {
        name: content[:100_000].rpartition(b"\n")[0] for name, content in server.files.items()
    }
    assert {caption.status for caption in in_batches(server, replies)} == {"ok"}
    assert set(server.paid.values()) == {1}


def test_the_key_is_in_no_file_and_no_error(
    start: Start, replies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTION_KEY", "sk-very-secret-4711")
    server = start(lambda _: Answer(said("a photo of sk-very-secret-4711")))
    captions = in_batches(server, replies, api_key_env="CAPTION_KEY")
    assert {caption.text for caption in captions} == {"a photo of [key]"}
    kept = [path for path in replies.parent.iterdir() if path.is_file()]
    assert len(kept) >= 2
    assert not any(b"4711" in path.read_bytes() for path in kept)
    server.errors = {"object": "list", "data": [{"message": "sk-very-secret-4711 is no key"}]}
    with pytest.raises(CaptionServerError, match=r"\[key\] is no key") as raised:
        in_batches(server, replies, api_key_env="CAPTION_KEY", prompt="Again?")
    assert "4711" not in str(raised.value)


def test_batches_of_a_damaged_file_are_an_error_in_words(start: Start, replies: Path) -> None:
    replies.with_name("server_batches.sqlite").write_bytes(b"no database" * 1_000)
    with pytest.raises(CaptionServerError, match=r"the batches kept in .*server_batches\.sqlite"):
        in_batches(start(), replies)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"cache": False}, "leave out `cache: false`"),
        ({"base_url": ["http://a/v1", "http://b/v1"]}, "batch: true asks one provider"),
        ({"batch_price": 0}, "greater than 0"),
    ],
)
def test_what_cannot_be_batched_is_refused(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        OpenAISource.model_validate({"kind": "openai", "model": MODEL, "batch": True, **keys})


def test_batches_decide_nothing() -> None:
    plain = OpenAISource(kind="openai", model=MODEL)
    batched = OpenAISource(kind="openai", model=MODEL, batch=True, batch_price=0.4)
    assert plain.decides() == batched.decides()


KILLED = """
import sys
from pathlib import Path
from recap_assets.captions.servers.batches import asking
from recap_assets_tests.captions.kinds.openai.asking import opened
from recap_assets_tests.captions.kinds.openai.test_batches import announced
asking.FIRST_POLL = 0.01
class Server: base_url = sys.argv[1]
with opened(Server(), Path(sys.argv[2]), batch=True) as captioner:
    announced(captioner)
"""

MOMENTS = {
    "before the upload": ("before", "POST /files"),
    "when the file was uploaded": ("after", "POST /files"),
    "before the batch was made": ("before", "POST /batches"),
    "when the batch was made": ("after", "POST /batches"),
    "while it works": ("after", "GET /batches/"),
    "before the results are read": ("before", "/content"),
    "when the results were sent": ("after", "/content"),
}


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_a_build_that_is_killed_pays_for_nothing_twice(
    start: Start, replies: Path, moment: tuple[str, str]
) -> None:
    server = start()
    server.looks = 2
    hook, at = moment
    command = [sys.executable, "-c", KILLED, server.base_url, str(replies)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(command, env=environment, cwd=REPOSITORY)  # noqa: S603 - our own words

    def kill(what: str) -> None:
        if at in what and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()

    setattr(server, hook, kill)
    assert process.wait(SECONDS) == -signal.SIGKILL
    captions = in_batches(server, replies)
    assert {caption.status for caption in captions} == {"ok"}
    assert len(server.batches) == 1
    assert set(server.paid.values()) == {1}
    assert len(server.paid) == len(SHADES)
    left = pending.PendingBatches(replies.with_name("server_batches.sqlite"))
    assert left.at(server.base_url) == []
    left.close()


def test_two_builds_at_once_share_what_is_pending(start: Start, replies: Path) -> None:
    server = start()
    server.looks = 4
    with (
        opened(server, replies, batch=True) as first,
        opened(server, replies, batch=True) as second,
    ):
        first.announce_images([image(s) for s in SHADES], [uid(s) for s in SHADES])
        first._begin(first._of_batches()._send()).result()
        announced(second)
        announced(first)
        assert ask(first) == ask(second)
    assert created(server) == 1
    assert set(server.paid.values()) == {1}
