"""Whatever bytes a file of JSON lines has: objects, damage that is counted, or one error."""

import io
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_lines import read_json_lines
from recap_assets.untrusted.text_blocks import utf8_blocks

PIECES = st.sampled_from(
    [b"{", b"}", b'"a"', b":", b",", b"[", b"]", b"1", b"null", b"NaN", b"\n", b"\xff", b"\0",
     b'{"a": 1}\n', b'"\\ud800"', b"\xef\xbb\xbf"]
)  # fmt: skip


@given(content=st.lists(PIECES, max_size=40).map(b"".join))
def test_every_line_is_an_object_or_counted(content):
    with suppress(UntrustedError):
        parts = list(read_json_lines(utf8_blocks(io.BytesIO(content))))
        n_lines = sum(
            bool(line.strip()) for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        )
        assert sum(len(part.rows) + part.damage.n for part in parts) == n_lines
