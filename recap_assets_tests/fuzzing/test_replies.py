"""Whatever a server answers is a caption, or a reason; its text fits the table."""

import json
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from recap_assets.captions.servers.replies import MAX_CHARACTERS, caption_of
from recap_assets.engines.protocols import Caption, CaptionStatus
from recap_assets_tests.fuzzing.damage import Damage, damages

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
CONTENTS = st.text() | st.lists(st.fixed_dictionaries({"text": VALUES}) | VALUES, max_size=3)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "content": CONTENTS | VALUES, "refusal": VALUES, "reasoning": VALUES, "tool_calls": VALUES,
    },
)  # fmt: skip
CHOICES = st.fixed_dictionaries(
    {"message": MESSAGES},
    optional={"finish_reason": st.sampled_from(["stop", "length", "abort", "content_filter"])},
)
USAGE = st.fixed_dictionaries({}, optional={"prompt_tokens": VALUES, "completion_tokens": VALUES})
REPLIES = st.fixed_dictionaries(
    {"choices": st.lists(CHOICES | VALUES, max_size=2) | VALUES}, optional={"usage": USAGE | VALUES}
)


def check(caption: Caption) -> None:
    assert caption.status in get_args(CaptionStatus)
    assert len(caption.text) <= MAX_CHARACTERS
    assert "\0" not in caption.text
    caption.text.encode()
    assert caption.status not in ("ok", "truncated") or caption.text == caption.text.strip() != ""
    assert caption.n_tokens is None or 0 <= caption.n_tokens < 2**15
    assert caption.n_prompt_tokens is None or 0 <= caption.n_prompt_tokens < 2**31


@given(REPLIES, damages())
def test_any_reply_is_a_caption_or_a_reason(reply: object, damage: Damage) -> None:
    body = json.dumps(reply).encode()
    check(caption_of(body, 1.0))
    check(caption_of(damage(body), 1.0))


@given(st.text(min_size=1))
def test_a_caption_has_no_letter_that_the_server_did_not_send(text: str) -> None:
    body = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
    assert set(caption_of(body, 1.0).text) <= set(text) | {"?", " "}
