"""Tables of texts as people provide them: parquet, delimited text and JSON lines, in one way.

Imported captions, lists of URLs and the tables of folder pools are all read here, in blocks: a
table may have a billion rows. What cannot be read is a fault of its row where the rows are
distinct, counted with the number of its line, and of the table where half of its rows are so.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple, cast

import polars as pl
import pyarrow as pa

from recap_assets.untrusted.cells import (
    MENDED,
    UNDECODABLE,
    bounded,
    check_texts,
    could_be_texts,
    decoded,
    text_of,
    texts_of,
    without_halves,
)
from recap_assets.untrusted.damage import Damage, TruncatedError
from recap_assets.untrusted.delimited import Dialect, Quoting, header_of, read_delimited
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.files import check_regular, read_bounded
from recap_assets.untrusted.json_lines import Object, Objects, first_object, read_json_lines
from recap_assets.untrusted.json_text import json_items
from recap_assets.untrusted.parquet import ParquetTable, open_parquet
from recap_assets.untrusted.showing import listed, one_line
from recap_assets.untrusted.text_blocks import opened, utf8_blocks

ROWS_AT_ONCE = 262_144
OBJECTS_AT_ONCE = 16_384
HEAD_BYTES = 2**20
MAX_JSON_BYTES = 64 * 2**20
"""Of a whole-file `.json`; JSON lines have no such bound."""

NOTE = "note"
_BOUNDED = ("text", "texts", "image")
_UNCHECKED = ("any", "json")

Kind = Literal["text", "texts", "image", "key", "any", "json"]


class Wanted(NamedTuple):
    """A column to read.

    Attributes:
        column: Its name in the table; of a field of a struct or object `column.field`.
        kind: `text`: a text a cell. `texts`: one or a list of them, which gives a row for each.
            `image`: a text, or the Hub's struct, of which the path counts.
            `key`: a text, or bytes that stay bytes. `any`: as it is; of JSON what is no text comes
            as JSON text.
            `json`: whatever is in it as JSON text.
    """

    column: str
    kind: Kind = "text"


class Batch(NamedTuple):
    """Some rows, in the order of the table.

    Attributes:
        frame: A column by each role asked for, and `note`: null, or what was done to a text of the
            row, REENCODED, MENDED or UNDECODABLE.
        damage: The rows that are left out.
    """

    frame: pl.DataFrame
    damage: Damage


@dataclass(frozen=True)
class TextTable:
    """One table on this machine.

    Attributes:
        path: Where it is.
        ending: What its name ends in: `.parquet`, `.csv`, `.tsv`, `.json`, `.jsonl` or `.ndjson`;
            the last four of these but `.json` with or without `.gz`.
        quoting: As the user says; by default a `.csv` is quoted and a `.tsv` is not.
    """

    path: Path
    ending: str
    quoting: Quoting | None = None

    def columns(self) -> list[str]:
        """The names of its columns; of JSON those of the first object.

        Raises:
            UntrustedError: It is empty or damaged.
            OSError: It is gone or cannot be read.
        """
        check_regular(self.path)
        if self.ending == ".parquet":
            with _as_truncated(), open_parquet(self.path) as file:
                return list(file.columns)
        if self.ending == ".json":
            first = next(self._listed_json(), None)
            return list(first.rows[0]) if first else []
        with opened(self.path, packed=self._is_packed) as stream:
            blocks = utf8_blocks(stream, HEAD_BYTES)
            if self._is_json:
                return list(first_object(blocks))
            return header_of(blocks, self._dialect)

    def read(self, wanted: Mapping[str, Wanted], rows: int | None = None) -> Iterator[Batch]:
        """Its rows.

        Args:
            wanted: By role, columns that it has (see `missing`); the first names a row's image.
            rows: How many are enough; a few more may come.

        Raises:
            UntrustedError: It is damaged, a column holds no texts, or half of its rows or more
                cannot be read.
            OSError: It is gone or cannot be read.
        """
        check_regular(self.path)
        damage, n_good = Damage(), 0
        for batch in self._batches(wanted, HEAD_BYTES if rows else None):
            damage, n_good = damage.and_more(batch.damage), n_good + batch.frame.height
            if damage.n and damage.n >= n_good:
                msg = (
                    f"{damage.n:,} of {damage.n + n_good:,} rows cannot be read, such as "
                    f"{damage.examples[0]}"
                )
                raise UntrustedError(msg)
            yield batch
            if rows is not None and n_good >= rows:
                return

    def missing(self, wanted: Mapping[str, Wanted]) -> list[str]:
        """The columns asked for that it does not have."""
        there = self.columns()
        return [one.column for one in wanted.values() if path_of(one.column, there) is None]

    @property
    def _is_packed(self) -> bool:
        return self.ending.endswith(".gz")

    @property
    def _is_json(self) -> bool:
        return self.ending.startswith((".json", ".ndjson"))

    @property
    def _dialect(self) -> Dialect:
        is_tsv = self.ending.startswith(".tsv")
        by_ending: Quoting = "none" if is_tsv else "double"
        quoting, is_given = self.quoting or by_ending, self.quoting is not None
        return Dialect(b"\t" if is_tsv else b",", quoting, is_given=is_given)

    def _listed_json(self) -> Iterator[Objects]:
        """The objects of a file that is a list of them, some at a time."""
        items = json_items(read_bounded(self.path, MAX_JSON_BYTES), MAX_JSON_BYTES)
        number = 1
        while rows := list(islice(items, OBJECTS_AT_ONCE)):
            if not all(isinstance(one, dict) for one in rows):
                msg = "it is no list of JSON objects"
                raise UntrustedError(msg)
            yield Objects(cast(list[Object], rows), list(range(number, number + len(rows))))
            number += len(rows)

    def _batches(self, wanted: Mapping[str, Wanted], block: int | None) -> Iterator[Batch]:
        if self.ending == ".parquet":
            yield from _of_parquet(self.path, wanted)
        elif self.ending == ".json":
            there = self.columns()
            for objects in self._listed_json():
                yield _of_objects(objects, wanted, there)
        else:
            there = self.columns() if self._is_json else []
            with opened(self.path, packed=self._is_packed) as stream:
                blocks = utf8_blocks(stream, block) if block else utf8_blocks(stream)
                if self._is_json:
                    for objects in read_json_lines(blocks):
                        yield _of_objects(objects, wanted, there)
                else:
                    columns = list(dict.fromkeys(one.column for one in wanted.values()))
                    for part in read_delimited(blocks, self._dialect, columns):
                        series = {role: part.frame[one.column] for role, one in wanted.items()}
                        yield Batch(_shaped(series, wanted, raw_keys=False), part.damage)


def path_of(name: str, there: Sequence[str]) -> tuple[str, ...] | None:
    """Where a column is: itself, or a column and the fields in it; None where there is none."""
    if name in there:
        return (name,)
    parts = name.split(".")
    for n in range(len(parts) - 1, 0, -1):
        if (outer := ".".join(parts[:n])) in there:
            return (outer, *parts[n:])
    return None


def _of_parquet(path: Path, wanted: Mapping[str, Wanted]) -> Iterator[Batch]:
    with open_parquet(path) as file:
        paths = {role: _path(one, file.columns) for role, one in wanted.items()}
        _check_types(file, wanted, paths)
        batches = file.batches(list(dict.fromkeys(path[0] for path in paths.values())))
        while True:
            with _as_truncated():
                frame = next(batches, None)
            if frame is None:
                return
            columns = {role: _within(frame[path[0]], path) for role, path in paths.items()}
            yield Batch(_shaped(columns, wanted, raw_keys=True), Damage())


@contextmanager
def _as_truncated() -> Iterator[None]:
    try:
        yield
    except UntrustedError as error:
        raise TruncatedError(str(error)) from error


def _path(one: Wanted, columns: Sequence[str]) -> tuple[str, ...]:
    path = path_of(one.column, columns)
    if path is None:
        msg = f"it has no column {one.column!r}; its columns are {listed(columns)}"
        raise UntrustedError(msg)
    return path


def _check_types(
    file: ParquetTable, wanted: Mapping[str, Wanted], paths: Mapping[str, tuple[str, ...]]
) -> None:
    """Refuse columns of which no row can be a text, before any is read."""
    for role, one in wanted.items():
        nothing = cast(pl.Series, pl.from_arrow(pa.nulls(0, file.types[paths[role][0]])))
        column = _within(nothing, paths[role])
        if one.kind not in _UNCHECKED:
            could_be_texts(one.column, _image_paths(column, one).dtype)


def _within(column: pl.Series, path: tuple[str, ...]) -> pl.Series:
    """A field of a struct."""
    for field in path[1:]:
        if not isinstance(column.dtype, pl.Struct) or field not in column.struct.fields:
            msg = f"column {path[0]!r} holds {column.dtype}, without a field {field!r}"
            raise UntrustedError(msg)
        column = column.struct.field(field)
    return column


def _image_paths(column: pl.Series, wanted: Wanted) -> pl.Series:
    """The paths of images in the Hub's form, a struct of `bytes` and `path`."""
    is_hub = isinstance(column.dtype, pl.Struct) and "path" in column.struct.fields
    if wanted.kind != "image" or not is_hub:
        return column
    if "bytes" in column.struct.fields and column.struct.field("bytes").is_not_null().any():
        msg = f"column {wanted.column!r} holds images, not their paths: write each to a file"
        raise UntrustedError(msg)
    return column.struct.field("path")


