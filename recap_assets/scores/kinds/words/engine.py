"""Figures of words, by polars."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.words import words
from recap_assets.engines.errors import ModelFileError
from recap_assets.scores.kinds.words.spec import WordsSpec
from recap_assets.untrusted.decoding import decode_text
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.files import read_bounded
from recap_assets.world.writing import nouns

MAX_LIST_BYTES = 64 * 2**20
"""Of a list of words; a million have 10 MB."""

_TEXT, _WORDS = pl.col("text"), pl.col("words")
_N_WORDS = _WORDS.list.len().cast(pl.Float64)


class WordFigures:
    """A number for each text.

    Args:
        figure: Of columns text and words, a list; null where there is none.
    """

    def __init__(self, figure: pl.Expr) -> None:
        self._figure = figure

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape (n,); NaN where a share is of nothing."""
        rows = pl.DataFrame({"text": pl.Series(texts, dtype=pl.String)})
        rows = rows.with_columns(words=words(_TEXT))
        found = rows.select(self._figure.cast(pl.Float32).fill_nan(None).fill_null(np.nan))
        return found.to_series().to_numpy().astype(np.float32)


def open_words(spec: WordsSpec) -> WordFigures:
    """What counts.

    Raises:
        ModelFileError: The list cannot be read, or holds no word.
    """
    listed = frozenset[str]() if spec.words is None else _listed(spec.words)
    return WordFigures(_FIGURES[spec.measure](spec, listed))


def _share(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    return pl.when(whole > 0).then(part / whole)


def _letters() -> pl.Expr:
    return _share(_TEXT.str.count_matches(r"\p{L}"), _TEXT.str.count_matches(r"\S"))


def _repetition(n: int) -> pl.Expr:
    grams = pl.concat_str([pl.element().shift(-i) for i in range(n)], separator=" ").drop_nulls()
    distinct = _WORDS.list.eval(grams).list.n_unique()
    all_ = (_WORDS.list.len().cast(pl.Int64) - (n - 1)).clip(0)
    return _share(all_ - distinct.cast(pl.Int64), all_)


def _n_listed(listed: frozenset[str]) -> pl.Expr:
    return _WORDS.list.eval(pl.element().is_in(sorted(listed))).list.sum().cast(pl.Float64)


_FIGURES: Mapping[str, Callable[[WordsSpec, frozenset[str]], pl.Expr]] = {
    "words": lambda _spec, _listed: _N_WORDS,
    "characters": lambda _spec, _listed: _TEXT.str.strip_chars().str.len_chars(),
    "letters": lambda _spec, _listed: _letters(),
    "variety": lambda _spec, _listed: _share(_WORDS.list.n_unique(), _N_WORDS),
    "repetition": lambda spec, _listed: _repetition(spec.n),
    "listed": lambda _spec, listed: _n_listed(listed),
    "listed_share": lambda _spec, listed: _share(_n_listed(listed), _N_WORDS),
}


def _listed(place: str) -> frozenset[str]:
    if place == "embedded":
        return frozenset(nouns())
    path = Path(place)
    try:
        text = decode_text(read_bounded(path, MAX_LIST_BYTES)).text
    except (OSError, UntrustedError) as error:
        msg = f"{path}: cannot be read as a list of words: {error}"
        raise ModelFileError(msg) from error
    lines = (line.partition("#")[0].strip().lower() for line in (text or "").splitlines())
    listed = frozenset(line for line in lines if line)
    if not listed:
        msg = f"{path}: holds no word; write one a line, in UTF-8"
        raise ModelFileError(msg)
    return listed
