import io
import struct

import pyarrow as pa
import pytest
from pyarrow import ipc

from recap_assets.untrusted import arrow_stream
from recap_assets.untrusted.arrow_stream import read_arrow_rows
from recap_assets.untrusted.errors import UntrustedError

LIST = pa.array([["a", None], [], ["b"]])
ROWS = [{"n": 1, "t": ["a", None]}, {"n": 2, "t": []}, {"n": 3, "t": ["b"]}]


def stream(columns: dict[str, pa.Array], compression: str | None = None) -> bytes:
    table, buffer = pa.table(columns), io.BytesIO()
    options = ipc.IpcWriteOptions(compression=compression)
    with ipc.new_stream(buffer, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=2)
    return buffer.getvalue()


def rows(data: bytes, *columns: str) -> list[object]:
    return list(read_arrow_rows(io.BytesIO(data), columns))


@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
def test_rows_come_as_they_were_written(compression: str | None) -> None:
    data = stream({"n": pa.array([1, 2, 3]), "t": LIST, "other": LIST}, compression)
    assert rows(data, "n", "t") == ROWS
    assert rows(data[:-8], "n", "t") == ROWS  # as where a writer was not closed


def test_images_as_the_hub_stores_them() -> None:
    cell = {"bytes": b"\xff\xd8", "path": None}
    assert rows(stream({"image": pa.array([[cell, cell]])}), "image") == [{"image": [cell, cell]}]


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pa.array(["a"]).dictionary_encode(), "a message of kind 2"),
        (pa.array(["a"], pa.string_view()), "string_view, which is not read"),
        (pa.RunEndEncodedArray.from_arrays([2], ["a"]), "run_end_encoded.* which is not read"),
        (pa.array([["a"]], pa.list_view(pa.string())), "list_view.* which is not read"),
    ],
)  # fmt: skip
def test_what_could_stand_for_more_than_it_takes_is_refused(column: pa.Array, words: str) -> None:
    with pytest.raises(UntrustedError, match=words):
        rows(stream({"t": column}), "t")


def test_compressed_values_are_bounded_by_what_they_unpack_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = stream({"t": pa.array([b"\0" * 100_000])}, "zstd")
    assert len(data) < 1_000
    assert rows(data, "t")[0] == {"t": b"\0" * 100_000}
    monkeypatch.setattr(arrow_stream, "MAX_UNPACKED_BYTES", 99_000)
    with pytest.raises(UntrustedError, match=r"asks for 100,\d+ bytes unpacked, at most 99,000"):
        rows(data, "t")


def test_values_that_take_no_room_in_the_file_are_counted() -> None:
    table = pa.table({"t": pa.nulls(2**20 + 1)})
    buffer = io.BytesIO()
    with ipc.new_stream(buffer, table.schema) as writer:
        writer.write_table(table)
    assert len(buffer.getvalue()) < 1_000
    with pytest.raises(UntrustedError, match=r"1,048,577 values of a column, at most 1,048,576"):
        rows(buffer.getvalue(), "t")


def test_a_large_batch_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_stream, "MAX_BODY_BYTES", 5_000)
    with pytest.raises(UntrustedError, match=r"bytes, at most 5,000 are taken: write it in small"):
        rows(stream({"t": pa.array([b"\0" * 6_000])}), "t")


def test_offsets_that_lead_out_of_the_values_are_refused() -> None:
    data = bytearray(stream({"t": pa.array(["one", "four"])}))
    offsets = struct.pack("<3i", 0, 3, 7)
    at = data.index(offsets)
    for wrong in ((0, 3, 2**30), (0, -5, 7), (0, 9, 7)):
        data[at : at + len(offsets)] = struct.pack("<3i", *wrong)
        with pytest.raises(UntrustedError, match="no Arrow stream as `datasets` writes it, or dam"):
            rows(bytes(data), "t")


@pytest.mark.parametrize("length", [2**62, -8])
def test_a_body_that_claims_more_than_the_file_has_is_refused(length: int) -> None:
    data = stream({"t": pa.array(["one"])})
    start = data.index(b"\xff\xff\xff\xff", 8)
    (n_bytes,) = struct.unpack_from("<i", data, start + 4)
    end = data.rindex(b"\xff\xff\xff\xff")
    body = struct.pack("<q", end - start - 8 - n_bytes)
    claimed = data[:start] + data[start:].replace(body, struct.pack("<q", length), 1)
    with pytest.raises(UntrustedError, match="it is cut off, or a batch claims"):
        rows(claimed, "t")


def test_every_cut_and_many_damaged_bytes_end_in_an_answer() -> None:
    data = stream({"n": pa.array([1, 2, 3]), "t": LIST})
    broken = [data[:n] for n in range(len(data))]
    broken += [data[:n] + bytes([data[n] ^ 0xA5]) + data[n + 1 :] for n in range(len(data))]
    for one in broken:
        try:
            assert len(rows(one, "n", "t")) <= 3
        except UntrustedError as error:
            assert len(str(error)) < 500  # noqa: PT017


def test_a_column_that_is_missing_is_told_with_those_there_are_on_one_line() -> None:
    data = stream({"\x1b]0;owned\x07": pa.array([1])})
    with pytest.raises(UntrustedError, match=r"column 't' not; it has \\x1b\]0;owned\\x07"):
        rows(data, "t")
    with pytest.raises(UntrustedError, match="it is empty"):
        rows(b"", "t")
