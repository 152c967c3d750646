"""Damaged Parquet is a table or one clear error, in bounded memory."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.parquet import ParquetLimits, open_parquet
from recap_assets_tests.fuzzing.damage import damages

LIMITS = ParquetLimits(
    cell_bytes=2**10, batch_bytes=2**20, page_bytes=2**20, nested_bytes=2**20, nested_values=2**14
)


def file_of(compression: str, version: str) -> bytes:
    table = pa.table({
        "uid": [f"{i:032x}" for i in range(40)],
        "text": [f"a text {i % 3}" if i % 4 else None for i in range(40)],
        "texts": [["one", "two"], None] * 20,
        "score": [i / 40 for i in range(40)],
    })  # fmt: skip
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression=compression, data_page_version=version)
    return buffer.getvalue()


FILES = [
    file_of(compression, version) for compression, version in (("none", "1.0"), ("zstd", "2.0"))
]


@given(st.sampled_from(FILES), damages())
def test_damage_is_an_error_of_ours_or_a_table(content, damage):
    try:
        with open_parquet(io.BytesIO(damage(content)), LIMITS) as table:
            for batch in table.batches():
                assert batch.estimated_size() < 8 * 2**20
    except UntrustedError:
        pass
