"""Equal content has an equal hash; any change of it has another."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from recap_assets.storage.content import facet_scheme, facet_version, frame_version

rows = st.lists(
    st.tuples(
        st.one_of(st.none(), st.text(max_size=20)),
        st.one_of(st.none(), st.floats(allow_nan=False, width=32)),
        st.one_of(st.none(), st.binary(max_size=20)),
    ),
    max_size=12,
)
SCHEMA = {"text": pl.String, "score": pl.Float32, "uid": pl.Binary}


def frame_of(values: list) -> pl.DataFrame:
    return pl.DataFrame(values, schema=SCHEMA, orient="row")


@given(rows, st.randoms())
def test_order_of_rows_and_columns_and_chunks_do_not_matter(values: list, random) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)
    chunks = [frame_of(shuffled[i : i + 3]) for i in range(0, len(shuffled), 3)]
    other = pl.concat([*chunks, frame_of([])], rechunk=False).select("uid", "score", "text")
    assert frame_version(frame_of(values)) == frame_version(other)
    assert facet_version(frame_of(values)) == facet_version(other)


@given(rows.filter(bool), st.data())
def test_one_other_value_gives_another_hash(values: list, data) -> None:
    at = data.draw(st.integers(0, len(values) - 1))
    text = values[at][0]
    other = list(values)
    other[at] = ((text or "") + "x", *values[at][1:])
    assert frame_version(frame_of(values)) != frame_version(frame_of(other))
    assert facet_version(frame_of(values)) != facet_version(frame_of(other))


def test_text_that_moves_between_neighbouring_cells_gives_another_hash() -> None:
    left = pl.DataFrame({"a": ["ab", "c"]})
    right = pl.DataFrame({"a": ["a", "bc"]})
    assert frame_version(left) != frame_version(right)
    assert frame_version(pl.DataFrame({"a": [None]}, schema={"a": pl.String})) != frame_version(
        pl.DataFrame({"a": [""]})
    )


def test_a_slice_of_a_larger_frame_hashes_as_a_frame_of_its_own() -> None:
    texts = [f"a caption that is longer than an inline view, number {i}" for i in range(50)]
    whole = pl.DataFrame({"text": texts})
    assert frame_version(whole[10:20]) == frame_version(pl.DataFrame({"text": texts[10:20]}))


def test_nested_columns_count() -> None:
    one = pl.DataFrame({"a": [[1, 2], [3]], "s": [{"x": 1}, {"x": 2}]})
    two = pl.DataFrame({"a": [[1], [2, 3]], "s": [{"x": 1}, {"x": 2}]})
    assert frame_version(one) != frame_version(two)


def test_the_hash_is_pinned() -> None:
    # Another value here makes everything that was ever built out of date.
    frame = pl.DataFrame({"uid": [b"a", b"b"], "score": [0.5, None], "text": ["x", None]})
    assert frame_version(frame) == "f8dd05eb765a38511803f6aff9840407"


def test_versions_of_facets_are_pinned() -> None:
    # Another value here makes each facet be compared by its rows once more, which takes longer.
    frame = pl.DataFrame({"uid": [b"a", b"b"], "score": [0.5, None], "text": ["x", None]})
    assert facet_version(frame) == "c304f863-f8dd05eb765a38511803f6aff9840407"


def test_facets_that_are_made_of_other_columns_are_told_apart() -> None:
    frame = pl.DataFrame({"uid": [b"a", b"b"], "text": ["x", None]})
    assert facet_version(frame).startswith(facet_scheme(frame))
    assert facet_scheme(frame) == facet_scheme(frame.select("text", "uid").clear())
    others = [frame.select("uid"), frame.with_columns(pl.col("text").cast(pl.Binary))]
    assert facet_scheme(frame) not in {facet_scheme(other) for other in others}
