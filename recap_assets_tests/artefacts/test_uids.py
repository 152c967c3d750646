import hashlib
import io
import os
import pickle
import tracemalloc
import uuid

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap_assets.artefacts import draws
from recap_assets.artefacts import uids as uids_module
from recap_assets.artefacts.draws import uid_halves
from recap_assets.artefacts.uids import (
    SubsetFileError,
    from_hex,
    has_repeats,
    is_within,
    read_subset,
    subset_array,
    to_hex,
    uid_uniform,
    write_merged,
    write_subset,
)
from recap_assets.specs.mixes import RandomSubset


@pytest.fixture(autouse=True, scope="module")
def _arrow_imported():
    # By the first uids that are read, which takes longer than an example may.
    uid_halves(uids_of(range(1)))


def uids_of(numbers):
    uids = [hashlib.blake2b(str(n).encode(), digest_size=16).digest() for n in numbers]
    return pl.Series("uid", uids, dtype=pl.Binary)


@pytest.mark.parametrize(
    "part",
    [
        lambda uids: uids,
        lambda uids: uids[7:23],
        lambda uids: uids[::3],
        lambda uids: uids.filter(pl.Series([n % 5 == 0 for n in range(len(uids))])),
        lambda uids: pl.concat([uids[30:], uids[:4], uids[9:11]], rechunk=False),
        lambda uids: pl.concat([uids[30:], uids[:4]], rechunk=False)[3:-2],
        lambda uids: uids[:0],
    ],
)
@pytest.mark.parametrize("block", [1, 3, 1 << 16])
def test_halves_are_the_numbers_that_the_bytes_are_whatever_the_series_was_cut_from(
    part, block, monkeypatch
):
    monkeypatch.setattr(draws, "_BLOCK", block)
    uids = part(uids_of(range(40)))
    expected = [[int.from_bytes(uid[:8]), int.from_bytes(uid[8:])] for uid in uids]
    assert uid_halves(uids).tolist() == expected
    assert uid_halves(uids).dtype == np.uint64


@pytest.mark.parametrize("wrong", [b"", b"1" * 15, b"1" * 17, None])
def test_halves_of_what_is_no_uid_are_refused(wrong):
    uids = pl.Series("uid", [b"0" * 16, wrong, b"2" * 17], dtype=pl.Binary)
    with pytest.raises(ValueError, match="16 bytes"):
        uid_halves(uids)


def datacomp_subset(hex_uids):
    """DataComp's baselines/apply_filter.py, as it stands."""
    array = np.array(
        [(int(uid[:16], 16), int(uid[16:32], 16)) for uid in hex_uids], np.dtype("u8,u8")
    )
    array.sort()
    return array


# A sort by the first half alone would leave these in the order given.
SHARED_HALF = ["0123456789abcdef" + tail for tail in ("f" * 16, "0" * 16, "7" * 16)]


def test_hex_and_back():
    hex_uids = pl.Series(["00ff" * 8, "0123456789abcdef" * 2])
    assert to_hex(from_hex(hex_uids)).to_list() == hex_uids.to_list()
    assert from_hex(pl.Series(["AB" * 16])).to_list() == [b"\xab" * 16]


@pytest.mark.parametrize("wrong", ["00" * 15, "0g" * 16, "", None])
def test_what_is_no_uid_is_refused(wrong):
    with pytest.raises(ValueError, match="32 hex digits"):
        from_hex(pl.Series(["00" * 16, wrong], dtype=pl.String))


def splitmix(x):
    """The published finaliser, on Python's integers."""
    mask = 2**64 - 1
    x = (x + 0x9E3779B97F4A7C15) & mask
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)


@pytest.mark.parametrize(("seed", "purpose"), [(0, ""), (7, "subset"), (-1, "source")])
def test_uniform_numbers_are_the_documented_hash(seed, purpose):
    uids = uids_of(range(50))
    key = hashlib.blake2b(f"{purpose}:{seed}".encode(), digest_size=16).digest()
    first_key, last_key = int.from_bytes(key[:8]), int.from_bytes(key[8:])
    expected = []
    for uid in uids:
        first, last = int.from_bytes(uid[:8]), int.from_bytes(uid[8:])
        expected.append((splitmix(splitmix(first ^ first_key) ^ last ^ last_key) >> 11) / 2**53)
    assert uid_uniform(seed, uids, purpose).tolist() == expected


def test_uniform_numbers_are_uniform_and_independent_between_purposes_and_seeds():
    uids = uids_of(range(20_000))
    numbers = [uid_uniform(seed, uids, purpose) for seed, purpose in [(0, "a"), (0, "b"), (1, "a")]]
    for values in numbers:
        counts, _ = np.histogram(values, bins=20, range=(0, 1))
        assert ((counts - 1000) ** 2 / 1000).sum() < 60  # chi squared, 19 degrees: p = 4e-6
    assert np.abs(np.corrcoef(numbers) - np.eye(3)).max() < 0.03


