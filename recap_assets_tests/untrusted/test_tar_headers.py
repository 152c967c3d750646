import io
import tarfile

import pytest

from recap_assets.untrusted import tar_headers
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.tar_headers import BoundedHeader


def names(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r|", tarinfo=BoundedHeader) as tar:
        return [member.name for member in tar]


def written(name: str, form: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for one in ("first", name):
            info = tarfile.TarInfo(one)
            info.size = 3
            tar.addfile(info, io.BytesIO(b"abc"))
    return buffer.getvalue()


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_are_read_up_to_the_bound(form: int, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "a" * 5_000
    assert names(written(name, form)) == ["first", name]
    monkeypatch.setattr(tar_headers, "MAX_EXTENSION_BYTES", 4_000)
    with pytest.raises(UntrustedError, match=r"a header of 5,0\d\d bytes, at most 4,000"):
        names(written(name, form))


def test_a_header_that_claims_gigabytes_is_refused_before_they_are_read() -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 8 * 2**30 - 1
    with pytest.raises(UntrustedError, match="a header of 8,589,934,591 bytes"):
        names(info.tobuf(tarfile.USTAR_FORMAT) + bytes(4096))


def test_what_is_damaged_behind_the_first_member_does_not_pass_for_the_end() -> None:
    data = bytearray(written("second", tarfile.USTAR_FORMAT))
    assert names(bytes(data)) == ["first", "second"]
    data[data.index(b"second")] = 65
    with pytest.raises(UntrustedError, match="a header is damaged"):
        names(bytes(data))
