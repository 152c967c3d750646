import hashlib
import struct

import polars as pl
import pytest

from recap_assets.artefacts.facets import SUM_MODULUS
from recap_assets.training import pair_sums
from recap_assets.training.pair_sums import pairs_sum


def pairs(n: int = 7) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "uid": [bytes([number]) * 16 for number in range(n)],
            "image_hash": [number - 3 for number in range(n)],
            "text": [f"text {number}" for number in range(n)],
            "weight": pl.Series([1.0 + number for number in range(n)], dtype=pl.Float32),
            "copies": pl.Series([1] * n, dtype=pl.Int32),
        }
    )


def test_the_sum_is_that_of_the_hash_of_each_pair() -> None:
    rows = [
        bytes([n]) * 16 + struct.pack("<qfi", n - 3, n + 1, 1) + f"text {n}".encode()
        for n in range(7)
    ]
    numbers = (int.from_bytes(hashlib.sha256(row).digest(), "little") for row in rows)
    assert int(pairs_sum(pairs()), 16) == sum(numbers) % SUM_MODULUS


def test_parts_add_up_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pairs_sum(pairs())
    assert pairs_sum(pairs().reverse()) == whole
    parts = sum(int(pairs_sum(part), 16) for part in (pairs()[:2], pairs()[2:]))
    assert f"{parts % SUM_MODULUS:064x}" == whole
    monkeypatch.setattr(pair_sums, "ROWS_AT_ONCE", 2)
    assert pairs_sum(pairs()) == whole
    assert pairs_sum(pairs(0)) == "0" * 64


def test_every_column_counts_and_so_does_a_repeat() -> None:
    known = {pairs_sum(pairs())}
    others = {
        "uid": pl.Series([b"x" * 16]), "image_hash": pl.Series([99]), "text": pl.Series(["y"]),
        "weight": pl.Series([0.5], dtype=pl.Float32), "copies": pl.Series([2], dtype=pl.Int32),
    }  # fmt: skip
    for name, value in others.items():
        changed = pl.concat([pairs()[:1].with_columns(value.alias(name)), pairs()[1:]])
        known.add(pairs_sum(changed))
    known |= {pairs_sum(pl.concat([pairs(), pairs()[:1]])), pairs_sum(pairs()[1:])}
    assert len(known) == len(others) + 3


def test_a_source_is_no_part_of_the_text() -> None:
    one = pairs().with_columns(source=pl.lit("a"))
    assert pairs_sum(one) != pairs_sum(pairs())
    moved = pairs().with_columns(source=pl.lit("at"), text=pl.col("text").str.slice(1))
    assert pairs_sum(moved) != pairs_sum(pairs().with_columns(source=pl.lit("a")))
    zero = pairs().with_columns(weight=pl.lit(0.0, pl.Float32))
    assert pairs_sum(zero.with_columns(weight=-pl.col("weight"))) == pairs_sum(zero)
