"""What an export writes and what it leaves out, on frames of a few rows."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap_assets.exports.rows import cuts, export_rows
from recap_assets_tests.exports.samples import captions, images, pairs, sharded, uid_of

NONE = captions()


@given(st.integers(0, 500), st.integers(1, 60))
def test_cuts_cover_all_in_order_and_differ_by_one_at_most(n: int, most: int) -> None:
    parts = cuts(n, most)
    assert [i for start, end in parts for i in range(start, end)] == list(range(n))
    sizes = [end - start for start, end in parts]
    assert not sizes or (max(sizes) <= most and max(sizes) - min(sizes) <= 1)
    assert len(sizes) == -(-n // most)


def test_pairs_of_one_image_are_numbered_by_rule_source_and_candidate() -> None:
    rows = pairs(
        {"image": 1, "source": "b", "rule": 1},
        {"image": 0},
        {"image": 1, "source": "a", "rule": 1},
        {"image": 1, "source": "z", "rule": 0},
    )
    found = export_rows(rows, images(range(2)), NONE, sharded()).samples
    assert found.select("uid", "k", "source").rows() == [
        (uid_of(0), 0, "raw"), (uid_of(1), 0, "z"), (uid_of(1), 1, "a"), (uid_of(1), 2, "b"),
    ]  # fmt: skip


def test_each_pair_is_written_or_has_its_reason() -> None:
    rows = pairs(*({"image": i, "score": [0.3, 0.3, None, 0.1, 0.3, 0.3][i]} for i in range(6)))
    shapes = {"width": [100, 40, 100, 100, 900, 100], "image_format": ["JPEG"] * 5 + ["GIF"]}
    asked = sharded("text_to_image", min_side=50, max_aspect=2.0, min_score=0.2)
    found = export_rows(rows, images(range(6), **shapes), NONE, asked)
    assert found.samples["uid"].to_list() == [uid_of(0)]
    assert found.left_out == {
        "low_score": 2, "too_elongated": 1, "too_small": 1, "unread_format": 1
    }  # fmt: skip
    assert found.n_pairs == found.samples.height + sum(found.left_out.values())


def test_without_images_their_format_does_not_matter() -> None:
    gifs = images(range(1), image_format=["GIF"])
    asked = sharded("huggingface", images=False, formats=["jpg"])
    assert export_rows(pairs({"image": 0}), gifs, NONE, asked).samples.height == 1


def test_one_sample_an_image_has_the_heaviest_text_and_all_pairs() -> None:
    rows = pairs(
        {"image": 0, "text": "light", "weight": 1.0, "rule": 0},
        {"image": 0, "text": "heavy", "weight": 3.0, "rule": 1},
        {"image": 0, "text": "as heavy", "weight": 3.0, "rule": 2},
    )
    (row,) = export_rows(rows, images(range(1)), NONE, sharded(positives="json")).samples.to_dicts()
    assert (row["text"], row["weight"], row["rule"], row["k"]) == ("heavy", 7.0, 1, 0)
    assert [pair["text"] for pair in row["pairs"]] == ["light", "heavy", "as heavy"]


def test_each_copy_of_a_pair_is_a_sample_of_its_own() -> None:
    rows = pairs({"image": 0, "copies": 3}, {"image": 1}, {"image": 2, "copies": 2})
    found = export_rows(rows, images(range(3)), NONE, sharded(), has_copies=True)
    samples = [(uid_of(i), k) for i, n in enumerate([3, 1, 2]) for k in range(n)]
    assert found.samples.select("uid", "k").rows() == samples
    assert found.n_pairs == 3
    together = sharded(positives="json")
    again = export_rows(rows, images(range(3)), NONE, together, has_copies=True).samples
    assert again.select("uid", "k").rows() == samples
    assert again["pairs"].list.len().to_list() == [1] * 6


def test_a_form_with_a_column_for_copies_writes_each_pair_once() -> None:
    rows = pairs({"image": 0, "copies": 3}, {"image": 1})
    found = export_rows(rows, images(range(2)), NONE, sharded("huggingface"), has_copies=True)
    assert found.samples.select("uid", "copies").rows() == [(uid_of(0), 3), (uid_of(1), 1)]


def test_a_mix_without_copies_is_written_as_before_there_were_any() -> None:
    found = export_rows(pairs({"image": 0}), images(range(1)), NONE, sharded()).samples
    assert not {"copies", "copy"} & set(found.columns)


@pytest.mark.parametrize("options", [{}, {"shuffle": 5}])
def test_the_order_of_what_comes_in_changes_nothing(options: dict[str, int]) -> None:
    rows = pairs(*({"image": i % 20, "rule": i // 20} for i in range(40)))
    said = captions(*((i, "raw", 0, f"t{i}", None) for i in range(20)))
    one = export_rows(rows, images(range(20)), said, sharded(**options)).samples
    turned = (frame.reverse() for frame in (rows, images(range(20)), said))
    assert one.equals(export_rows(*turned, sharded(**options)).samples)


def test_shuffled_samples_of_one_image_lie_apart_and_none_is_lost() -> None:
    rows = pairs(*({"image": i % 50, "rule": i // 50} for i in range(100)))
    plain, one, two = (
        export_rows(rows, images(range(50)), NONE, sharded(shuffle=seed)).samples.select("uid", "k")
        for seed in (None, 1, 2)
    )
    assert not one.equals(plain)
    assert not one.equals(two)
    assert one.sort("uid", "k").equals(plain.sort("uid", "k"))
    neighbours = (one["uid"][1:] == one["uid"][:-1]).sum()
    assert neighbours < 10


def test_weights_part_the_samples() -> None:
    rows = pairs(*({"image": i, "weight": [0.1, 3.0][i % 2]} for i in range(6)))
    groups = list(export_rows(rows, images(range(6)), NONE, sharded()).by_weight())
    assert [weight for weight, _ in groups] == [0.1, 3.0]
    assert pl.concat([rows for _, rows in groups]).height == 6
