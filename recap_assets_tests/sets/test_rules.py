from typing import Any

import numpy as np
import polars as pl
import pytest

from recap_assets.sets.kinds.basic import BasicFilter
from recap_assets.sets.kinds.image_based import ImageBased
from recap_assets.sets.kinds.laion2b import Laion2b
from recap_assets.sets.kinds.no_filter import NoFilter
from recap_assets.sets.kinds.text_based import TextBased
from recap_assets.sets.rules import failures, reasons

BASIC = BasicFilter(kind="basic")
FACTS: dict[str, Any] = {
    "text": "a photo of a dog", "language": "en", "n_words": 5, "n_characters": 16,
    "width": 640, "height": 480,
}  # fmt: skip
SCHEMA = {"text": pl.String, "language": pl.String, "score": pl.Float32, "cluster": pl.Int32}


def facts(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([{**FACTS, **row} for row in rows], schema_overrides=SCHEMA)


@pytest.mark.parametrize(
    ("row", "reason", "words"),
    [
        ({}, None, []),
        ({"text": None, "language": None, "n_words": None, "n_characters": None}, "no_text",
         ["raw has no text"]),
        ({"language": "de"}, "other_language", ["its language is de by fasttext, not en"]),
        ({"n_words": 2}, "too_few_words", ["only 2 words; more than 2 are asked for"]),
        ({"n_words": 1, "n_characters": 5}, "too_few_words",
         ["only 1 word; more than 2 are asked for",
          "only 5 characters; more than 5 are asked for"]),
        ({"n_characters": 5}, "too_few_characters",
         ["only 5 characters; more than 5 are asked for"]),
        ({"width": 199}, "small_image", ["199 x 480 pixels; 200 are asked for"]),
        ({"width": 200, "height": 200}, None, []),
        ({"width": 601, "height": 200}, "elongated_image",
         ["601 x 200 pixels, 3.005 : 1; at most 3 : 1 is asked for"]),
        ({"width": 600, "height": 200}, None, []),
        ({"width": None, "height": None}, "small_image", None),
    ],
)  # fmt: skip
def test_the_basic_filter_and_its_reasons(row, reason, words):
    found = facts(row)
    assert reasons(BASIC.requirements(), found).to_list() == [reason]
    if words is not None:
        assert failures(BASIC.requirements(), found) == words


def test_any_language_is_a_rule_as_well():
    spec = BasicFilter(kind="basic", language=None)
    assert reasons(spec.requirements(), facts({"language": None})).to_list() == [None]


def test_no_filter_asks_nothing_of_any_row():
    assert failures((), facts({})) == []
    assert reasons(NoFilter(kind="no_filter").requirements(), facts({}, {})).to_list() == [None] * 2


def test_a_score_is_compared_as_float32():
    spec = Laion2b(kind="laion2b", scorer="clip")
    at = np.float32(0.28)
    rows = facts({"score": at}, {"score": np.nextafter(at, np.float32(0))}, {"score": None})
    assert reasons(spec.requirements(), rows).to_list() == [None, "low_score", "low_score"]
    assert failures(spec.requirements(), rows[2:]) == ["it has no score"]
    assert failures(spec.requirements(), rows[1:2]) == ["score 0.28000 < 0.28"]


def test_a_text_has_to_name_an_entity():
    spec = TextBased(kind="text_based", wordnet="w", synsets="s")
    rows = facts({"names_entity": True}, {"names_entity": False})
    assert reasons(spec.requirements(), rows).to_list() == [None, "no_entity"]


def test_an_image_has_to_be_in_a_target_cluster():
    target = {"embeddings": "x.npy"}
    spec = ImageBased.model_validate(
        {"kind": "image_based", "scorer": "c", "target": target, "captions": None}
    )
    rows = pl.DataFrame({"cluster": [3, 4, None], "in_target": [True, False, None]})
    wanted = spec.requirements()
    assert reasons(wanted, rows).to_list() == [None, "other_cluster", "no_embedding"]
    assert failures(wanted, rows[1:2]) == ["its cluster 4 is that of no target image"]
    full = ImageBased.model_validate({"kind": "image_based", "scorer": "c", "target": target})
    tokens = facts({"n_tokens": 1, "cluster": 3, "in_target": True})
    assert reasons(full.requirements(), tokens).to_list() == ["too_few_tokens"]
