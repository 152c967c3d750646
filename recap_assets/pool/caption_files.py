"""Files of third-party captions: which there are, and their rows a batch at a time.

A drop may have a billion rows, so nothing is ever read whole: parquet by row groups, CSV and JSON
lines in blocks, compressed ones as they are decompressed.
"""

import gzip
import hashlib
import json
import posixpath
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from recap_assets.pool.files import PoolError, staged, version_of
from recap_assets.specs.imports import CAPTION_FILE_ENDINGS, ImportSource
from recap_assets.specs.tables import SHA256_BYTES, UID_BYTES

CAPTION_ROWS = pl.Schema(
    {"key": pl.Binary, "key_text": pl.String, "text": pl.String, "expected_text": pl.String}
)
"""key: 16 or 32 bytes, null where malformed. key_text: the key as the file has it, null where the
key is in order. text: the caption, null where empty. expected_text: null where there is none."""

ROWS_AT_ONCE = 262_144
BLOCK_BYTES = 16 * 2**20
MAX_TEXT_BYTES = 64 * 2**10
"""Longer texts are cut here: no caption, but possibly an attack."""

_GLOB = re.compile(r"[*?\[]")
_HEX = re.compile(r"[0-9a-fA-F]+")


class CaptionFileError(PoolError):
    """A file of captions cannot be used. The text names it, what is wrong and what to do."""


