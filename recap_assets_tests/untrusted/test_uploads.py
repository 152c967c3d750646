"""Forms with a file: what a browser writes is read back, and nothing else is taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap_assets.untrusted.uploads import MOST_HEADER_BYTES, MOST_PARTS, UploadError, form_fields

KIND = "multipart/form-data; boundary=x-1"


def form(*fields: tuple[str, bytes], boundary: str = "x-1") -> bytes:
    """As a browser writes it."""
    head = 'Content-Disposition: form-data; name="{}"; filename="a.png"\r\nContent-Type: image/png'
    line = f"--{boundary}".encode()
    parts = [
        line + b"\r\n" + head.format(name).encode() + b"\r\n\r\n" + content + b"\r\n"
        for name, content in fields
    ]
    return b"".join(parts) + line + b"--\r\n"


@given(content=st.binary(max_size=300), other=st.binary(max_size=30))
def test_the_bytes_of_a_file_come_back(content: bytes, other: bytes) -> None:
    fields = {"image": content, "scorer": other}
    if b"--x-1" not in content + other:
        assert form_fields(KIND, form(*fields.items())) == fields


def test_line_ends_within_a_file_stay() -> None:
    content = b"\r\n\r\n--x-\r\n\n\r--\r\n"
    assert form_fields(KIND, form(("image", content)))["image"] == content


@given(body=st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for text in (body, form(("image", b"abc"))[: len(body)], b"--x-1\r\n" + body + b"\r\n--x-1--"):
        try:
            found = form_fields(KIND, text)
        except UploadError:
            continue
        assert sum(map(len, found.values())) <= len(text)


@pytest.mark.parametrize(
    "kind",
    ["", "text/html", "multipart/form-data", "multipart/form-data; boundary=",
     f"multipart/form-data; boundary={'a' * 71}", "multipart/mixed; boundary=x-1", "\r\n; x=\0"],
)  # fmt: skip
def test_another_type_is_refused(kind: str) -> None:
    with pytest.raises(UploadError, match="no form"):
        form_fields(kind, form(("image", b"abc")))


def test_too_many_fields_and_long_headers_are_refused() -> None:
    fields = [(f"f{i}", b"") for i in range(MOST_PARTS)]
    assert len(form_fields(KIND, form(*fields))) == MOST_PARTS
    with pytest.raises(UploadError, match="more than 16"):
        form_fields(KIND, form(*fields, ("one", b"")))
    long = form(("image", b"abc")).replace(b"image/png", b"a" * MOST_HEADER_BYTES)
    with pytest.raises(UploadError, match="no name"):
        form_fields(KIND, long)


def test_a_form_that_was_cut_off_is_refused() -> None:
    whole = form(("image", b"abc"))
    for end in range(len(whole) - 4):
        with pytest.raises(UploadError):
            form_fields(KIND, whole[:end])
