"""A failing object store is told in one sentence, and a broken connection is tried again."""

from pathlib import Path

import pytest

from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.storage import store_errors
from recap_assets.storage.store_errors import TRIES, in_words_of_store, patiently

KEPT_FAILING = """Kernel error -> Generic S3 error
          \x1b[31m↳\x1b[0m Error performing GET http://127.0.0.1:1/b/t in 3.9s, after 10 retries
           \x1b[31m↳\x1b[0m 180s  - Server returned non-2xx status code
             \x1b[31m↳\x1b[0m 503 Service Unavailable
              \x1b[31m↳\x1b[0m <Error><Code>SlowDown</Code><Message>Wait.</Message></Error>"""
BROKE_OFF = """Kernel error -> Generic S3 error
          \x1b[31m↳\x1b[0m Error getting list response body
           \x1b[31m↳\x1b[0m HTTP error
            \x1b[31m↳\x1b[0m request or response body error"""
OF_POLARS = (
    "object-store error: Generic S3 error: Error performing GET http://127.0.0.1:1/b/t in 8.7s, "
    "after 8 retries - Server returned non-2xx status code: 500 Internal Server Error: "
    "<Error><Code>InternalError</Code></Error> (path: s3://b/t)"
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (KEPT_FAILING, "the object store (S3) kept answering HTTP 503 (SlowDown): check it"),
        (OF_POLARS, "the object store (S3) kept answering HTTP 500 (InternalError): check it"),
        (BROKE_OFF, "the connection to the object store (S3) broke off: check it"),
        ("Generic S3 error: HTTP error: operation timed out", "does not answer in time: check"),
        ("Generic S3 error: HTTP error: tcp connect error", "cannot be reached"),
        ("Generic S3 error: 404 <Code>NoSuchBucket</Code>", "there is no such bucket"),
        ("Generic S3 error: 403 <Code>AccessDenied</Code>", "the credentials may not do this"),
    ],
)
def test_what_it_did_is_said_in_one_line(text: str, told: str) -> None:
    words = in_words_of_store(OSError(text))
    assert words is not None
    assert told in words
    assert not {"\n", "\x1b"} & set(words)


def test_another_error_is_no_store_s(tmp_path: Path) -> None:
    assert in_words_of_store(FileNotFoundError(2, "No such file", str(tmp_path))) is None


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_errors.time, "sleep", lambda _seconds: None)


@pytest.mark.usefixtures("at_once")
def test_what_broke_off_is_tried_again_and_what_was_answered_is_not() -> None:
    tried: list[str] = []

    def fail(text: str, times: int) -> str:
        tried.append(text)
        if len(tried) <= times:
            raise OSError(text)
        return CLIP_SCORES.name

    assert patiently(lambda: fail(BROKE_OFF, TRIES - 1)) == CLIP_SCORES.name
    tried.clear()
    with pytest.raises(OSError, match="HTTP error"):
        patiently(lambda: fail(BROKE_OFF, TRIES))
    assert len(tried) == TRIES
    tried.clear()
    with pytest.raises(OSError, match="SlowDown"):
        patiently(lambda: fail(KEPT_FAILING, 1))
    assert len(tried) == 1


def test_an_error_of_a_disk_is_not_told_as_one_of_a_store() -> None:
    text = "Generic LocalFileSystem error: Unable to open /data/a: Input/output error (os error 5)"
    assert in_words_of_store(OSError(text)) is None
