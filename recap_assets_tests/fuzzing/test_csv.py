"""Whatever bytes a table has: rows, or one error in words; and the same for any size of block."""

import io

from hypothesis import given
from hypothesis import strategies as st

from recap_assets.untrusted.delimited import Dialect, header_of, read_delimited
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.text_blocks import utf8_blocks

PIECES = st.sampled_from(
    [
        b'"',
        b'""',
        b",",
        b"\n",
        b"\r\n",
        b"\r",
        b"a",
        b"b c",
        b"\xff",
        b"\0",
        b"ab" * 16,
        b"\xc3\xa9",
    ]
)
TABLES = st.lists(PIECES, max_size=40).map(lambda parts: b"k,v\n" + b"".join(parts))


def outcome(table: bytes, dialect: Dialect, block: int) -> object:
    try:
        columns = header_of(utf8_blocks(io.BytesIO(table)), dialect)
        parts = list(read_delimited(utf8_blocks(io.BytesIO(table), block), dialect, columns))
    except UntrustedError:
        return "refused"
    n_damaged = sum(part.damage.n for part in parts)
    return [row for part in parts for row in part.frame.rows()], n_damaged


@given(table=TABLES, quoting=st.sampled_from(["none", "double"]), block=st.integers(24, 64))
def test_any_table_is_rows_or_refused_whatever_the_block(table, quoting, block):
    dialect = Dialect(b",", quoting, is_given=True)
    assert outcome(table, dialect, block) == outcome(table, dialect, 2**20)