def _of_objects(objects: Objects, wanted: Mapping[str, Wanted], there: Sequence[str]) -> Batch:
    rows: list[list[object]] = []
    notes: list[str | None] = []
    damage = objects.damage
    paths = {role: path_of(one.column, there) or (one.column,) for role, one in wanted.items()}
    plain = [_plain_texts(objects.rows, role, paths[role], one) for role, one in wanted.items()]
    if all(column is not None for column in plain):
        return Batch(
            _noted(cast(list[pl.Series], plain), wanted, [None] * len(objects.rows)), damage
        )
    for number, row in zip(objects.numbers, objects.rows, strict=True):
        try:
            cells = [_cell(row, paths[role], one) for role, one in wanted.items()]
        except UntrustedError as error:
            damage = damage.and_row(f"line {number:,}: {error}")
            continue
        repaired = [_repaired(cell) for cell in cells]
        notes.append(MENDED if repaired != cells else None)
        rows.append(repaired)
    columns = [_series(role, [row[at] for row in rows]) for at, role in enumerate(wanted)]
    return Batch(_noted(columns, wanted, notes), damage)


def _plain_texts(
    rows: Sequence[Object], role: str, path: tuple[str, ...], wanted: Wanted
) -> pl.Series | None:
    """The cells where each is missing or a text that can stay as it is, which most tables have."""
    name, *inside = path
    if inside or wanted.kind == "json":
        return None
    cells = [row.get(name) for row in rows]
    if not _PLAIN.issuperset(map(type, cells)):
        return None
    try:
        return pl.Series(role, cells, dtype=pl.String)
    except UnicodeEncodeError:  # half of a character
        return None


