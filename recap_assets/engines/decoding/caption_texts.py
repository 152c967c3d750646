"""What a model writes around a caption, taken away; and texts that are no captions.

One rule for captions of servers and of models here. A text without marks, roles and thoughts comes
back as it is. Servers leave such things in a text when a template or a list of special tokens does
not fit the model (vLLM with `skip_special_tokens: false`, llama.cpp with a wrong template, a chat
template that opens the thought itself), and models when they were not trained to the end.
"""

import re
import unicodedata
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

UNKNOWN_TOKENS = "unknown_tokens"
"""The model had no word for a part of it: what is left is no caption that anyone wrote."""

REPEATS_ITSELF = "repeats_itself"
"""The same few letters or words over and over, mostly up to the bound on tokens."""

NO_WORDS = "no_words"
"""Punctuation alone."""

_THOUGHTS = r"(?:seed:)?(?:think|thinking|thought|reasoning|reason|scratchpad)"
_OPENING = rf"(?:<{_THOUGHTS}>|\[THINK\]|◁think▷|<unused94>(?:thought\b)?|<\|channel\|>analysis)"
_CLOSING = (
    rf"(?:</{_THOUGHTS}>|\[/THINK\]|◁/think▷|<unused95>|<\|channel\|>final(?:<\|message\|>)?)"
)
_THOUGHT = re.compile(rf"(?:\A|(?<=\n))[^\S\n]*{_OPENING}.*?(?:{_CLOSING}|\Z)", re.DOTALL | re.I)
_THOUGHT_OPENS = re.compile(_OPENING, re.IGNORECASE)
_THOUGHT_ENDS = re.compile(rf".*{_CLOSING}", re.DOTALL | re.IGNORECASE)
_ANSWER = re.compile(r".*<answer>(.*?)(?:</answer>.*|\Z)", re.DOTALL | re.IGNORECASE)

_BAR = "[|\uff5c]"  # DeepSeek writes a bar as wide as a letter
_PLACES = re.compile(
    rf"<{_BAR}(?:box|quad|point)_start{_BAR}>[\s\d.,()\[\]]*<{_BAR}(?:box|quad|point)_end{_BAR}>"
    r"|<(?P<n>box|quad|point|bbox)>[\s\d.,()\[\]<>]*</(?P=n)>"
    r"|(?:\{<\d{1,4}>(?:<\d{1,4}>){1,7}\})"
    r"|</?(?:loc|seg|patch_index|bin|coord|x|y)[_-]?\d{1,5}>",
    re.IGNORECASE,
)
"""Places in an image, with the numbers that go with them."""

_AROUND = re.compile(
    rf"<{_BAR}(?:begin_of_box|end_of_box|box_start|box_end|object_ref_start|object_ref_end|quad_start"
    rf"|quad_end|point_start|point_end|vision_start|vision_end|image_pad|vision_pad|image_start"
    rf"|image_end|image|begin_of_text|startoftext|begin_of_sentence|begin▁of▁sentence|channel|message"
    rf"|header_start|header_end|eoh){_BAR}>"
    r"|<(?:image|img|image_soft_token|start_of_image|end_of_image|fake_token_around_image"
    r"|global-img|row_\d{1,2}_col_\d{1,2})>"
    r"|</?(?:ref|grounding|phrase|object|delimiter_of_multi_objects|caption|od|answer|response)>"
    r"|<(?:s|bos|pad|cls)>|\[(?:PAD|CLS|BOS|IMG)\]|<0x[0-9A-F]{2}>",
    re.IGNORECASE,
)
"""Marks that stand before or within what a model says: what is between them stays."""

_TURN = (
    rf"<{_BAR}[^\s<>|\uff5c]{{1,40}}{_BAR}>"
    r"|</s>|<(?:eos|eod|eot|sep|end|end_of_turn|start_of_turn|end_of_utterance|endoftext)>"
    r"|\[/?INST\]|<</?SYS>>|\[(?:EOS|SEP|/?AVAILABLE_TOOLS|end of text)\]"
)
_TURNS = re.compile(_TURN, re.IGNORECASE)
_LEADING = re.compile(rf"\s*(?:{_TURN})", re.IGNORECASE)
_MARKED_ROLE = re.compile(r"(?:assistant|model)\s*(?=<[|\uff5c]|\n)")
"""Marks that begin or end a turn: what follows one that ends it was said by nobody."""

_ROLE = re.compile(
    r"\s*(?:#{1,4}\s*)?(?:\*\*)?(?:"
    r"(?:assistant|ai assistant|chatbot|bot|ai)(?:\*\*)?\s*:(?:\*\*)?\s*"
    r"|(?:assistant|model)[^\S\n]*\n\s*|(?<=#\s)response:?\s*\n?\s*)",
    re.IGNORECASE,
)
_NEXT_TURN = re.compile(
    r"\n[^\S\n]*(?:#{1,4}[^\S\n]*)?(?:user|human|assistant|system)(?:\s*:|[^\S\n]*(?:\n|\Z)).*",
    re.DOTALL | re.IGNORECASE,
)
_UNKNOWN = re.compile(
    r"<(?:unk|unknown|mask)>|\[(?:UNK|MASK)\]|\[unused_?\d{1,5}\]|<unused_?\d{1,5}>"
    r"|<extra_id_\d{1,3}>",
    re.IGNORECASE,
)
_INVISIBLE = "\ufeff\u200b\u2060\u200e\u200f\0"

