"""Files of third-party captions: which there are, and their rows a batch at a time.

A drop may have a billion rows, so nothing is ever read whole: parquet by row groups, CSV and JSON
lines in blocks, compressed ones as they are decompressed.
"""

import hashlib
import posixpath
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import polars as pl
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from recap_assets.artefacts.table import SHA256_BYTES, UID_BYTES
from recap_assets.captions.kinds.imported.spec import CAPTION_FILE_ENDINGS, ImportSpec
from recap_assets.shards.files import PoolError, found_at, staged, version_of
from recap_assets.shards.text_tables import NOTE, TextTable, Wanted, listed, path_of
from recap_assets.storage.places import matches, pattern_of, url_of
from recap_assets.untrusted.cells import bounded
from recap_assets.untrusted.damage import Damage, TruncatedError
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.showing import one_line

DAMAGED = "damaged"

CAPTION_ROWS = pl.Schema(
    {
        "key": pl.Binary,
        "key_text": pl.String,
        "text": pl.String,
        "expected_text": pl.String,
        NOTE: pl.String,
    }
)
"""key: 16 or 32 bytes, null where malformed. key_text: the key as the file has it, null where the
key is in order; of a damaged row what is wrong with it. text: the caption, null where empty.
expected_text: null where there is none. note: DAMAGED where the row cannot be read, REENCODED,
MENDED or UNDECODABLE as in `untrusted.cells`, else null."""

ROWS_LOOKED_AT = 1_000
_HEX = re.compile(r"[0-9a-fA-F]+")


class CaptionFileError(PoolError):
    """A file of captions cannot be used. The text names it, what is wrong and what to do."""


@dataclass(frozen=True)
class CaptionFile:
    """One file as it is there now.

    Attributes:
        name: Its last part.
        url: Where it is.
        size: Bytes.
        version: Changes whenever the content may have changed.
    """

    name: str
    url: str
    size: int
    version: str

    @property
    def ending(self) -> str:
        """`.parquet`, `.csv.gz` and so on."""
        return next(e for e in CAPTION_FILE_ENDINGS if self.name.lower().endswith(e))


def list_caption_files(source: ImportSpec) -> list[CaptionFile]:
    """The files of a source: in the order written, those of a glob or folder by name.

    Raises:
        CaptionFileError: A path, glob or folder holds none, or a file is of no known kind.
    """
    found: dict[str, CaptionFile] = {}
    for where in source.files:
        for file in _listed(where):
            found.setdefault(file.url, file)
    return list(found.values())