def test_uniform_numbers_depend_on_every_byte():
    base = bytes(16)
    flipped = [base[:i] + b"\x01" + base[i + 1 :] for i in range(16)]
    assert len(set(uid_uniform(0, pl.Series([base, *flipped])).tolist())) == 17


@given(st.permutations(range(8)), st.integers(1, 7))
def test_uniform_numbers_know_neither_order_nor_neighbours(order, cut):
    uids = uids_of(range(8))
    whole = uid_uniform(3, uids)
    shuffled = uid_uniform(3, uids.gather(list(order)))
    assert shuffled.tolist() == whole[list(order)].tolist()
    assert np.concatenate([uid_uniform(3, uids[:cut]), uid_uniform(3, uids[cut:])]).tolist() == (
        whole.tolist()
    )


def test_uids_of_another_length_are_refused():
    with pytest.raises(ValueError, match="16 bytes"):
        uid_uniform(0, pl.Series("uid", [b"\0" * 16, b"\0" * 15]))
    with pytest.raises(ValueError, match="16 bytes"):
        uid_uniform(0, pl.Series("uid", [b"\0" * 16, None]))


def test_random_parts_are_nested_and_of_the_size_asked_for():
    uids = uids_of(range(20_000))
    parts = [is_within(RandomSubset(fraction=f, seed=5), uids) for f in (0.1, 0.5, 1.0)]
    assert [round(part.mean(), 1) for part in parts] == [0.1, 0.5, 1.0]
    assert parts[2].all()
    assert (parts[0] & ~parts[1]).sum() == 0


def test_subset_file_is_datacomps_byte_for_byte(tmp_path):
    hex_uids = [*to_hex(uids_of(range(500))).to_list(), *SHARED_HALF, SHARED_HALF[0]]
    np.save(tmp_path / "theirs.npy", datacomp_subset(hex_uids))
    write_subset(tmp_path / "ours.npy", from_hex(pl.Series(hex_uids)))
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "theirs.npy").read_bytes()


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1), st.integers(0, 3)
        ),
        max_size=40,
    )
)
def test_subsets_are_sorted_whatever_their_uids_share(halves):
    uids = [first.to_bytes(8) + last.to_bytes(8) for first, last in halves]
    assert subset_array(pl.Series(uids, dtype=pl.Binary)).tolist() == sorted(halves)
    assert has_repeats(pl.Series(uids, dtype=pl.Binary)) == (len(set(halves)) < len(halves))


def test_one_repeat_among_many_is_found_and_equal_beginnings_are_none():
    random = np.random.default_rng(1)
    many = random.bytes(16 * 200_000)
    uids = pl.Series([many[i : i + 16] for i in range(0, len(many), 16)], dtype=pl.Binary)
    shared = {uid[:4] for uid in uids[:150_000]} & {uid[:4] for uid in uids[150_000:]}
    assert shared, "some of so many begin alike"
    assert not has_repeats(uids)
    twice = pl.concat([uids, uids[123_456:123_457]])
    assert has_repeats(twice)
    assert not has_repeats(twice[123_457:])
    assert has_repeats(twice[[123_456, 200_000]])
    assert not has_repeats(pl.Series([bytes(4) + uid[4:] for uid in uids[:5_000]]))


@pytest.mark.parametrize("other", [None, b"", b"a" * 12, b"a" * 17])
def test_repeats_are_looked_for_among_uids_alone(other):
    with pytest.raises(ValueError, match="a uid is 16 bytes"):
        has_repeats(pl.Series([b"a" * 16, other], dtype=pl.Binary))


@pytest.mark.parametrize("name", ["set.npy", "set.txt"])
@pytest.mark.parametrize("n", [0, 1, 50])
def test_a_written_set_is_read_back_sorted(tmp_path, name, n):
    uids = uids_of(range(n))
    write_subset(tmp_path / name, uids)
    assert read_subset(tmp_path / name).equals(uids.sort(), check_dtypes=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@given(st.lists(st.lists(st.integers(0, 40), max_size=12), max_size=5), st.integers(1, 8))
def test_merged_parts_have_the_bytes_of_one_subset(parts, at_once):
    uids = [uids_of(part) for part in parts]
    every = pl.concat([pl.Series("uid", [], dtype=pl.Binary), *uids])
    buffer, whole = io.BytesIO(), io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uids_module, "_MERGED", at_once)
        write_merged(buffer, [subset_array(part) for part in uids])
    np.save(whole, subset_array(every))
    assert buffer.getvalue() == whole.getvalue()


def test_a_bare_memory_map_is_read(tmp_path):
    array = datacomp_subset(SHARED_HALF)
    array.tofile(tmp_path / "set.npy")
    assert to_hex(read_subset(tmp_path / "set.npy")).to_list() == sorted(SHARED_HALF)


