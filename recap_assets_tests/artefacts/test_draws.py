"""Rows that were drawn from many."""

import polars as pl

from recap_assets.artefacts import in_own_memory


def held_bytes(rows: pl.DataFrame) -> int:
    columns = [one.to_arrow(compat_level=pl.CompatLevel.newest()) for one in rows]
    return sum(part.size for column in columns for part in column.buffers() if part is not None)


def test_drawn_rows_hold_on_to_nothing_of_the_others() -> None:
    rows = pl.DataFrame(
        {"uid": pl.Series([bytes([n % 256]) * 16 for n in range(2_000)], dtype=pl.Binary)}
    ).with_columns(text=pl.lit("x" * 1_000), n=pl.int_range(2_000))
    rows = rows.with_columns(text=pl.concat_str("text", "n"))
    drawn = rows.filter(pl.col("n") % 100 == 0)
    kept = in_own_memory(drawn)
    assert kept.equals(drawn)
    assert kept.schema == drawn.schema
    assert held_bytes(drawn) > 1_000_000
    assert held_bytes(kept) < 100_000
