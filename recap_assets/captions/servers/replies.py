"""What a captioning server answers, read without trust: a caption, or the reason why it is none."""

from recap_assets.engines.decoding.caption_texts import caption_within, damage_of, thinks
from recap_assets.engines.decoding.refusals import DECLINED, refusal_of
from recap_assets.engines.protocols import Caption, CaptionStatus
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_text import parse_json
from recap_assets.untrusted.secrets import without_known

MAX_CHARACTERS = 16_384
"""Of a caption; a server that ignores the bound on tokens is cut off here."""

_MOST_TOKENS = 32_767
_MOST_PROMPT_TOKENS = 2**31 - 1
"""What the columns of the captions' table hold."""

Json = dict[str, object]


def caption_of(body: bytes, seconds: float) -> Caption:
    """The caption that a reply holds.

    Args:
        body: Body of a reply with status 200, as it came.
        seconds: What the request took.

    Returns:
        ok or truncated; else what is set aside: empty, refused, degenerate, or an error. The text
        is what the model said aloud, without the marks that its server left in. The reasons of an
        error are `reply_not_json`, `reply_malformed` (no choices or no message), `reply_not_text`
        (tool calls, audio) and `aborted` (by the server).
    """
    try:
        reply = parse_json(body, len(body))
    except UntrustedError:
        return Caption("", "error", reason="reply_not_json", seconds=seconds)
    choice = _first_choice(reply)
    if choice is None:
        return Caption("", "error", reason="reply_malformed", seconds=seconds)
    message, finish = choice
    text, status, reason = _judged(message, finish)
    n_prompt_tokens, n_tokens = _tokens_of(reply)
    return Caption(
        text,
        status,
        n_tokens=_within(n_tokens, _MOST_TOKENS),
        reason=reason,
        n_prompt_tokens=_within(n_prompt_tokens, _MOST_PROMPT_TOKENS),
        seconds=seconds,
    )


def _mapping(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _first_choice(reply: object) -> tuple[Json, object] | None:
    choices = _mapping(reply).get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = _mapping(first).get("message")
    return (message, _mapping(first).get("finish_reason")) if isinstance(message, dict) else None


def _judged(message: Json, finish: object) -> tuple[str, CaptionStatus, str | None]:
    refusal = message.get("refusal")
    if finish == "content_filter" or (isinstance(refusal, str) and refusal.strip()):
        return "", "refused", "content_filter" if finish == "content_filter" else DECLINED
    said = _said(message)
    if said is None or finish in ("abort", "error"):
        return "", "error", "reply_not_text" if said is None else "aborted"
    # vLLM calls it reasoning, SGLang and DeepSeek reasoning_content; others leave it in the text.
    has_thought = bool(message.get("reasoning") or message.get("reasoning_content"))
    return text_and_status(said, is_cut=finish == "length", has_thought=has_thought)


def text_and_status(
    said: str, *, is_cut: bool, has_thought: bool = False
) -> tuple[str, CaptionStatus, str | None]:
    """The caption in what a chat model said, its status, and the reason where it is set aside.

    Args:
        said: By the model.
        is_cut: Whether the bound on tokens ended it.
        has_thought: Whether it thought before, elsewhere than in the text.
    """
    said = _clean(said)
    text = caption_within(said)
    if not text:
        return "", "empty", "only_thinking" if has_thought or thinks(said) else None
    is_cut = is_cut or len(text) > MAX_CHARACTERS
    text = text[:MAX_CHARACTERS].rstrip()
    if reason := refusal_of(text):
        # The rule may err, so what it read is kept for inspection.
        return text, "refused", reason
    if reason := damage_of(text, is_cut=is_cut):
        return text, "degenerate", reason
    return text, "truncated" if is_cut else "ok", None


def _said(message: Json) -> str | None:
    """The text of a message; None where it is something else. Some servers send a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if content is None:
        return None if message.get("tool_calls") or message.get("audio") else ""
    if not isinstance(content, list):
        return None
    parts = [part if isinstance(part, str) else _mapping(part).get("text") for part in content]
    texts = [part for part in parts if isinstance(part, str)]
    return "".join(texts) if texts or not content else None


def _clean(text: str) -> str:
    """Text that any table can hold: no lone surrogates, no NUL, no known secret."""
    return without_known(text.encode("utf-8", "replace")).decode().replace("\0", "").strip()


def _within(n: int | None, most: int) -> int | None:
    return None if n is None or n > most else n


def _tokens_of(reply: object) -> tuple[int | None, int | None]:
    """Prompt and completion tokens as the server counted them; None where it does not say."""
    usage = _mapping(reply).get("usage")
    counts = [_mapping(usage).get(name) for name in ("prompt_tokens", "completion_tokens")]
    prompt, completion = (n if type(n) is int and n >= 0 else None for n in counts)
    return prompt, completion
