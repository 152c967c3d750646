"""Tokenizers trained on the given texts: byte pairs, which spell any text, and whole words."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

PAD = 0
BOS = 1
EOS = 2
UNKNOWN = 3
"""Of a tokenizer of words only."""

SPECIAL = ("<pad>", "<bos>", "<eos>")
MAX_CHARACTERS = 2_000
"""Only this much of a text is read: pools hold texts of megabytes and contexts hold few tokens."""


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Learn merges of bytes on `texts`.

    Args:
        texts: What to learn from; their order changes nothing.
        vocabulary: Largest number of tokens, special tokens included, at least 259.

    Returns:
        A tokenizer that puts `BOS` before and `EOS` behind each text.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])  # type: ignore[assignment]
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)  # type: ignore[assignment]
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((_readable(text) for text in texts), trainer)
    tokenizer.post_processor = _between_marks()
    return tokenizer


def train_word_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Learn the most frequent words of `texts`, in lower case: a token is a word.

    Args:
        texts: What to learn from; their order changes nothing.
        vocabulary: Largest number of tokens, special tokens included.

    Returns:
        A tokenizer that puts `BOS` before and `EOS` behind each text, and `UNKNOWN` for a word that
        it does not know: of those that it learnt from, one that came once.
    """
    marks = (*SPECIAL, "<unknown>")
    tokenizer = Tokenizer(models.WordLevel(vocab={}, unk_token=marks[UNKNOWN]))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])  # type: ignore[assignment]
    words = Regex(r"[\p{L}\p{M}\p{N}]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(words, "removed", invert=True)  # type: ignore[assignment]
    trainer = trainers.WordLevelTrainer(
        vocab_size=vocabulary, min_frequency=2, special_tokens=list(marks), show_progress=False
    )
    tokenizer.train_from_iterator((_readable(text) for text in texts), trainer)
    tokenizer.post_processor = _between_marks()
    return tokenizer


def encode(tokenizer: Tokenizer, texts: Sequence[str], context_length: int) -> NDArray[np.int32]:
    """Token ids, shape (n, context_length): `BOS`, the text, `EOS`, then `PAD`.

    Longer texts lose their end and keep their `EOS`.
    """
    tokens = np.full((len(texts), context_length), PAD, dtype=np.int32)
    encodings = tokenizer.encode_batch_fast([_readable(text) for text in texts])
    for row, encoding in zip(tokens, encodings, strict=True):
        ids = encoding.ids
        if len(ids) > context_length:
            ids = [*ids[: context_length - 1], EOS]
        row[: len(ids)] = ids
    return tokens


def longest(tokens: NDArray[np.int32]) -> int:
    """Columns of `tokens` that hold more than padding."""
    return int((tokens != PAD).any(axis=0).sum())


def _between_marks() -> Any:  # noqa: ANN401 - the library's types disagree
    return processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", BOS), ("<eos>", EOS)]
    )


def _readable(text: str) -> str:
    # Lone surrogates have no UTF-8, which the tokenizer works on.
    return text[:MAX_CHARACTERS].encode("utf-8", "replace").decode("utf-8")
