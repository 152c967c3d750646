import uuid

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from recap_assets.untrusted.uid_forms import parse_uid, uids_of

UID = uuid.UUID(int=0x0123456789ABCDEF0123456789ABCDEF)
FORMS = [UID.hex, UID.hex.upper(), str(UID), UID.bytes]
OTHERS = [
    UID.int, 1.5, None, "", "xy", UID.hex[:-1], f"{UID.hex}00", UID.hex + " ", f"{{{UID}}}",
    UID.hex[:31] + "-", str(UID)[:-1] + "g", "\N{ARABIC-INDIC DIGIT ONE}" * 32, b"\xff", ["a"],
]  # fmt: skip


def test_every_form_is_the_same_uid():
    assert {parse_uid(form) for form in FORMS} == {UID.bytes}
    assert {parse_uid(other) for other in OTHERS} == {None}
    assert parse_uid(UID.hex.encode()) == UID.bytes


def test_columns_are_read_as_single_uids_are():
    texts = [form for form in [*FORMS, *OTHERS] if form is None or isinstance(form, str)]
    assert uids_of(pl.Series("uid", texts)).to_list() == [parse_uid(text) for text in texts]
    raw = [UID.bytes, None, b"\xff", UID.hex.encode(), str(UID).encode()]
    assert uids_of(pl.Series("uid", raw)).to_list() == [parse_uid(one) for one in raw]
    assert uids_of(pl.Series("uid", [1, 2])).to_list() == [None, None]


@given(st.lists(st.none() | st.text("0123456789abcdefABCDEF-x", max_size=40), max_size=5))
def test_any_text_is_a_uid_or_null(texts):
    column = pl.Series("uid", texts, dtype=pl.String)
    assert uids_of(column).to_list() == [parse_uid(text) for text in texts]
