import pytest

from recap_assets.untrusted.decoding import cut_utf8, decode_text


@pytest.mark.parametrize(
    ("data", "text", "encoding"),
    [
        (b"", "", "utf-8"),
        ("Café \N{CAT}".encode(), "Café \N{CAT}", "utf-8"),
        ("a cat".encode("utf-8-sig"), "a cat", "utf-8"),
        ("a cat".encode("utf-16"), "a cat", "utf-16-le"),
        (b"\xfe\xff" + "a cat".encode("utf-16-be"), "a cat", "utf-16-be"),
        ("a cat".encode("utf-32"), "a cat", "utf-32-le"),
        ("\0cat".encode("utf-16"), "\0cat", "utf-16-le"),
        ("Café in Zürich \u2013 schön".encode("cp1252"), "Café in Zürich \u2013 schön", "cp1252"),
        ("中国人的照片".encode("gbk"), None, None),
        ("кошка на ковре".encode("cp1251"), None, None),
        (b"caf\xe9 \x00\x01", None, None),
        (b"\xff\xfea", None, None),
    ],
)
def test_a_text_is_as_it_was_written_or_there_is_none(data, text, encoding):
    assert decode_text(data) == (text, encoding)


def test_a_cut_leaves_no_half_character():
    data = ("a" * 9 + "é").encode()
    assert cut_utf8(data, 10) == b"a" * 9
    assert cut_utf8(data, 11) == data
    assert cut_utf8("中".encode(), 2) == b""
