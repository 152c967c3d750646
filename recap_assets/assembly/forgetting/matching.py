"""Which rows of a table are of a forgotten sample, and what the others are without it."""

from collections.abc import Callable, Mapping

import polars as pl

from recap_assets.artefacts.captions import IMPORT_REPORTS
from recap_assets.artefacts.diversity import DIVERSITY_STATISTICS
from recap_assets.artefacts.lineage import EXPERIMENTS, LINEAGE
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.sets import TEXT_COUNTS
from recap_assets.artefacts.table import Table
from recap_assets.assembly.forgetting.identity import Identity
from recap_assets.pool.forgotten import set_aside
from recap_assets.storage.refused import Refused

TEXT_COLUMNS = frozenset({"text", "first_text", "second_text", "expected_text"})
"""Columns whose values are texts of a sample."""

UNTOUCHED = frozenset({LINEAGE.name, EXPERIMENTS.name})
"""What has no row of any sample."""


def of_samples(schema: Mapping[str, pl.DataType], identity: Identity) -> pl.Expr:
    """Whether a row is of one of the samples, by any column that a table or a file has."""
    tests = [pl.lit(value=False)]
    cells = pl.Series(sorted(identity.cells), dtype=pl.Binary)
    words = pl.Series(sorted(identity.words), dtype=pl.String)
    for name, dtype in schema.items():
        if dtype == pl.Binary:
            tests.append(pl.col(name).is_in(cells.implode()))
        elif dtype == pl.String and name not in TEXT_COLUMNS:
            tests.append(pl.col(name).is_in(words.implode()))
    return pl.any_horizontal(test.fill_null(value=False) for test in tests)


def touched(table: Table, schema: Mapping[str, pl.DataType], identity: Identity) -> pl.Expr:
    """Whether `without` changes a row: it is of a sample, or something in it is."""
    found = of_samples(schema, identity)
    if table.name == TEXT_COUNTS.name:
        found |= pl.col("image").is_in(_image_numbers(identity))
    if table.name == DIVERSITY_STATISTICS.name:
        of_texts = pl.element().is_in(sorted(identity.texts))
        found |= pl.col("sample_texts").list.eval(of_texts).list.any().fill_null(value=False)
    if table.name == IMPORT_REPORTS.name:
        found |= (
            pl.col("examples").list.eval(_of_example(identity)).list.any().fill_null(value=False)
        )
    return found


def without(table: Table, rows: pl.DataFrame, identity: Identity, refused: Refused) -> pl.DataFrame:
    """The rows of a table without the samples.

    Rows of the pool stay as rows that are set aside; all others go.
    """
    if table.name == RAW_POOL.name:
        return set_aside(rows, refused)
    special = _SPECIAL.get(table.name)
    if special is not None:
        return special(rows, identity)
    return rows.filter(~touched(table, rows.schema, identity))


def _without_texts(rows: pl.DataFrame, identity: Identity) -> pl.DataFrame:
    """Statistics whose sample of texts has none of theirs; they are computed again later."""
    pairs = [
        [(text, key) for text, key in zip(texts, keys, strict=True) if text not in identity.texts]
        for texts, keys in rows.select("sample_texts", "sample_keys").iter_rows()
    ]
    return rows.with_columns(
        pl.Series("sample_texts", [[text for text, _ in of_row] for of_row in pairs],
                  rows.schema["sample_texts"]),
        pl.Series("sample_keys", [[key for _, key in of_row] for of_row in pairs],
                  rows.schema["sample_keys"]),
    )  # fmt: skip


def _without_examples(rows: pl.DataFrame, identity: Identity) -> pl.DataFrame:
    kept = pl.col("examples").list.eval(pl.element().filter(~_of_example(identity)))
    return rows.with_columns(kept)


def _of_example(identity: Identity) -> pl.Expr:
    words, texts = sorted(identity.words), sorted(identity.texts)
    fields = pl.element().struct
    tests = [fields.field("key").is_in(words)]
    tests += [fields.field(n).is_in(texts) for n in ("caption", "expected_text", "raw_text")]
    return pl.any_horizontal(test.fill_null(value=False) for test in tests)


def _image_numbers(identity: Identity) -> list[int]:
    """The images as `text_counts` has them."""
    found = (int.from_bytes(one[:8], order, signed=True) for one in sorted(identity.hashes)
             for order in ("big", "little"))  # fmt: skip
    return sorted(found)


_SPECIAL: Mapping[str, Callable[[pl.DataFrame, Identity], pl.DataFrame]] = {
    DIVERSITY_STATISTICS.name: _without_texts,
    IMPORT_REPORTS.name: _without_examples,
}
