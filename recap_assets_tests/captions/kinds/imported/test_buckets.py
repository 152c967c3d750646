import random

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from recap_assets.captions.kinds.imported.buckets import Buckets, digits_needed, settle
from recap_assets.captions.kinds.imported.files import CAPTION_ROWS, CaptionFile

KEYS = [bytes([i * 16 + 3]) + bytes(15) for i in range(4)]


def rows_of(*rows) -> pl.DataFrame:
    full = [(key, None if key else "bad", text, expected, None) for key, text, expected in rows]
    return pl.DataFrame(full, schema=CAPTION_ROWS, orient="row")


def plainly_settled(rows):
    """What `settle` gives, by dictionaries."""
    found = {}
    for at, (key, text, expected) in enumerate(rows):
        of_key = found.setdefault(key, {})
        first, n = of_key.get((text, expected), (at, 0))
        of_key[text, expected] = first, n + 1
    settled = []
    for key in sorted(found):
        with_text = [row for row in found[key] if row[0] is not None]
        kept = [row for row in found[key] if row[0] is not None or not with_text]
        ordered = sorted(kept, key=lambda row: found[key][row][0])
        settled += [
            (key, i, text, expected, found[key][text, expected][1])
            for i, (text, expected) in enumerate(ordered)
        ]
    return settled


TEXTS = st.sampled_from(["a", "b", None])
ROWS = st.lists(st.tuples(st.sampled_from(KEYS), TEXTS, TEXTS), max_size=20)


@given(rows=ROWS, sizes=st.lists(st.integers(1, 5), min_size=1), digits=st.integers(0, 2))
@settings(max_examples=60)
def test_batches_and_buckets_change_nothing(tmp_path_factory, rows, sizes, digits):
    buckets = Buckets(tmp_path_factory.mktemp("data") / "buckets", digits)
    start = 0
    while start < len(rows):
        size = sizes[start % len(sizes)]
        buckets.add(rows_of(*rows[start : start + size]))
        start += size
    settled = dict(buckets.settled())
    expected = plainly_settled(rows)
    assert [row for part in settled.values() for row in part.rows()] == expected
    assert all(
        name == "all" if not digits else key.hex().startswith(name)
        for name, part in settled.items()
        for key in part["key"]
    )
    told = {what: count.n for what, count in buckets.counts.items()}
    by_key = {}
    for key, text, _ in rows:
        by_key.setdefault(key, set()).add(text)
    assert told == {
        "rows": len(rows),
        "damaged_rows": 0,
        "malformed_keys": 0,
        "empty_rows": sum(text is None for _, text, _ in rows),
        "undecodable_texts": 0,
        "mended_texts": 0,
        "keys": len(by_key),
        "repeated_rows": sum(row[4] - 1 for row in expected),
        "conflicting_keys": sum(len(texts - {None}) > 1 for texts in by_key.values()),
    }
    buckets.close()


def test_the_order_of_other_keys_changes_nothing():
    rows = [(key, text, None) for key in KEYS for text in ("b", "a")]
    one = settle(rows_of(*rows).with_row_index("at"))
    by_key = [rows[i : i + 2] for i in range(0, len(rows), 2)]
    random.Random(0).shuffle(by_key)  # noqa: S311 - no secret
    other = settle(rows_of(*(row for pair in by_key for row in pair)).with_row_index("at"))
    assert one.equals(other)
    assert one["text"].to_list() == ["b", "a"] * 4


def test_malformed_keys_are_counted_and_shown(tmp_path):
    buckets = Buckets(tmp_path / "buckets", 0)
    buckets.add(rows_of((None, "lost", None), (KEYS[0], "kept", None)))
    ((_, settled),) = buckets.settled()
    assert settled.height == 1
    count = buckets.counts["malformed_keys"]
    assert (count.n, count.examples[0]["key"], count.examples[0]["caption"]) == (1, "bad", "lost")


def test_damaged_rows_and_texts_of_other_encodings_are_counted_by_reason(tmp_path):
    buckets = Buckets(tmp_path / "buckets", 0)
    rows = [
        (None, "line 3 is no JSON", None, None, "damaged"),
        (KEYS[0], None, "café", None, "reencoded"),
        (KEYS[1], None, None, None, "undecodable"),
    ]
    buckets.add(pl.DataFrame(rows, schema=CAPTION_ROWS, orient="row"))
    told = {what: count.n for what, count in buckets.counts.items()}
    assert told == {
        "rows": 3, "damaged_rows": 1, "malformed_keys": 0, "empty_rows": 1,
        "undecodable_texts": 1, "mended_texts": 1,
    }  # fmt: skip
    assert buckets.counts["damaged_rows"].examples[0]["key"] == "line 3 is no JSON"
    ((_, settled),) = buckets.settled()
    assert settled["text"].to_list() == ["café", None]


def test_a_rerun_starts_from_nothing(tmp_path):
    (tmp_path / "buckets" / "all").mkdir(parents=True)
    (tmp_path / "buckets" / "all" / "000000.parquet").write_bytes(b"left by a killed run")
    buckets = Buckets(tmp_path / "buckets", 0)
    assert list(buckets.settled()) == []
    buckets.close()
    assert not (tmp_path / "buckets").exists()


def test_more_bytes_more_buckets():
    sizes = [0, 256 * 2**20, 256 * 2**20 + 1, 4 * 2**30 + 1, 600 * 2**30]
    digits = [digits_needed([CaptionFile("a.csv", "a.csv", size, "v")]) for size in sizes]
    assert digits == [0, 0, 1, 2, 3]
