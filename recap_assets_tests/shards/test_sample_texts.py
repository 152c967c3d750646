"""Texts of samples: where they are found, how they are decoded, and what is told of them."""

import json

import polars as pl
import pytest

from recap_assets.shards.indexing import index_shard
from recap_assets.shards.metadata import load_metadata
from recap_assets.shards.sample_texts import MAX_TEXT_BYTES, TEXT_NOTES, clean_text
from recap_assets.shards.text_places import places_of_texts
from recap_assets_tests.shards.building import jpeg, pool_at, shard_at, tar_of, uid_of


def found_of(tmp_path, members, **options: object) -> tuple[str | None, str | None, str | None]:
    """Text, note and reason of one sample `a` with an image and the members given."""
    shard = shard_at(tmp_path / "0.tar", tar_of([("a.jpg", jpeg()), *members]))
    return (
        index_shard(shard, pool_at(tmp_path, **options))
        .select("text", "text_note", "reject_reason")
        .row(0)
    )


@pytest.mark.parametrize(
    ("data", "text", "note"),
    [
        ("Café in Zürich: 5 €".encode("cp1252"), "Café in Zürich: 5 €", "cp1252"),
        ("a cat on a mat".encode("utf-16"), "a cat on a mat", "utf_16"),
        ("\ufeffein Ü".encode("utf-16-be"), "ein Ü", "utf_16"),
        ("\ufeffwith a mark".encode(), "with a mark", None),
        ("一只猫".encode(), "一只猫", None),
    ],
)
def test_a_text_is_read_in_its_encoding_and_told(tmp_path, data, text, note):
    told = note and f"text_from_{note}"
    assert found_of(tmp_path, [("a.txt", data)]) == (text, told, None)
    assert told is None or told in TEXT_NOTES


def test_what_fits_no_encoding_is_no_text_and_never_mangled(tmp_path):
    for data in ("一只猫坐在沙发上".encode("gbk"), b"caf\xe9 \xff\xfe\xed\xa0\x80"):
        assert found_of(tmp_path, [("a.txt", data)]) == (None, "text_not_utf8", None)
    told = [("a.txt", b"\xff\xff\xff"), ("a.json", b'{"caption": "of the json"}')]
    assert found_of(tmp_path, told) == ("of the json", None, None)


def test_a_json_in_latin_1_is_read_but_not_one_whose_strings_do_not_read_so(tmp_path):
    data = json.dumps({"uid": uid_of(1), "caption": "Café"}, ensure_ascii=False).encode("latin-1")
    assert found_of(tmp_path, [("a.json", data)]) == ("Café", "text_from_cp1252", None)
    data = b'{"uid": "%s", "caption": "%s"}' % (uid_of(1).encode(), "猫坐在沙发上".encode("gbk"))
    assert found_of(tmp_path, [("a.json", data)]) == (None, None, "bad_json")


@pytest.mark.parametrize(
    "text", ["\u200b\u2060\ufeff", "\u00a0 \u3000", "\u2800\u3164", "\x01\x7f"]
)
def test_what_cannot_be_seen_is_no_text(text):
    assert clean_text(text) is None


def test_a_text_of_joined_emoji_stays():
    assert clean_text("👩\u200d🚀") == "👩\u200d🚀"


def test_texts_are_cut_at_64_kb_wherever_they_come_from(tmp_path):
    long = "ä" * MAX_TEXT_BYTES
    cut = ("ä" * (MAX_TEXT_BYTES // 2), "text_cut", None)
    assert found_of(tmp_path, [("a.txt", long.encode())]) == cut
    assert found_of(tmp_path, [("a.txt", ("x" + long).encode())])[0] == "x" + cut[0][:-1]
    assert found_of(tmp_path, [("a.json", json.dumps({"caption": long}).encode())]) == cut
    (tmp_path / "meta").mkdir()
    metadata = pl.DataFrame({"uid": [uid_of(1)], "text": [long]})
    metadata.write_parquet(tmp_path / "meta/0.parquet")
    tar = tar_of([("a.jpg", jpeg()), ("a.json", json.dumps({"uid": uid_of(1)}).encode())])
    pool = pool_at(tmp_path, metadata=str(tmp_path / "meta"))
    frame = index_shard(shard_at(tmp_path / "1.tar", tar), pool, load_metadata(str(pool.metadata)))
    assert frame.select("text", "text_note", "reject_reason").row(0) == cut


@pytest.mark.parametrize(
    ("field", "members", "found"),
    [
        ("TEXT", [("a.json", b'{"TEXT": "t", "caption": "c"}')], ("t", None)),
        ("cap", [("a.cap", b"from a member"), ("a.txt", b"not this")], ("from a member", None)),
        ("jpg.txt", [("a.jpg.txt", b"beside the name")], ("beside the name", None)),
        ("caption.en", [("a.json", b'{"caption": {"en": "g"}}')], ("g", None)),
        ("all", [("a.json", b'{"all": ["", "one", "two"]}')], ("one", "text_first_of_list")),
        ("all", [("a.json", b'{"all": ["one"]}')], ("one", None)),
        ("all", [("a.json", b'{"all": {"en": "g"}}')], (None, "text_no_string")),
        ("all", [("a.json", b'{"all": [7]}')], (None, "text_no_string")),
        (None, [("a.json", b'{"caption": {"en": "g"}, "text": "t"}')], ("t", None)),
        ("cap", [("a.txt", b"not asked for")], (None, None)),
    ],
)
def test_the_field_or_member_of_the_text_can_be_named(tmp_path, field, members, found):
    options = {} if field is None else {"text_field": field}
    assert found_of(tmp_path, members, **options)[:2] == found


def test_where_most_have_no_text_the_places_are_told(tmp_path):
    facts = [{"TEXT": "a"}, {"TEXT": "b", "tags": []}, {"width": 7}]
    members = [(f"{i}.json", json.dumps(fact).encode()) for i, fact in enumerate(facts)]
    images = [(f"{i}.jpg", jpeg(i)) for i in range(3)]
    shard = shard_at(tmp_path / "0.tar", tar_of([*images, *members, ("2.cap", b"c")]))
    told = places_of_texts(None, [shard])
    assert told is not None
    assert "3 of the first 3 samples have no text" in told
    assert "TEXT (2), tags (1)" in told
    assert "cap (1)" in told
    assert places_of_texts("TEXT", [shard]) is None
