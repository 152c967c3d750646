"""open_clip's tokenizers within bounds: the same tokens, and no text that takes minutes.

open_clip's own encodes all of a text and then keeps 77 tokens; its time grows with the square of a
word's length, so one word of 64 kB takes two minutes. Here it stops at the context's end, which
changes no token, and a word is cut far beyond it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip
import regex
from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, HFTokenizer, get_clean_fn

MAX_CHARACTERS = 1 << 16
"""Of a text, what is beyond them is not read: a context of 77 tokens is full long before."""

CHARACTERS_PER_TOKEN = 64
"""More than the longest token of any vocabulary for language."""

MAX_WORD_BYTES = 8_192
MAX_CACHED_WORDS = 1 << 18
MAX_CACHED_CHARACTERS = 64
"""Of a word whose ids are kept."""

_lower = get_clean_fn("lower")


class BoundedTokenizer(open_clip.SimpleTokenizer):
    """CLIP's tokenizer, which stops where the context is full and keeps the ids of words."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - open_clip's own
        super().__init__(**options)
        self._ids: dict[str, tuple[int, ...]] = {}

    def encode(self, text: str) -> list[int]:
        """Ids of a text without marks: all, or those that fill the context."""
        room = self.context_length or DEFAULT_CONTEXT_LENGTH
        ids: list[int] = []
        for match in regex.finditer(self.pat, self._cleaned(text[:MAX_CHARACTERS])):
            word = match[0]
            ids.extend(self._ids.get(word) or self._spelt_out(word, room))
            if len(ids) >= room:
                break
        return ids

    def _spelt_out(self, word: str, room: int) -> tuple[int, ...]:
        longest = min(room * CHARACTERS_PER_TOKEN, MAX_WORD_BYTES)
        if len(self.cache) > MAX_CACHED_WORDS:
            self.cache = {token: token for token in ("<start_of_text>", "<end_of_text>")}
            self._ids.clear()
        spelt = "".join(self.byte_encoder[byte] for byte in word.encode()[:longest])
        ids = tuple(self.encoder[part] for part in self.bpe(spelt).split(" "))
        if len(word) <= MAX_CACHED_CHARACTERS:
            self._ids[word] = ids
        return ids

    def _cleaned(self, text: str) -> str:
        # ftfy and html change nothing of printable ASCII without an entity, and take a while.
        if self.clean_fn is _lower and text.isascii() and text.isprintable() and "&" not in text:
            return " ".join(text.split()).lower()
        return self.clean_fn(text)


class BoundedHubTokenizer(HFTokenizer):
    """A tokenizer of transformers, which is given as much of a text as can matter."""

    def __init__(self, folder: str, context_length: int, **options: Any) -> None:  # noqa: ANN401
        super().__init__(folder, context_length, **options)
        clean = self.clean_fn
        limit = context_length * CHARACTERS_PER_TOKEN
        from_the_end = getattr(self.tokenizer, "truncation_side", "right") == "left"
        self.clean_fn = lambda text: shortened(clean(text[:MAX_CHARACTERS]), limit, from_the_end)


def shortened(text: str, limit: int, from_the_end: bool = False) -> str:  # noqa: FBT001, FBT002
    """The first (or last) `limit` characters of a text that is longer, ending at a space."""
    if len(text) <= limit:
        return text
    if from_the_end:
        return text[-limit:].partition(" ")[2] or text[-limit:]
    return text[:limit].rpartition(" ")[0] or text[:limit]


def make_tokenizer(text_config: Mapping[str, Any], folder: Path | None) -> Any:  # noqa: ANN401 - of two classes
    """The tokenizer that a checked `text_cfg` asks for.

    Args:
        text_config: Of `open_clip_config.json`.
        folder: The checked files of a tokenizer of transformers; None takes CLIP's own.
    """
    length = text_config.get("context_length", DEFAULT_CONTEXT_LENGTH)
    options = dict(text_config.get("tokenizer_kwargs") or {})
    if folder is None:
        options.pop("strip_sep_token", None)
        return BoundedTokenizer(context_length=length, **options)
    return BoundedHubTokenizer(
        str(folder),
        length,
        tokenizer_mode=text_config.get("tokenizer_mode"),
        trust_remote_code=False,
        **options,
    )
