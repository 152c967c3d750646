"""The rows of all caption files by key: split into buckets on disk, then settled bucket by bucket.

A key is a hash, so its first hex digits split any number of rows evenly. A bucket fits in memory;
the drop as a whole need not.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import polars as pl

from recap_assets.artefacts.captions import IMPORT_REPORTS, IMPORTED_CAPTIONS
from recap_assets.captions.kinds.imported.files import DAMAGED, CaptionFile
from recap_assets.shards.text_tables import NOTE
from recap_assets.untrusted.cells import MENDED, REENCODED, UNDECODABLE

WHOLE = "all"
BUCKET_BYTES = 256 * 2**20
"""Bytes of caption files for each bucket: a few million rows."""
ROWS_IN_MEMORY = 4_000_000
EXAMPLES = 5
MOST_DIGITS = 3

_OF_ROWS = (
    "rows", "damaged_rows", "malformed_keys", "empty_rows", "undecodable_texts", "mended_texts",
)  # fmt: skip
_SETTLED = ("key", "number", "text", "expected_text", "n")


class Example(TypedDict):
    """One row of a count, for people; see the table `import_reports`."""

    key: str | None
    caption: str | None
    expected_text: str | None
    raw_text: str | None


@dataclass
class Count:
    """How many there are of something, and the first few of them."""

    n: int = 0
    examples: list[Example] = field(default_factory=list[Example])

    def add(self, n: int, examples: Iterable[Example] = ()) -> None:
        """Count `n` more."""
        self.n += n
        for example in examples:
            if len(self.examples) >= EXAMPLES:
                break
            self.examples.append(example)


Counts = dict[str, Count]


def counts_frame(counts: Counts) -> pl.DataFrame:
    """The counts as rows of the table `import_reports`, without its slice columns."""
    rows = [(what, count.n, count.examples) for what, count in counts.items()]
    schema = {name: IMPORT_REPORTS.schema[name] for name in ("what", "n", "examples")}
    return pl.DataFrame(rows, schema=schema, orient="row")


def examples_of(
    frame: pl.DataFrame,
    *,
    key: pl.Expr,
    caption: str | None = None,
    expected_text: str | None = None,
    raw_text: str | None = None,
) -> list[Example]:
    """The first rows of a frame as examples; the names are its columns."""
    named = {"caption": caption, "expected_text": expected_text, "raw_text": raw_text}
    chosen = frame.head(EXAMPLES).select(
        key.alias("key"),
        *(
            (pl.lit(None, pl.String) if name is None else pl.col(name).cast(pl.String)).alias(role)
            for role, name in named.items()
        ),
    )
    return [Example(**row) for row in chosen.to_dicts()]


def digits_needed(files: Sequence[CaptionFile], bucket_bytes: int = BUCKET_BYTES) -> int:
    """Hex digits that split the files' rows into buckets of a few million."""
    n_bytes, digits = sum(file.size for file in files), 0
    while digits < MOST_DIGITS and n_bytes > bucket_bytes * 16**digits:
        digits += 1
    return digits


