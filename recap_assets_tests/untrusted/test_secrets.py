"""Secrets, known ones and those that look like it, are cut out of texts, bytes and log records."""

import base64
import html
import json
import logging
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap_assets.untrusted import secrets
from recap_assets.untrusted.log_records import clean_log_records
from recap_assets.untrusted.secrets import learn, learn_environment, redacted, without_known

SECRET = "Tr0ub4dor&3/ x+'y\"=z"  # noqa: S105 - nobody's


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_known", set())
    monkeypatch.setattr(secrets, "_pattern", None)


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        SECRET.upper(),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
        html.escape(SECRET),
        SECRET.encode().hex(),
    ],
)
def test_a_known_secret_is_cut_out_in_every_form(form: str) -> None:
    learn(SECRET)
    assert redacted(f"it said {form}, twice: {form}") == "it said [key], twice: [key]"
    assert without_known(f'{{"a": "{form}"}}'.encode()) == b'{"a": "[key]"}'


@given(st.binary(max_size=7), st.binary(max_size=7))
def test_base64_of_what_holds_a_secret_shows_none_of_it(before: bytes, after: bytes) -> None:
    learn(SECRET)
    encoded = base64.b64encode(before + SECRET.encode() + after).decode()
    shown = redacted(f"Basic {encoded}")
    assert "[key]" in shown
    left = shown.removeprefix("Basic ").split("[key]")
    assert sum(map(len, left)) <= len(base64.b64encode(before + after)) + 4


def test_a_short_word_is_no_secret() -> None:
    learn("EMPTY", "", None)
    assert redacted("an EMPTY room") == "an EMPTY room"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:hunter2@db/x", "postgresql://me:[hidden]@db/x"),
        ("https://:tok@host/", "https://:[hidden]@host/"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [hidden]"),
        ('{"authorization": "Basic eDp5"}', '{"authorization": "Basic [hidden]"}'),
        ("s3?X-Amz-Signature=00ff&x=1", "s3?X-Amz-Signature=[hidden]&x=1"),
        ("dbname=x password=hunter2 host=y", "dbname=x password=[hidden] host=y"),
        ('{"aws_secret_access_key": "abcd/efg"}', '{"aws_secret_access_key": "[hidden]"}'),
        ("invalid key sk-abcdefghijklmnop1234", "invalid key [hidden]"),
        ("hf_abcdefghijklmnopqrstuvwx", "[hidden]"),
        ("AKIAABCDEFGHIJKLMNOP", "[hidden]"),
    ],
)
def test_what_has_a_secrets_form_is_hidden_whoever_it_belongs_to(text: str, shown: str) -> None:
    assert redacted(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "a cat on a mat",
        "see http://127.0.0.1:8000/v1 (model m@2)",
        "s3://bucket/a:b/c@d",
        "password: none is set",
        "the api_key_env: OPENAI_API_KEY is not set",
        "key 000000001 at 10:30",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert redacted(text) == text


def test_the_environment_names_its_secrets() -> None:
    learn_environment(
        {
            "AWS_SECRET_ACCESS_KEY": "aaaaaaaa11",
            "HF_TOKEN": "bbbbbbbb22",
            "PGPASSWORD": "cccccccc33",
            "CAPTIONS": "dddddddd44",
            "KEYBOARD": "eeeeeeee55",
        },
        more=["CAPTIONS"],
    )
    words = "aaaaaaaa11 bbbbbbbb22 cccccccc33 dddddddd44 eeeeeeee55"
    assert redacted(words) == "[key] [key] [key] [key] eeeeeeee55"


@pytest.fixture
def cleaned_records() -> Iterator[None]:
    before = logging.getLogRecordFactory()
    clean_log_records()
    yield
    logging.setLogRecordFactory(before)


@pytest.mark.usefixtures("cleaned_records")
def test_no_logger_writes_a_secret_or_an_escape_code(caplog: pytest.LogCaptureFixture) -> None:
    learn(SECRET)
    logger = logging.getLogger("some.library")
    logger.error("got %s of %d", SECRET, 3)
    logger.error("got %s", ValueError(f"{SECRET} \x1b[2J"))
    try:
        raise ValueError(SECRET)
    except ValueError:
        logger.exception("failed")
    assert SECRET not in caplog.text
    assert "\x1b" not in caplog.text
    assert [record.getMessage() for record in caplog.records] == [
        "got [key] of 3", r"got [key] \x1b[2J", "failed",
    ]  # fmt: skip
    assert caplog.records[0].args == ("[key]", 3)
    assert "ValueError: [key]" in caplog.text


@pytest.mark.usefixtures("cleaned_records")
def test_a_record_with_nothing_to_hide_is_left_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    error = ValueError("x")
    logging.getLogger("some.library").error("a %s\nb", error, exc_info=error)
    (record,) = caplog.records
    assert (record.msg, record.args) == ("a %s\nb", (error,))
    assert record.exc_info is not None