_MOST_PER_TURN = 200
_LEAST_LOOPED = 20
"""Characters of the longest unit that is searched for, and of the shortest loop that counts."""

MAX_SAID = 2**20
"""Characters that are read; the bound on tokens, thinking included, is far below."""

_LEAST_PACKED = 240
_MOST_PACKED = 0.12
"""Share that zlib leaves of a loop, at most; of prose of such a length it leaves 0.3 and more."""


def caption_within(said: str) -> str:
    """The caption in what a model said: no thoughts, roles, marks of turns, places, white space.

    Args:
        said: As decoded. What follows the last mark that ends a thought is said aloud, whether or
            not the thought's beginning is there; of a thought without an end nothing is.
    """
    text = _spoken(said[:MAX_SAID])
    text = _AROUND.sub("", _PLACES.sub("", text)) if "<" in text or "[" in text else text
    return _first_turn(text).strip().strip(_INVISIBLE).strip()


def thinks(said: str) -> bool:
    """Whether a thought is written out in what a model said."""
    return _spoken(said[:MAX_SAID]) != said[:MAX_SAID]


def _spoken(said: str) -> str:
    text = _THOUGHT.sub("", said)
    if not _THOUGHT_OPENS.search(text) and (ends := _THOUGHT_ENDS.match(text)):
        text = text[ends.end() :]
    answer = _ANSWER.match(text)
    return text if answer is None else answer[1]


def _first_turn(text: str) -> str:
    """What the model says in its own turn, the first."""
    if "<" in text or "[" in text:
        begun = _without_leading(_after_prompt(text))
        end = _TURNS.search(begun)
        text = begun[: end.start()] if end else begun
    text = text.lstrip(_INVISIBLE).lstrip()
    if role := _ROLE.match(text):
        text = text[role.end() :]
    text = _NEXT_TURN.sub("", text, count=1)
    return text.replace("\u2581", " ") if "\u2581" in text else text


def _after_prompt(text: str) -> str:
    """What follows a prompt that is repeated, as Llama 2 and Mistral mark it."""
    _, _, answer = text.partition("[/INST]")
    return answer if text.lstrip().startswith("[INST]") and answer.strip() else text


def _without_leading(text: str) -> str:
    """The text without the marks at its beginning, and the name of a role between two of them."""
    at = 0
    while mark := _LEADING.match(text, at):
        role = _MARKED_ROLE.match(text, mark.end())
        at = mark.end() if role is None else role.end()
    return text[at:]


def damage_of(text: str, *, is_cut: bool = False) -> str | None:
    """Why a text is no caption though letters came, or None where it is one.

    Args:
        text: A caption, as `caption_within` gives it.
        is_cut: Whether a bound on its length ended it: then a loop at its end is enough.

    Returns:
        `unknown_tokens`, `no_words`, `repeats_itself` or None. Loops are ten times the same in a
        row (or a sentence four times) over half of the text; what repeats less is left to scoring.
    """
    if not text:
        return None
    if _UNKNOWN.search(text):
        return UNKNOWN_TOKENS
    if not any(map(_says_something, text)):
        return NO_WORDS
    return REPEATS_ITSELF if _repeats(text, is_cut=is_cut) else None


def _says_something(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LN" or (category == "So" and character != "\ufffd")


def _repeats(text: str, *, is_cut: bool) -> bool:
    joined = f"{' '.join(text.split())} "
    codes = np.frombuffer(joined.encode("utf-32-le", "replace"), np.uint32)
    if any(_is_loop(codes, unit, is_cut=is_cut) for unit in _units(len(codes))):
        return True
    data = text.encode("utf-8", "replace")
    return len(data) >= _LEAST_PACKED and len(zlib.compress(data)) < _MOST_PACKED * len(data)


def _units(n: int) -> Iterator[int]:
    """Lengths of a unit of which a loop of `n` characters may be made."""
    return (unit for unit in range(1, min(n // 4, _MOST_PER_TURN) + 1) if unit * _times(unit) <= n)


def _times(unit: int) -> int:
    return 4 if unit >= _LEAST_LOOPED else 10


def _is_loop(codes: NDArray[np.uint32], unit: int, *, is_cut: bool) -> bool:
    """Whether a unit of this number of characters is said over and over.

    Args:
        codes: Characters of the text.
        unit: Characters that are repeated.
        is_cut: Whether a loop at the end is enough, where otherwise it takes half of the text.
    """
    least = max(unit * _times(unit), _LEAST_LOOPED)
    wanted = max(least, len(codes) / 2)
    enough = least if is_cut else wanted
    same = codes[unit:] == codes[:-unit]
    if np.count_nonzero(same) + unit < enough:
        return False
    ends = np.append(np.flatnonzero(~same), len(same))
    lengths = np.diff(ends, prepend=-1) - 1 + unit
    return bool(lengths.max() >= wanted or (is_cut and lengths[-1] >= least))
