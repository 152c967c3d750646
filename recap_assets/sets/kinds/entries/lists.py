"""Lists of entries, and which of them a text holds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import cast

import polars as pl

from recap_assets.sets.kinds.entries.spec import EMBEDDED
from recap_assets.untrusted.decoding import decode_text
from recap_assets.untrusted.errors import RecapError, UntrustedError
from recap_assets.untrusted.files import read_bounded
from recap_assets.untrusted.json_text import parse_json
from recap_assets.untrusted.showing import one_line

MAX_BYTES = 256 * 2**20
"""Of a list: MetaCLIP's half a million entries take 8 MB."""

MAX_LISTS = 1_000
ENDINGS = (".json", ".txt")
ALL, OTHER = "", "other"
"""The list of a set with one for all texts; that of languages without one of their own."""

_PUNCTUATION = r"[,.;:?!`]"
_SPACES = r"[\t\n\r]"
_NEEDS_NO_SPACE = (
    r"[\u{2E80}-\u{2FDF}\u{2FF0}-\u{2FFF}\u{3400}-\u{4DBF}\u{4E00}-\u{9FFF}\u{F900}-\u{FAFF}"
    r"\u{20000}-\u{2A6DF}\u{2A700}-\u{2EBEF}\u{0E00}-\u{0EFF}\u{0F00}-\u{109F}\u{1780}-\u{17FF}"
    r"!-/:-@\[-`{-~"
    r"\u{FF0C}\u{3002}\u{3001}\u{FF1B}\u{FF1A}\u{FF1F}\u{FF01}\u{201C}\u{201D}"
    r"\u{2018}\u{2019}\u{FF08}\u{FF09}\u{3010}\u{3011}\u{300A}\u{300B}\u{3008}"
    r"\u{3009}\u{300C}\u{300D}\u{300E}\u{300F}\u{FF5E}\u{2014}]"
)
"""Characters of scripts without spaces (Han, Thai, Lao, Tibetan, Burmese, Khmer) and punctuation,
beside which Meta CLIP 2 asks for no space."""


class EntriesError(RecapError, ValueError):
    """A list of entries cannot be used. The text names the file and says why."""


@dataclass(frozen=True)
class Entries:
    """A list of different entries.

    Attributes:
        entries: As they are written.
        by_script: Whether an entry in a script without spaces needs none around it.
    """

    entries: pl.Series
    by_script: bool

    @cached_property
    def _padded(self) -> pl.Series:
        entry, ends = pl.col("entry"), (f"^{_NEEDS_NO_SPACE}", f"{_NEEDS_NO_SPACE}$")
        before, after = (
            pl.when(entry.str.contains(end) & self.by_script)
            .then(pl.lit(""))
            .otherwise(pl.lit(" "))
            for end in ends
        )
        padded = self.entries.alias("entry").to_frame().select(pl.concat_str(before, entry, after))
        return padded.to_series().alias("padded")

    def held_by(self, texts: pl.DataFrame) -> pl.DataFrame:
        """Which entries each text holds.

        Args:
            texts: uid and text, without nulls; a uid once.

        Returns:
            uid and entry, each pair once.
        """
        found = texts.select("uid", padded=_spaced(pl.col("text").str.strip_chars()))
        if not len(self.entries):
            return found.clear().select("uid", entry="padded")
        # All matches, of entries within entries as well: Aho-Corasick.
        held = found.with_columns(
            pl.col("padded").str.extract_many(self._padded.to_list(), overlapping=True)
        )
        pairs = held.filter(pl.col("padded").list.len() > 0).explode("padded").unique()
        names = pl.DataFrame([self._padded, self.entries.alias("entry")])
        return pairs.join(names, on="padded").select("uid", "entry")


def _spaced(text: pl.Expr) -> pl.Expr:
    padded = pl.concat_str(pl.lit(" "), text, pl.lit(" "))
    return padded.str.replace_all(_PUNCTUATION, " ${0} ").str.replace_all(_SPACES, " ")


def load_lists(place: str, *, by_language: bool) -> Mapping[str, Entries]:
    """The list of each language, or one under `ALL`.

    Raises:
        EntriesError: A file is missing, too large, or no list of texts.
    """
    if place == EMBEDDED and not by_language:
        # It draws as well, and kinds are imported with every command.
        from recap_assets.world.writing import nouns

        return {ALL: Entries(pl.Series("entry", sorted(nouns()), pl.String), by_script=False)}
    path = Path(place)
    if not by_language:
        return {ALL: _loaded(path, by_script=False)}
    found = sorted(one for one in path.glob("*") if one.suffix in ENDINGS) if path.is_dir() else []
    if not found or len(found) > MAX_LISTS:
        many = f"{len(found):,} files" if found else "no .json or .txt file"
        msg = f"{path}: a folder with a list for each language is wanted; it has {many}"
        raise EntriesError(msg)
    stems = [one.stem for one in found]
    if twice := sorted({stem for stem in stems if stems.count(stem) > 1}):
        msg = f"{path}: {one_line(twice[0])} has two lists; keep one"
        raise EntriesError(msg)
    return {one.stem: _loaded(one, by_script=True) for one in found}


def _loaded(path: Path, *, by_script: bool) -> Entries:
    try:
        stamp = path.stat()
        return _read_once(path, by_script, stamp.st_size, stamp.st_mtime_ns)
    except (OSError, UntrustedError) as error:
        msg = f"{path}: no list of entries can be read from it: {error}"
        raise EntriesError(msg) from error


@lru_cache(maxsize=8)
def _read_once(path: Path, by_script: bool, _size: int, _modified: int) -> Entries:  # noqa: FBT001 - a key
    # A list is asked for at every partition.
    return Entries(_different(_entries_in(path)), by_script)


def _entries_in(path: Path) -> list[object]:
    data = read_bounded(path, MAX_BYTES)
    if path.suffix == ".json":
        value = parse_json(data, MAX_BYTES)
        if not isinstance(value, list):
            msg = f"its JSON is {type(value).__name__}, not a list of entries"
            raise UntrustedError(msg)
        return cast("list[object]", value)
    text = decode_text(data).text
    if text is None:
        msg = "it is no text"
        raise UntrustedError(msg)
    return [line.strip() for line in text.splitlines() if line.strip()]


def _different(values: list[object]) -> pl.Series:
    wrong = next((one for one in values if not isinstance(one, str) or not one), None)
    if wrong is not None or "" in values:
        msg = f"an entry is a text, not {one_line(json.dumps(wrong), 80)}"
        raise UntrustedError(msg)
    return pl.Series("entry", values, dtype=pl.String).unique(maintain_order=True)
