import io
import os
import zipfile

import numpy as np
import pytest

from recap_assets.untrusted.arrays import Archive, read_array
from recap_assets.untrusted.errors import UntrustedError


def npy(array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def header(shape, dtype="<f4") -> bytes:
    buffer = io.BytesIO()
    fields = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, fields)
    return buffer.getvalue()


def npz(content: bytes, packed=zipfile.ZIP_DEFLATED) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packed) as archive:
        archive.writestr("x.npy", content)
    return buffer


def test_arrays_are_what_numpy_saved():
    array = np.arange(6, dtype=np.float16).reshape(2, 3)
    for one in (array, np.asfortranarray(array)):
        assert np.array_equal(read_array(io.BytesIO(npy(one))), array)
        assert np.array_equal(Archive(npz(npy(one))).array("x"), array)
    assert Archive(npz(npy(array))).header("x").shape == (2, 3)


class Evil:
    def __reduce__(self):
        return (os.system, ("false",))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (npy(np.array([Evil()], dtype=object)), "pickled objects"),
        (header((2, 2**40)) + bytes(100), "asks for"),
        (header((2, 2**20)) + bytes(100), "asks for"),
        (header((2, 2)) + bytes(17), "asks for 16 bytes"),
        (header((-2, 2)) + bytes(16), "shape"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 0xFFFF, "no array of numpy"),
        (b"\x93NUMPY\x01\x00\x08\x00{'descr'" + bytes(8), "no array of numpy"),
        (b"\x93NUMPY\x09\x00" + bytes(100), "no array of numpy"),
        (b"hello world, no magic here", "no array of numpy"),
        (b"", "no array of numpy"),
    ],
)
def test_arrays_are_weighed_before_they_are_read(content, told):
    with pytest.raises(UntrustedError, match=told):
        read_array(io.BytesIO(content))
    with pytest.raises(UntrustedError, match=told):
        Archive(npz(content)).array("x")


def test_a_bomb_is_refused_by_what_it_claims():
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as member,
    ):
        member.write(header((2, 2**31)))
        member.write(bytes(2**20))
    with pytest.raises(UntrustedError, match="asks for 17,179,869,184 bytes"):
        Archive(buffer).array("x")


def test_zeros_that_unpack_to_much_are_refused():
    content = io.BytesIO()
    with (
        zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as member,
    ):
        member.write(header((2**26 + 1, 1)))
        for _ in range(2**8):
            member.write(bytes(2**20))
        member.write(bytes(4))
    with pytest.raises(UntrustedError, match=r"unpacks from \d+,\d+ to 268,435,460 bytes"):
        Archive(content).array("x")


def test_archives_that_cannot_be_read_say_why():
    with pytest.raises(UntrustedError, match="no npz file"):
        Archive(io.BytesIO(b"\x93NUMPY" + bytes(200)))
    with pytest.raises(UntrustedError, match=r"no readable array 'y': it holds x\.npy"):
        Archive(npz(npy(np.ones(2)))).array("y")
    with pytest.raises(UntrustedError, match="encrypted, or packed"):
        Archive(npz(npy(np.ones(2)), zipfile.ZIP_LZMA)).array("x")


def test_encrypted_members_and_damaged_data_say_so():
    whole = npz(npy(np.arange(100.0))).getvalue()
    central = whole.find(b"PK\1\2")
    encrypted = bytearray(whole)
    encrypted[6] |= 1
    encrypted[central + 8] |= 1
    with pytest.raises(UntrustedError, match="encrypted"):
        Archive(io.BytesIO(bytes(encrypted))).array("x")
    damaged = bytearray(whole)
    damaged[central - 20] ^= 0xFF
    with pytest.raises(UntrustedError, match=r"damaged|Bad CRC"):
        Archive(io.BytesIO(bytes(damaged))).array("x")