def test_unusable_sets_are_named(tmp_path):
    objects = np.array([{"a": 1}], dtype=object)
    np.save(tmp_path / "objects.npy", objects, allow_pickle=True)
    np.save(tmp_path / "floats.npy", np.zeros(3))
    write_subset(tmp_path / "cut.npy", uids_of(range(9)))
    os.truncate(tmp_path / "cut.npy", 150)
    (tmp_path / "odd.npy").write_bytes(b"x" * 17)
    (tmp_path / "words.txt").write_text("not a uid\n")
    for name in ("objects.npy", "floats.npy", "cut.npy", "odd.npy", "words.txt", "missing.npy"):
        with pytest.raises(SubsetFileError, match=name):
            read_subset(tmp_path / name)
    with pytest.raises(SubsetFileError, match=r"\.npy or \.txt"):
        write_subset(tmp_path / "set.csv", uids_of(range(2)))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "set.npy"
    write_subset(path, uids_of(range(3)))
    before = path.read_bytes()

    def no_space(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write_subset(path, uids_of(range(5)))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def bare(folder, content: bytes):
    path = folder / "set.npy"
    path.write_bytes(content + b" " * (-len(content) % 16))
    return path


PICKLED = pickle.dumps({"uids": ["x" * 5]})
PADDED = PICKLED + b"." * (-len(PICKLED) % 16)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PADDED, "pickle"), (pickle.dumps(["x" * 40], 2), "pickle"), (pickle.dumps([1], 0), "text"),
        (b"<!doctype html><html>404</html>", "text"), (b'{"error": "not found"}', "text"),
        (b"PK\3\4" + bytes(60), "another kind"), (b"\x1f\x8b\x08" + bytes(60), "another kind"),
        (bytes(range(255, 239, -1)) + bytes(range(16)), "not sorted"),
    ],
)  # fmt: skip
def test_what_only_has_the_length_of_a_bare_map_is_refused(tmp_path, content, kind):
    path = bare(tmp_path, content)
    with pytest.raises(SubsetFileError, match=f"{path}: .*{kind}"):
        read_subset(path)


def test_an_array_that_asks_for_more_than_it_has_is_refused(tmp_path):
    path = tmp_path / "set.npy"
    with path.open("wb") as file:
        header = {"descr": [("f0", "<u8"), ("f1", "<u8")], "fortran_order": False}
        np.lib.format.write_array_header_1_0(file, header | {"shape": (2**40,)})
        file.write(bytes(64))
    with pytest.raises(SubsetFileError, match=r"set\.npy: .* asks for 17,592,186,044,416 bytes"):
        read_subset(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    for name in ("set.npy", "set.txt"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(SubsetFileError, match="named pipe"):
            read_subset(tmp_path / name)


def test_lists_of_uuids_and_of_other_encodings_are_read(tmp_path):
    uid = uuid.UUID(int=77)
    (tmp_path / "set.txt").write_bytes(f"{uid}\n{uid.hex.upper()}".encode("utf-16"))
    assert read_subset(tmp_path / "set.txt").to_list() == [uid.bytes, uid.bytes]


def test_a_set_larger_than_its_bound_is_refused_before_it_is_in_memory(tmp_path, monkeypatch):
    for name in ("bare.npy", "array.npy", "lines.txt"):
        (tmp_path / name).touch()
    with (tmp_path / "array.npy").open("wb") as file:
        header = {"descr": [("f0", "<u8"), ("f1", "<u8")], "fortran_order": False}
        np.lib.format.write_array_header_1_0(file, header | {"shape": (2**28 + 1,)})
        os.truncate(file.fileno(), file.tell() + 2**32 + 16)
    os.truncate(tmp_path / "bare.npy", 2**32 + 16)
    (tmp_path / "lines.txt").write_bytes(b"a" * 1024)
    os.truncate(tmp_path / "lines.txt", 2**33)  # a single line
    tracemalloc.start()
    with pytest.raises(SubsetFileError, match=r"bare\.npy: .*4,294,967,312 bytes are .* too many"):
        read_subset(tmp_path / "bare.npy")
    with pytest.raises(SubsetFileError, match=r"asks for 4,294,967,312 bytes, at most 4,294,967,"):
        read_subset(tmp_path / "array.npy")
    with pytest.raises(SubsetFileError, match=r"lines\.txt: .* no uid in line 1"):
        read_subset(tmp_path / "lines.txt")
    assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    tracemalloc.stop()

    (tmp_path / "lines.txt").write_text(f"{'ab' * 16}\n" * 9)
    monkeypatch.setattr("recap_assets.artefacts.uids.MAX_TEXT_BYTES", 9 * 33)
    assert len(read_subset(tmp_path / "lines.txt")) == 9
    monkeypatch.setattr("recap_assets.artefacts.uids.MAX_TEXT_BYTES", 9 * 33 - 1)
    with pytest.raises(SubsetFileError, match="it has more than 296 bytes"):
        read_subset(tmp_path / "lines.txt")
