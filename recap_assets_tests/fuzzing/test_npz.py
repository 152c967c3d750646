"""Damaged arrays are arrays or one clear error, and never run anything."""

import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recap_assets.untrusted.arrays import Archive, read_array
from recap_assets.untrusted.errors import UntrustedError
from recap_assets_tests.fuzzing.damage import damages

ARRAY = np.arange(24, dtype=np.float16).reshape(6, 4)


def saved(save) -> bytes:
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


ARCHIVES = [
    saved(lambda file: np.savez(file, x=ARRAY)),
    saved(lambda file: np.savez_compressed(file, x=ARRAY)),
]


@given(st.sampled_from(ARCHIVES), damages())
def test_a_damaged_archive_is_an_error_of_ours_or_an_array(content, damage):
    try:
        array = Archive(io.BytesIO(damage(content))).array("x")
    except UntrustedError:
        return
    assert not array.dtype.hasobject


@given(st.just(saved(lambda file: np.save(file, ARRAY))) | st.binary(max_size=200), damages())
def test_a_damaged_array_is_an_error_of_ours_or_an_array(content, damage):
    try:
        array = read_array(io.BytesIO(damage(content)), 2**20)
    except UntrustedError:
        return
    assert not array.dtype.hasobject
    assert array.nbytes <= 2**20