@dataclass(frozen=True)
class CaptionFile:
    """One file as it lies there now.

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


def list_caption_files(source: ImportSource) -> list[CaptionFile]:
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


def read_captions(file: CaptionFile, source: ImportSource) -> Iterator[pl.DataFrame]:
    """The rows of a file in its order, batch by batch; a list of captions gives a row for each.

    Yields:
        CAPTION_ROWS.

    Raises:
        CaptionFileError: The file is truncated or damaged, lacks a column, or its keys are of
            another kind than the source says.
        OSError: It is gone or cannot be read.
    """
    n_rows = n_good = 0
    example = None
    with staged(file.url) as path, _in_words(file):
        for batch in _batches(file, path, source):
            rows = _caption_rows(batch, source)
            n_rows += rows.height
            n_good += rows.height - rows["key"].null_count()
            example = example or next(iter(rows["key_text"].drop_nulls()), None)
            # Told from the first batch on: nobody wants to wait for a column of the wrong kind.
            if 2 * n_good < n_rows:
                told = _wrong_keys(file, source, n_rows - n_good, n_rows, example)
                raise CaptionFileError(told)
            yield rows


def caption_columns(file: CaptionFile) -> list[str]:
    """The names of a file's columns; of JSON lines those of the first line.

    Raises:
        CaptionFileError: The file is empty or damaged.
        OSError: It is gone or cannot be read.
    """
    with staged(file.url) as path, _in_words(file):
        return _columns(file, path)


def url_keys(urls: pl.Series) -> pl.Series:
    """16 bytes for each url, null for null: its blake2b, so that keys are short and spread."""
    keys = [
        None if url is None else hashlib.blake2b(url.strip().encode(), digest_size=16).digest()
        for url in urls
    ]
    return pl.Series(urls.name, keys, dtype=pl.Binary)


def clean_texts(texts: pl.Series) -> pl.Series:
    """Without NUL, byte-order mark and outer white space, cut to 64 KiB; null where empty."""
    frame = texts.alias("text").to_frame()
    text = pl.col("text").str.replace_all("\0", "", literal=True).str.strip_chars(" \t\r\n\ufeff")
    cut = pl.when(text.str.len_bytes() > MAX_TEXT_BYTES).then(text.str.head(MAX_TEXT_BYTES // 4))
    cleaned = frame.select(cut.otherwise(text))["text"].alias(texts.name)
    return cleaned.set(cleaned.str.len_bytes() == 0, None)


def _listed(where: str) -> Iterator[CaptionFile]:
    fs, root = url_to_fs(where)
    if _GLOB.search(root):
        paths = sorted(cast(list[str], fs.glob(root)))
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
    return CaptionFile(name, str(fs.unstrip_protocol(path)), int(info["size"] or 0), version)


@contextmanager
def _in_words(file: CaptionFile) -> Iterator[None]:
    damaged = (pa.ArrowInvalid, EOFError, gzip.BadGzipFile, pl.exceptions.PolarsError)
    try:
        yield
    except damaged as error:
        msg = (
            f"{file.url} cannot be read to its end ({error}). It is truncated or damaged: download "
            "it again"
        )
        raise CaptionFileError(msg) from error


def _batches(file: CaptionFile, path: Path, source: ImportSource) -> Iterator[pl.DataFrame]:
    there = _columns(file, path)
    if missing := [name for name in source.columns if name not in there]:
        listed = ", ".join(map(repr, missing))
        msg = f"{file.url} has no column {listed}; its columns are {', '.join(there)}"
        raise CaptionFileError(msg)
    if file.ending == ".parquet":
        parquet = pq.ParquetFile(path)
        for batch in parquet.iter_batches(ROWS_AT_ONCE, columns=list(source.columns)):
            yield cast(pl.DataFrame, pl.from_arrow(batch))
        return
    with _opened(file, path) as stream:
        if _is_json(file):
            yield from _json_batches(stream, source.columns)
        else:
            yield from _csv_batches(file, stream, source.columns)


def _columns(file: CaptionFile, path: Path) -> list[str]:
    if file.ending == ".parquet":
        return list(pq.read_schema(path).names)
    with _opened(file, path) as stream:
        if _is_json(file):
            first = next((line for line in stream if line.strip()), b"{}")
            return list(_json_object(first, 1))
        return list(_csv_reader(file, stream, None).schema.names)


def _opened(file: CaptionFile, path: Path) -> IO[bytes]:
    is_packed = file.ending.endswith(".gz")
    return cast(IO[bytes], gzip.open(path)) if is_packed else path.open("rb")


def _is_json(file: CaptionFile) -> bool:
    return file.ending.startswith((".json", ".ndjson"))


class _QuotesCounted:
    """A stream that knows whether what was read of it ends inside a quoted field."""

    closed = False

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.n_quotes = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.n_quotes += data.count(b'"')
        return data


def _csv_reader(
    file: CaptionFile, stream: object, columns: Sequence[str] | None
) -> pacsv.CSVStreamingReader:
    # Bytes, since a text that is no UTF-8 is a fault of its row and not of the file.
    types = {name: pa.binary() for name in columns or ()}
    return pacsv.open_csv(
        stream,
        read_options=pacsv.ReadOptions(block_size=BLOCK_BYTES),
        parse_options=pacsv.ParseOptions(
            delimiter="\t" if ".tsv" in file.ending else ",", newlines_in_values=True
        ),
        convert_options=pacsv.ConvertOptions(
            column_types=types,
            include_columns=list(columns or ()),
            null_values=[""],
            strings_can_be_null=True,
        ),
    )


def _csv_batches(
    file: CaptionFile, stream: IO[bytes], columns: Sequence[str]
) -> Iterator[pl.DataFrame]:
    counted = _QuotesCounted(stream)
    for batch in _csv_reader(file, counted, columns):
        frame = cast(pl.DataFrame, pl.from_arrow(batch))
        yield frame.select(_as_text(column) for column in frame.get_columns())
    if counted.n_quotes % 2:
        # The parser takes the end of the file for the end of the field.
        msg = "it ends inside a quoted field"
        raise pa.ArrowInvalid(msg)


def _json_batches(stream: IO[bytes], columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    number = 0
    while lines := stream.readlines(BLOCK_BYTES):
        found: dict[str, list[object]] = {name: [] for name in columns}
        for line in lines:
            number += 1
            if line.strip():
                row = _json_object(line, number)
                for name in columns:
                    found[name].append(row.get(name))
        yield pl.DataFrame([_column(name, values) for name, values in found.items()])


def _json_object(line: bytes, number: int) -> dict[str, object]:
    try:
        # Replaced rather than refused: one bad character is no reason to lose the file.
        row = json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        msg = f"line {number} is no JSON: {error}"
        raise pa.ArrowInvalid(msg) from error
    if not isinstance(row, dict):
        msg = f"line {number} is no JSON object"
        raise pa.ArrowInvalid(msg)
    return cast(dict[str, object], row)


def _column(name: str, values: list[object]) -> pl.Series:
    if any(isinstance(value, list) for value in values):
        lists = [value if isinstance(value, list) else [value] for value in values]
        parts = [[_plain(part) for part in cast(list[object], value)] for value in lists]
        return pl.Series(name, parts, dtype=pl.List(pl.String))
    return pl.Series(name, [_plain(value) for value in values], dtype=pl.String)


def _plain(value: object) -> str | None:
    # JSON may escape half of a surrogate pair, which is no text.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def _caption_rows(batch: pl.DataFrame, source: ImportSource) -> pl.DataFrame:
    names = {"key": source.key, "text": source.caption, "expected_text": source.expected_text}
    columns = [
        (pl.lit(None, pl.String) if name is None else pl.col(name)).alias(role)
        for role, name in names.items()
    ]
    rows = batch.select(columns)
    if isinstance(rows.schema["text"], pl.List):
        rows = rows.explode("text", empty_as_null=True, keep_nulls=True)
    texts = {role: clean_texts(_as_text(rows[role])) for role in ("text", "expected_text")}
    keys = _keys(rows["key"], source)
    malformed = keys.is_null()
    shown = _shown(rows["key"]).to_frame("key_text").select(pl.when(malformed).then("key_text"))
    return pl.DataFrame({"key": keys, "key_text": shown["key_text"], **texts}, schema=CAPTION_ROWS)


def _keys(column: pl.Series, source: ImportSource) -> pl.Series:
    if source.by == "url":
        return url_keys(clean_texts(_as_text(column))).alias("key")
    size = UID_BYTES if source.by == "uid" else SHA256_BYTES
    is_raw = column.dtype == pl.Binary and bool((column.bin.size() == size).any())
    digits = column if is_raw else _as_text(column).str.strip_chars()
    keys = digits if is_raw else digits.str.decode("hex", strict=False)
    return keys.to_frame("key").select(pl.when(pl.col("key").bin.size() == size).then("key"))["key"]


def _as_text(column: pl.Series) -> pl.Series:
    if column.dtype != pl.Binary:
        return column.cast(pl.String)
    try:
        return column.cast(pl.String)
    except pl.exceptions.ComputeError:
        texts = [None if one is None else one.decode("utf-8", "replace") for one in column]
        return pl.Series(column.name, texts, dtype=pl.String)


def _shown(column: pl.Series) -> pl.Series:
    return _as_text(column).str.slice(0, 200).fill_null("")


def _wrong_keys(
    file: CaptionFile, source: ImportSource, n_wrong: int, n_rows: int, example: str | None
) -> str:
    digits = {"uid": 2 * UID_BYTES, "sha256": 2 * SHA256_BYTES}.get(source.by)
    wanted = "a url" if digits is None else f"{digits} hex digits"
    msg = (
        f"{file.url}: {n_wrong:,} of {n_rows:,} keys in column {source.key!r} are no {source.by} "
        f"({wanted}), such as {example!r}"
    )
    return f"{msg}; {_hint(example or '', source)}"


def _hint(example: str, source: ImportSource) -> str:
    kinds = {2 * UID_BYTES: "uid", 2 * SHA256_BYTES: "sha256"}
    if _HEX.fullmatch(example) and (kind := kinds.get(len(example))):
        article = "a sha256 (64 hex digits)" if kind == "sha256" else "a uid (32 hex digits)"
        return f"this looks like {article}: set `by: {kind}`"
    if "://" in example:
        return "this looks like a url: set `by: url`"
    return f"name the column that holds the {source.by} with `key`"