_PLAIN = frozenset({str, type(None)})


def _noted(
    columns: Sequence[pl.Series], wanted: Mapping[str, Wanted], notes: Sequence[str | None]
) -> pl.DataFrame:
    frame = pl.DataFrame([*columns, pl.Series(NOTE, notes, dtype=pl.String)])
    frame = _exploded(frame, wanted)
    short = [bounded(frame[role]) for role, one in wanted.items() if one.kind in _BOUNDED]
    return frame.with_columns(short)


def _series(role: str, cells: list[object]) -> pl.Series:
    if any(isinstance(cell, list) for cell in cells):
        lists = [cell if isinstance(cell, list) else [cell] for cell in cells]
        return pl.Series(role, lists, dtype=pl.List(pl.String))
    return pl.Series(role, cells, dtype=pl.String)


def _cell(row: Object, path: tuple[str, ...], wanted: Wanted) -> object:
    value: object = row
    for name in path:
        value = cast(Object, value).get(name) if isinstance(value, dict) else None
    if wanted.kind in _UNCHECKED:
        if wanted.kind == "any" and (value is None or isinstance(value, str)):
            return value
        return json.dumps(value, separators=(",", ":"))
    if wanted.kind == "image" and isinstance(value, dict):
        value = cast(Object, value).get("path", value)
    try:
        return texts_of(value) if wanted.kind == "texts" else text_of(value)
    except UntrustedError as error:
        msg = f"column {one_line(wanted.column, 80)!r} {error}"
        raise UntrustedError(msg) from error


def _repaired(cell: object) -> object:
    if isinstance(cell, str):
        return without_halves(cell)
    if isinstance(cell, list):
        return [_repaired(one) for one in cast(list[object], cell)]
    return cell


def _shaped(
    columns: Mapping[str, pl.Series], wanted: Mapping[str, Wanted], *, raw_keys: bool
) -> pl.DataFrame:
    """The roles' columns as texts, from the table's as they are."""
    checked = [
        columns[role]
        if one.kind in _UNCHECKED
        else check_texts(one.column, _image_paths(columns[role], one))
        for role, one in wanted.items()
    ]
    named = [column.alias(role) for column, role in zip(checked, wanted, strict=True)]
    frame = _exploded(pl.DataFrame(named), wanted)
    notes: list[pl.Series] = []
    for role, one in wanted.items():
        stays = raw_keys and one.kind in {"key", "any"}
        if frame.schema[role] == pl.Binary and not stays:
            found = decoded(frame[role])
            notes.append(found.notes)
            frame = frame.with_columns(found.texts.alias(role))
        if one.kind in _BOUNDED:
            frame = frame.with_columns(bounded(frame[role]))
        if one.kind == "json":
            frame = frame.with_columns(_as_json(frame[role]).alias(role))
    return frame.with_columns(_gravest(notes, frame.height))


def _as_json(column: pl.Series) -> pl.Series:
    """Each value as JSON text."""
    objects = pl.DataFrame(column.alias("v")).select(pl.struct("v").struct.json_encode())
    return objects.to_series().str.slice(len('{"v":')).str.head(-1)


def _exploded(frame: pl.DataFrame, wanted: Mapping[str, Wanted]) -> pl.DataFrame:
    for role, one in wanted.items():
        if one.kind in _UNCHECKED or not isinstance(frame.schema[role], pl.List):
            continue
        if one.kind != "texts":
            msg = f"column {one.column!r} holds lists of texts, where one text a row is wanted"
            raise UntrustedError(msg)
        frame = frame.explode(role, empty_as_null=True, keep_nulls=True)
    return frame


def _gravest(notes: Sequence[pl.Series], height: int) -> pl.Series:
    """Of several notes on a row the gravest: a text that is lost, before one that is repaired."""
    found = pl.Series(NOTE, [None], dtype=pl.String).new_from_index(0, height)
    for one in notes:
        if one.null_count() < height:
            both = pl.DataFrame({"a": found, "b": one})
            is_worse = (pl.col("b") == UNDECODABLE) | pl.col("a").is_null()
            found = both.select(pl.when(is_worse).then("b").otherwise("a").alias(NOTE))[NOTE]
    return found
