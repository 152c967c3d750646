"""How the data files of tables are written."""

import polars as pl
from deltalake import ColumnProperties, WriterProperties

from recap_assets.artefacts.table import Table

ROW_GROUP = 131_072
_DISTINCT = (pl.Binary, pl.Float32, pl.Float64, pl.Int64)


def writer_properties(table: Table) -> WriterProperties:
    """How every data file is written, compaction included.

    Hashes, scores and offsets hardly repeat: a dictionary of them is built, found too large and
    given up, in a third of the time that writing takes, and the file is larger for it.
    """
    plain = ColumnProperties(dictionary_enabled=False)
    distinct = [name for name, dtype in table.schema.items() if dtype in _DISTINCT]
    return WriterProperties(
        compression="ZSTD",
        max_row_group_size=ROW_GROUP,
        column_properties=dict.fromkeys(distinct, plain),
    )
