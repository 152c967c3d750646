"""Whatever a server answers is a caption with a status, and fits the table."""

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.captions.servers.replies import MAX_CHARACTERS, caption_of
from recap_assets_tests.chat_server import said


def read(body: Any) -> tuple[str, str | None, str]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    caption = caption_of(content, 0.5)
    assert caption.seconds == 0.5
    return caption.status, caption.reason, caption.text


@pytest.mark.parametrize(
    "body", [b"", b"hello", b"\xff", b'{"choices"', b"[" * 100_000, b"9" * 5_000]
)
def test_not_json(body: bytes) -> None:
    assert read(body) == ("error", "reply_not_json", "")


@pytest.mark.parametrize(
    "body",
    [
        [],
        None,
        3,
        {},
        {"choices": None},
        {"choices": {}},
        {"choices": [None]},
        {"choices": [{"message": "a photo"}]},
        {"error": {"message": "overloaded"}},
    ],
)
def test_json_of_another_form(body: Any) -> None:
    assert read(body) == ("error", "reply_malformed", "")


@pytest.mark.parametrize(
    ("content", "more"),
    [
        (7, {}),
        ({"text": "a photo"}, {}),
        ([{"type": "image", "data": "..."}], {}),
        (None, {"tool_calls": [{"id": "1"}]}),
        (None, {"audio": {"id": "1"}}),
    ],
)
def test_not_text(content: Any, more: dict[str, Any]) -> None:
    assert read(said(content, **more)) == ("error", "reply_not_text", "")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (said(" a photo \n"), ("ok", None, "a photo")),
        (said(["a ", {"type": "text", "text": "photo"}]), ("ok", None, "a photo")),
        (said("a photo", None), ("ok", None, "a photo")),
        (said("a pho", "length"), ("truncated", None, "a pho")),
        (said("a photo", reasoning="I see"), ("ok", None, "a photo")),
        (said("<think>I see\na cat</think>\n\na photo"), ("ok", None, "a photo")),
        (said("a <think>ing man</think>"), ("ok", None, "a <think>ing man</think>")),
        (said("<think>I see and", "length"), ("empty", "only_thinking", "")),
        (said(None, "length", reasoning_content="I"), ("empty", "only_thinking", "")),
        (said([]), ("empty", None, "")),
        (said(" \0 "), ("empty", None, "")),
        (said(None, refusal="I can't."), ("refused", "declined", "")),
        (said("a photo", "abort"), ("error", "aborted", "")),
        (said("a \ud83d photo\0"), ("ok", None, "a ? photo")),
        (said("I look.\n</think>\n\na photo<|im_end|>"), ("ok", None, "a photo")),
        (said("assistant\n\na photo</s>", "length"), ("truncated", None, "a photo")),
        (said("I look.\n</think>"), ("empty", "only_thinking", "")),
        (said("<|im_end|>"), ("empty", None, "")),
        (said("!" * 60, "length"), ("degenerate", "no_words", "!" * 60)),
        (said("<unk> <unk>"), ("degenerate", "unknown_tokens", "<unk> <unk>")),
        (
            said("抱歉，我无法描述这张图片。</s>"),
            ("refused", "declined", "抱歉，我无法描述这张图片。"),
        ),
    ],
)
def test_statuses(reply: Any, expected: tuple[str, str | None, str]) -> None:
    assert read(reply) == expected


def test_a_caption_is_bounded() -> None:
    words = " ".join(f"{n * n}" for n in range(MAX_CHARACTERS))
    status, _, text = read(said(words))
    assert (status, len(text)) == ("truncated", MAX_CHARACTERS)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 300, "completion_tokens": 7}, (300, 7)),
        ({"prompt_tokens": 2**40, "completion_tokens": 10**9}, (None, None)),
        ({"prompt_tokens": -1, "completion_tokens": True}, (None, None)),
        ({"prompt_tokens": "300"}, (None, None)),
        (None, (None, None)),
        ([], (None, None)),
    ],
)
def test_token_counts_are_those_of_the_server_or_unknown(
    usage: Any, expected: tuple[int | None, int | None]
) -> None:
    caption = caption_of(json.dumps({**said("a photo"), "usage": usage}).encode(), 0.5)
    assert (caption.n_prompt_tokens, caption.n_tokens) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["choices", "message", "content", "text", "usage", "finish_reason",
                         "refusal", "prompt_tokens", "completion_tokens", "reasoning"]), inner
    ),
    max_leaves=12,
)  # fmt: skip


@given(JSON | st.builds(lambda c: {"choices": [{"message": {"content": c}}], "usage": c}, JSON))
def test_no_reply_is_an_exception_and_all_fit_the_table(reply: Any) -> None:
    caption = caption_of(json.dumps(reply).encode(), 0.5)
    row = {
        "text": caption.text or None,
        "n_tokens": caption.n_tokens,
        "n_prompt_tokens": caption.n_prompt_tokens,
    }
    schema = {name: SYNTHETIC_CAPTIONS.schema[name] for name in row}
    assert pl.DataFrame([row], schema=schema).rows() == [tuple(row.values())]
    assert (caption.text == "") == (caption.status in ("empty", "error")) or (
        caption.status == "refused"
    )
