import polars as pl
import pytest

from recap_assets.captions.kinds.imported import ImportSource
from recap_assets.captions.kinds.imported.join import CAPTION_COLUMNS, join_captions

UIDS = [bytes([i]) * 16 for i in range(8)]
FOUND = pl.Schema(
    {
        "uid": pl.Binary,
        "number": pl.Int32,
        "text": pl.String,
        "expected_text": pl.String,
        "n": pl.Int32,
    }
)


def source_of(**rules) -> ImportSource:
    return ImportSource(kind="import", files=("x.csv",), caption="c", **rules)


def images(*raw) -> pl.DataFrame:
    rows = [(i // 4, UIDS[i], text) for i, text in enumerate(raw)]
    schema = {"shard": pl.Int32, "uid": pl.Binary, "text": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def joined(raw, found, **rules):
    frame = pl.DataFrame(
        [(UIDS[i], number, text, expected, n) for i, number, text, expected, n in found],
        schema=FOUND,
        orient="row",
    )
    rows, counts = join_captions(images(*raw), frame, source_of(**rules))
    assert tuple(rows.columns) == CAPTION_COLUMNS
    told = rows.select("uid", "candidate", "text", "status", "reject_reason").rows()
    return [(UIDS.index(row[0]), *row[1:]) for row in told], {w: c.n for w, c in counts.items()}


def test_every_image_has_a_row_and_what_is_not_the_pools_has_none():
    rows, counts = joined(
        ["r", "r", "r"], [(0, 0, "a", None, 3), (1, 0, None, None, 1), (5, 0, "orphan", None, 1)]
    )
    assert rows == [
        (0, 0, "a", "ok", None),
        (1, 0, None, "empty", "empty"),
        (2, 0, None, "error", "not_in_import"),
    ]
    assert counts == {
        "images": 3, "matched": 2, "missing": 1, "empty": 1, "repeated_rows": 2, "conflicting": 0,
        "texts_compared": 0, "text_mismatches": 0,
    }  # fmt: skip


CONFLICT = [(0, 0, "b", None, 1), (0, 1, "a", None, 1), (0, 2, "b", "x", 1), (1, 0, "c", None, 1)]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("first", [(0, 0, "b", "ok", None), (1, 0, "c", "ok", None)]),
        (
            "candidates",
            [(0, 0, "b", "ok", None), (0, 1, "a", "ok", None), (1, 0, "c", "ok", None)],
        ),
        ("reject", [(0, 0, None, "error", "conflicting_captions"), (1, 0, "c", "ok", None)]),
    ],
)
def test_conflicts_follow_the_rule_and_are_counted(rule, expected):
    rows, counts = joined(["r", "r"], CONFLICT, conflicts=rule)
    assert rows == expected
    assert counts["conflicting"] == 1


WRONG = [
    (0, 0, "of another image", "other words", 1),
    (1, 0, "right", "caf\u00c3\u00a9", 1),
    (2, 0, "other", "other words", 1),
    (2, 1, "right", "r", 1),
    (3, 0, "unknown", "r", 1),
]


def test_captions_on_the_wrong_image_are_counted_and_kept():
    rows, counts = joined(["r", "café", "r", None], WRONG)
    assert [row[2] for row in rows] == ["of another image", "right", "other", "unknown"]
    assert {row[3] for row in rows} == {"ok"}
    assert (counts["texts_compared"], counts["text_mismatches"]) == (4, 2)


def test_captions_on_the_wrong_image_are_set_aside_where_asked():
    rows, counts = joined(["r", "café", "r", None], WRONG, on_text_mismatch="set_aside")
    assert rows == [
        (0, 0, "of another image", "error", "text_mismatch"),
        (1, 0, "right", "ok", None),
        (2, 0, "right", "ok", None),
        (3, 0, "unknown", "ok", None),
    ]
    assert counts["text_mismatches"] == 2


def test_a_conflict_with_a_caption_of_another_image_is_settled_by_setting_that_aside():
    rules = {"on_text_mismatch": "set_aside", "conflicts": "reject"}
    rows, _ = joined(["r", "r", "r"], WRONG[3:4] + WRONG[2:3], **rules)
    assert rows[2] == (2, 0, "right", "ok", None)
    rows, _ = joined(
        ["r", "r", "r"], WRONG[2:4], on_text_mismatch="set_aside", conflicts="candidates"
    )
    assert rows[2:] == [(2, 0, "right", "ok", None), (2, 1, "other", "error", "text_mismatch")]


def test_nobody_keeps_a_thousand_captions_of_one_image():
    found = [(0, i, f"c{i:04}", None, 1) for i in range(1_000)]
    rows, counts = joined(["r"], found, conflicts="candidates")
    assert [row[2] for row in rows] == [f"c{i:04}" for i in range(64)]
    assert counts["conflicting"] == 1


def test_nothing_imported_and_nothing_to_join():
    assert joined(["r"], [])[0] == [(0, 0, None, "error", "not_in_import")]
    rows, counts = joined([], [])
    assert rows == []
    assert set(counts.values()) == {0}