class Buckets:
    """Rows on their way from the files to the table, on disk.

    Attributes:
        counts: What the files alone say, as far as they were read.
    """

    def __init__(self, folder: Path, digits: int) -> None:
        self._folder = folder
        self._digits = digits
        self._waiting: list[pl.DataFrame] = []
        self._n_waiting = self._n_parts = self._n_rows = 0
        self.counts: Counts = {what: Count() for what in _OF_ROWS}
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def add(self, rows: pl.DataFrame) -> None:
        """Take more rows (CAPTION_ROWS), in the files' order."""
        without = rows.filter(pl.col("key").is_null())
        is_damaged = (pl.col(NOTE) == DAMAGED).fill_null(value=False)
        self.counts["rows"].add(rows.height)
        self._count_of("malformed_keys", without.filter(~is_damaged), pl.col("key_text"))
        self._count_of("damaged_rows", without.filter(is_damaged), pl.col("key_text"))
        if rows[NOTE].null_count() < rows.height:
            key = pl.col("key").bin.encode("hex")
            mended = pl.col(NOTE).is_in([MENDED, REENCODED])
            self._count_of("mended_texts", rows.filter(mended), key)
            self._count_of("undecodable_texts", rows.filter(pl.col(NOTE) == UNDECODABLE), key)
        self._n_rows += rows.height
        at = pl.int_range(self._n_rows - rows.height, self._n_rows, dtype=pl.Int64)
        good = rows.with_columns(at=at).drop("key_text", NOTE).filter(pl.col("key").is_not_null())
        self.counts["empty_rows"].add(good["text"].null_count())
        self._waiting.append(good)
        self._n_waiting += good.height
        if self._n_waiting >= ROWS_IN_MEMORY:
            self._spill()

    def settled(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """Every bucket with its rows of IMPORTED_CAPTIONS, a bucket at a time in ascending order.

        Counts on the way: distinct `keys`, `repeated_rows` (the same row again),
        `conflicting_keys` (several different captions).
        """
        self._spill()
        self.counts |= {what: Count() for what in ("keys", "repeated_rows", "conflicting_keys")}
        for folder in sorted(self._folder.iterdir()):
            rows = pl.concat([pl.read_parquet(part) for part in sorted(folder.iterdir())])
            settled = settle(rows)
            self._count(settled)
            yield folder.name, settled

    def close(self) -> None:
        """Drop what is on the disk."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _count_of(self, what: str, rows: pl.DataFrame, key: pl.Expr) -> None:
        if rows.height:
            self.counts[what].add(rows.height, examples_of(rows, key=key, caption="text"))

    def _spill(self) -> None:
        if not self._n_waiting:
            return
        rows = pl.concat(self._waiting)
        name = pl.lit(WHOLE)
        if self._digits:
            name = pl.col("key").bin.encode("hex").str.head(self._digits)
        for bucket, part in rows.with_columns(bucket=name).partition_by(
            "bucket", as_dict=True, include_key=False
        ).items():  # fmt: skip
            folder = self._folder / str(bucket[0])
            folder.mkdir(exist_ok=True)
            part.write_parquet(folder / f"{self._n_parts:06d}.parquet", compression="lz4")
        self._n_parts += 1
        self._waiting, self._n_waiting = [], 0

    def _count(self, settled: pl.DataFrame) -> None:
        several = settled.filter(pl.col("key").is_duplicated())
        texts = several.drop_nulls("text").group_by("key").agg(pl.col("text").unique().sort())
        conflicts = texts.filter(pl.col("text").list.len() > 1).sort("key")
        shown = conflicts.with_columns(pl.col("text").list.head(3).list.join(" | "))
        hex_key = pl.col("key").bin.encode("hex")
        self.counts["keys"].add(settled.height - several.height + several["key"].n_unique())
        self.counts["repeated_rows"].add(int((settled["n"] - 1).sum()))
        self.counts["conflicting_keys"].add(
            conflicts.height, examples_of(shown, key=hex_key, caption="text")
        )


def settle(rows: pl.DataFrame) -> pl.DataFrame:
    """One row for each different row of a key, in the files' order.

    Args:
        rows: `key`, `text`, `expected_text`, and `at`, the row's place in the files; any order.

    Returns:
        `key`, `number`, `text`, `expected_text`, `n` as in IMPORTED_CAPTIONS, by key and number.
        Numbers give the order within a key only, so that the order of other rows changes nothing.
        Rows without a caption are left out where the key has one.
    """
    repeated = pl.col("key").is_duplicated()
    single = rows.filter(~repeated).with_columns(number=pl.lit(0), n=pl.lit(1))
    several = rows.filter(repeated)
    distinct = several.group_by("key", "text", "expected_text").agg(
        n=pl.len(), at=pl.col("at").min()
    )
    has_text = pl.col("text").is_not_null()
    kept = distinct.filter(has_text | ~has_text.any().over("key"))
    kept = kept.with_columns(number=pl.col("at").rank("ordinal").over("key") - 1)
    schema = {name: IMPORTED_CAPTIONS.schema[name] for name in _SETTLED}
    parts = [part.select(pl.col(n).cast(t) for n, t in schema.items()) for part in (single, kept)]
    return pl.concat(parts).sort("key", "number")
