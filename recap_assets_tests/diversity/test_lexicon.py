import pytest

from recap_assets.diversity.lexicon import (
    Lexicon,
    LexiconError,
    english,
    lexicon_hash,
    load_lexicon,
    noun_of,
    nouns_among,
)

NOUNS = Lexicon(
    "test",
    frozenset(
        {"dog", "bus", "box", "city", "knife", "leaf", "glass", "glasses", "child", "man", "woman"}
        | {"church", "potato", "news", "bush", "ox"}
    ),
    {"oxen": "ox"},
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
        ("oxen", "ox"),
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
    assert load_lexicon(one).nouns == load_lexicon(other).nouns == {"dog", "cat"}
    assert lexicon_hash(load_lexicon(one)) == lexicon_hash(load_lexicon(other))
    assert lexicon_hash(Lexicon("x", {"dog"})) != lexicon_hash(Lexicon("x", {"cat"}))


def test_a_lexicon_names_irregular_plurals_and_says_what_it_is(tmp_path):
    path = tmp_path / "nouns.txt"
    path.write_text(
        "# language: en\n# licence: CC0\nox\nOxen = ox\ngeese=goose\n", encoding="utf-8"
    )
    found = load_lexicon(path)
    assert (found.language, found.licence) == ("en", "CC0")
    assert found.nouns == {"ox"}
    assert found.irregular == {"oxen": "ox"}  # the singular of geese is no noun of the list
    assert found.label == f"{path}@{lexicon_hash(found)} (en; CC0)"
    assert lexicon_hash(found) != lexicon_hash(Lexicon("x", {"ox"}))


def test_the_english_list_has_the_nouns_of_captions_and_no_function_words():
    said = "the women are holding old oranges and umbrellas near a parked train with two children"
    assert nouns_among(said.split(), english()) == {
        "woman", "orange", "umbrella", "train", "child",
    }  # fmt: skip
    assert english().label.endswith("(en; WordNet 3.0 license)")
    assert len(english().nouns) > 50_000


def test_unusable_lexicons_are_named(tmp_path):
    (tmp_path / "empty.txt").write_text("# nothing\n\n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    for name in ("empty.txt", "binary.txt", "missing.txt"):
        with pytest.raises(LexiconError, match=name):
            load_lexicon(tmp_path / name)


def test_a_lexicon_is_bounded(tmp_path, monkeypatch):
    (tmp_path / "nouns.txt").write_text("dog\ncat\n")
    monkeypatch.setattr("recap_assets.diversity.lexicon.MAX_FILE_BYTES", 8)
    assert load_lexicon(tmp_path / "nouns.txt").nouns == {"dog", "cat"}
    monkeypatch.setattr("recap_assets.diversity.lexicon.MAX_FILE_BYTES", 7)
    with pytest.raises(LexiconError, match=r"nouns\.txt: .* more than 7 bytes"):
        load_lexicon(tmp_path / "nouns.txt")
