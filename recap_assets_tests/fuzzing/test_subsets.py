"""Any file is a set of uids or one error that names it."""

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from recap_assets.artefacts.uids import SubsetFileError, read_subset, write_subset
from recap_assets_tests.fuzzing.damage import damages

UIDS = pl.Series("uid", [np.random.default_rng(i).bytes(16) for i in range(5)], dtype=pl.Binary)
FOLDER = tempfile.TemporaryDirectory(prefix="subsets")


@given(st.sampled_from([".npy", ".txt"]), damages(), st.none() | st.binary(max_size=96))
def test_any_bytes_are_a_set_or_one_error(ending, damage, other):
    path = Path(FOLDER.name, f"set{ending}")
    write_subset(path, UIDS)
    path.write_bytes(damage(path.read_bytes()) if other is None else other)
    try:
        uids = read_subset(path)
    except SubsetFileError as error:
        told = str(error)
        uids, is_named = UIDS, str(path) in told
    else:
        is_named = True
    assert is_named
    assert uids.dtype == pl.Binary
    assert (uids.bin.size() == 16).all()