def caption_files_version(files: Sequence[CaptionFile]) -> str:
    """32 hex digits that change when a file comes, goes, is renamed or replaced."""
    lines = "\n".join(f"{file.name} {file.version}" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()[:32]


def read_captions(file: CaptionFile, source: ImportSpec) -> Iterator[pl.DataFrame]:
    """The rows of a file in its order, batch by batch; a list of captions gives a row for each.

    Yields:
        CAPTION_ROWS.

    Raises:
        CaptionFileError: The file is truncated or damaged, lacks a column, or its keys are of
            another kind than the source says.
        OSError: It is gone or cannot be read.
    """
    yield from _checked(file, source, None)


def look_at(file: CaptionFile, source: ImportSpec) -> None:
    """Read the first rows of a file, and find what is wrong with it as a whole.

    Raises:
        CaptionFileError: As of `read_captions`.
        OSError: It is gone or cannot be read.
    """
    for _ in _checked(file, source, ROWS_LOOKED_AT):
        pass


def caption_columns(file: CaptionFile) -> list[str]:
    """The names of a file's columns; of JSON lines those of the first line.

    Raises:
        CaptionFileError: The file is empty or damaged.
        OSError: It is gone or cannot be read.
    """
    with staged(file.url) as path, _in_words(file):
        return TextTable(path, file.ending).columns()


def url_keys(urls: pl.Series) -> pl.Series:
    """16 bytes for each url, null for null: its blake2b, so that keys are short and spread."""
    keys = [
        None if url is None else hashlib.blake2b(url.strip().encode(), digest_size=16).digest()
        for url in urls
    ]
    return pl.Series(urls.name, keys, dtype=pl.Binary)


def clean_texts(texts: pl.Series) -> pl.Series:
    """Without NUL, byte-order mark and outer white space, cut to 64 KiB; null where empty."""
    if texts.null_count() == len(texts):
        return texts.cast(pl.String)
    frame = texts.alias("text").to_frame()
    text = pl.col("text").str.replace_all("\0", "", literal=True).str.strip_chars(" \t\r\n\ufeff")
    cleaned = bounded(frame.select(text)["text"]).alias(texts.name)
    return cleaned.set(cleaned.str.len_bytes() == 0, None)


def _listed(where: str) -> Iterator[CaptionFile]:
    fs, root = found_at(where)
    if (pattern := pattern_of(fs, root)) is not None:
        paths = sorted(matches(fs, *pattern))
    elif fs.isdir(root):
        inside = sorted(cast(list[str], fs.ls(root, detail=False)))
        paths = [path for path in inside if path.lower().endswith(CAPTION_FILE_ENDINGS)]
    else:
        paths = [root] if fs.exists(root) else []
    if not paths:
        msg = f"files: there is no file of captions at {where}. Correct the path, or download it"
        raise CaptionFileError(msg)
    for path in paths:
        yield _described(fs, path)


def _described(fs: AbstractFileSystem, path: str) -> CaptionFile:
    name = posixpath.basename(path)
    if not name.lower().endswith(CAPTION_FILE_ENDINGS):
        known = ", ".join(CAPTION_FILE_ENDINGS)
        msg = f"files: {name} is of no kind that is read here; use {known}"
        raise CaptionFileError(msg)
    info = fs.info(path)
    version = version_of(info, path, is_local=isinstance(fs, LocalFileSystem))
    return CaptionFile(name, url_of(fs, path), int(info["size"] or 0), version)


@contextmanager
def _in_words(file: CaptionFile) -> Iterator[None]:
    try:
        yield
    except UntrustedError as error:
        end = " to its end" if isinstance(error, TruncatedError) else ""
        msg = f"{file.url} cannot be read{end}: {error}"
        raise CaptionFileError(msg) from error


def _checked(file: CaptionFile, source: ImportSpec, most: int | None) -> Iterator[pl.DataFrame]:
    n_rows = n_good = 0
    example = None
    wanted = {"key": Wanted(source.key, "key"), "text": Wanted(source.caption, "texts")}
    if source.expected_text is not None:
        wanted["expected_text"] = Wanted(source.expected_text)
    with staged(file.url) as path, _in_words(file):
        table = TextTable(path, file.ending, source.quoting)
        there = table.columns()
        if missing := [w.column for w in wanted.values() if path_of(w.column, there) is None]:
            names = ", ".join(map(repr, missing))
            msg = f"{file.url} has no column {names}; its columns are {listed(there)}"
            raise CaptionFileError(msg)
        for batch in table.read(wanted, most):
            rows = _caption_rows(batch.frame, source)
            n_rows += rows.height
            n_good += rows.height - rows["key"].null_count()
            example = example or next(iter(rows["key_text"].drop_nulls()), None)
            # Told from the first batch on: nobody wants to wait for a column of the wrong kind.
            if 2 * n_good < n_rows:
                msg = _wrong_keys(file, source, n_rows - n_good, n_rows, example)
                raise CaptionFileError(msg)
            yield pl.concat([rows, _damaged_rows(batch.damage)]) if batch.damage.n else rows


def _damaged_rows(damage: Damage) -> pl.DataFrame:
    words = [*damage.examples, *[None] * (damage.n - len(damage.examples))]
    keys = pl.DataFrame({"key_text": words}, schema={"key_text": pl.String})
    columns = {"key_text": pl.col("key_text"), NOTE: pl.lit(DAMAGED)}
    return keys.select(
        columns.get(name, pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in CAPTION_ROWS.items()
    )


def _caption_rows(rows: pl.DataFrame, source: ImportSpec) -> pl.DataFrame:
    if source.expected_text is None:
        rows = rows.with_columns(expected_text=pl.lit(None, pl.String))
    texts = {role: clean_texts(rows[role]) for role in ("text", "expected_text")}
    keys = _keys(rows["key"], source)
    malformed = keys.is_null()
    key_text = pl.Series("key_text", [None], dtype=pl.String).new_from_index(0, rows.height)
    if malformed.any():
        shown = _shown(rows["key"]).to_frame("key_text")
        key_text = shown.select(pl.when(malformed).then("key_text"))["key_text"]
    columns = {"key": keys, "key_text": key_text, **texts, NOTE: rows[NOTE]}
    return pl.DataFrame(columns, schema=CAPTION_ROWS)


def _keys(column: pl.Series, source: ImportSpec) -> pl.Series:
    if source.by == "url":
        return url_keys(clean_texts(column)).alias("key")
    size = UID_BYTES if source.by == "uid" else SHA256_BYTES
    is_raw = column.dtype == pl.Binary and bool((column.bin.size() == size).any())
    digits = column if is_raw else column.cast(pl.String, strict=False).str.strip_chars()
    keys = digits if is_raw else digits.str.decode("hex", strict=False)
    return keys.to_frame("key").select(pl.when(pl.col("key").bin.size() == size).then("key"))["key"]


def _shown(column: pl.Series) -> pl.Series:
    return column.cast(pl.String, strict=False).str.slice(0, 200).fill_null("")


def _wrong_keys(
    file: CaptionFile, source: ImportSpec, n_wrong: int, n_rows: int, example: str | None
) -> str:
    digits = {"uid": 2 * UID_BYTES, "sha256": 2 * SHA256_BYTES}.get(source.by)
    wanted = "a url" if digits is None else f"{digits} hex digits"
    msg = (
        f"{file.url}: {n_wrong:,} of {n_rows:,} keys in column {source.key!r} are no {source.by} "
        f"({wanted}), such as {one_line(example or '')!r}"
    )
    return f"{msg}; {_hint(example or '', source)}"


def _hint(example: str, source: ImportSpec) -> str:
    kinds = {2 * UID_BYTES: "uid", 2 * SHA256_BYTES: "sha256"}
    if _HEX.fullmatch(example) and (kind := kinds.get(len(example))):
        article = "a sha256 (64 hex digits)" if kind == "sha256" else "a uid (32 hex digits)"
        return f"this looks like {article}: set `by: {kind}`"
    if "://" in example:
        return "this looks like a url: set `by: url`"
    return f"name the column that holds the {source.by} with `key`"
