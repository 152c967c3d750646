import pytest

from recap_assets.diversity.lexicon import (
    LexiconError,
    lexicon_hash,
    load_nouns,
    noun_of,
    nouns_among,
)

NOUNS = frozenset(
    {"dog", "bus", "box", "city", "knife", "leaf", "glass", "glasses", "child", "man", "woman"}
    | {"church", "potato", "news", "bush"}
)


@pytest.mark.parametrize(
    ("word", "noun"),
    [
        ("dog", "dog"),
        ("dogs", "dog"),
        ("dog's", "dog"),
        ("dog\u2019s", "dog"),
        ("buses", None),
        ("bus", "bus"),
        ("boxes", "box"),
        ("cities", "city"),
        ("knives", "knife"),
        ("leaves", "leaf"),
        ("glasses", "glasses"),
        ("churches", "church"),
        ("bushes", "bush"),
        ("potatoes", "potato"),
        ("women", "woman"),
        ("men", "man"),
        ("news", "news"),
        ("children", None),
        ("s", None),
        ("", None),
        ("blue", None),
    ],
)
def test_the_noun_of_a_word(word, noun):
    assert noun_of(word, NOUNS) == noun


def test_forms_of_one_noun_count_once():
    assert nouns_among(["dog", "dogs", "dog's", "runs", "city", "cities"], NOUNS) == {"dog", "city"}


def test_a_lexicon_is_its_set_of_nouns(tmp_path):
    one, other = tmp_path / "one.txt", tmp_path / "other.txt"
    one.write_text("# animals\nDog\ncat  # and kittens\n\npolar bear\n", encoding="utf-8")
    other.write_text("cat\ndog\ncat\n", encoding="utf-8")
    assert load_nouns(one) == load_nouns(other) == {"dog", "cat"}
    assert lexicon_hash(load_nouns(one)) == lexicon_hash(load_nouns(other))
    assert lexicon_hash({"dog"}) != lexicon_hash({"cat"})


def test_unusable_lexicons_are_named(tmp_path):
    (tmp_path / "empty.txt").write_text("# nothing\n\n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    for name in ("empty.txt", "binary.txt", "missing.txt"):
        with pytest.raises(LexiconError, match=name):
            load_nouns(tmp_path / name)


def test_a_lexicon_is_bounded(tmp_path, monkeypatch):
    (tmp_path / "nouns.txt").write_text("dog\ncat\n")
    monkeypatch.setattr("recap_assets.diversity.lexicon.MAX_FILE_BYTES", 8)
    assert load_nouns(tmp_path / "nouns.txt") == {"dog", "cat"}
    monkeypatch.setattr("recap_assets.diversity.lexicon.MAX_FILE_BYTES", 7)
    with pytest.raises(LexiconError, match=r"nouns\.txt: .* more than 7 bytes"):
        load_nouns(tmp_path / "nouns.txt")
