import warnings

import pytest
from nltk.corpus.reader.wordnet import WordNetCorpusReader

from recap_assets.sets.kinds.text_based.wordnet import (
    WordNetError,
    files_hash,
    load_synsets,
    load_wordnet,
    names_a_synset,
    wordnet_files,
)
from recap_assets_tests.sets.datacomp import RepeatedEndings
from recap_assets_tests.sets.kinds.text_based.wordnet_files import (
    EXCEPTIONS,
    SYNSETS,
    write_wordnet,
)

ENDINGS = ("", "s", "es", "ss", "ses", "ies", "ves", "men", "ed", "ing", "er", "est", "sss", "xes")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_wordnet(tmp_path_factory.mktemp("nltk") / "corpora" / "wordnet")


def words():
    lemmas = {lemma for synsets in SYNSETS.values() for one in synsets for lemma in one}
    stems = lemmas | {lemma[:-1] for lemma in lemmas} | {lemma[:-3] for lemma in lemmas}
    irregular = {word for of_part in EXCEPTIONS.values() for word in of_part}
    made = {stem + ending for stem in stems | irregular for ending in ENDINGS}
    return sorted({*made, *(word.upper() for word in lemmas), "", "dog,", "日本"})


@pytest.mark.parametrize(
    ("endings", "reader"), [("once", WordNetCorpusReader), ("repeated", RepeatedEndings)]
)
def test_the_first_synset_is_nltks(files, monkeypatch, endings, reader):
    monkeypatch.setattr("nltk.data.path", [str(files.folder.parents[1])])
    with warnings.catch_warnings(action="ignore"):
        nltk = reader(str(files.folder), None)
    ours = load_wordnet(files.folder)
    asked = words()
    found = [ours.first_synset(word, endings) for word in asked]
    theirs = [next((s.offset() for s in nltk.synsets(word)), None) for word in asked]
    assert dict(zip(asked, found, strict=True)) == dict(zip(asked, theirs, strict=True))
    assert sum(one is not None for one in found) > 100


def test_endings_come_off_once_or_until_the_word_is_known(files):
    ours = load_wordnet(files.folder)
    assert ours.first_synset("dogss", "once") is None
    assert ours.first_synset("dogss", "repeated") == files.synset("n", "dog")


def test_a_hostile_word_is_no_word_and_takes_no_time(files):
    ours = load_wordnet(files.folder)
    assert ours.first_synset("es" * 40, "repeated") is None
    assert ours.first_synset("dog" + "s" * 100_000, "repeated") is None


def test_only_the_first_synset_counts_and_its_part_of_speech_does_not(files):
    ours, offsets = load_wordnet(files.folder), files.offsets["n"]
    second_table = offsets[next(i for i, one in enumerate(SYNSETS["n"]) if one == ("table",))]
    stand = files.synset("v", "stand")
    texts = ["a table", "he stood there", "Dogs run", "", "nothing known"]
    named = names_a_synset(texts, ours, {second_table, stand}, "repeated")
    assert named == [False, True, False, False, False]
    assert names_a_synset(texts, ours, {files.synset("n", "dog")}, "repeated") == [
        False, False, True, False, False,
    ]  # fmt: skip


def test_a_file_that_is_missing_or_of_another_format_is_named(files, tmp_path):
    with pytest.raises(WordNetError, match=r"index\.noun: cannot be read"):
        load_wordnet(tmp_path)
    for name in wordnet_files(files.folder):
        (tmp_path / name.name).write_bytes(name.read_bytes())
    (tmp_path / "index.verb").write_text("run v 1 2 @ ~ 1 0\n")
    with pytest.raises(WordNetError, match=r"index\.verb, line 1: 'run v 1 2 @ ~ 1 0' is not in"):
        load_wordnet(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [("", "holds no synset id"), ("n1 n2\n", "line 1"), ("dog\n", "line 1"), ("nx\n", "line 1")],
)
def test_synset_ids_are_checked(tmp_path, content, words):
    (tmp_path / "ids.txt").write_text(content)
    with pytest.raises(WordNetError, match=words):
        load_synsets(tmp_path / "ids.txt")


def test_synset_ids_are_read_as_numbers(tmp_path):
    (tmp_path / "ids.txt").write_text("n02084071\nn00000007\n\n")
    assert load_synsets(tmp_path / "ids.txt") == {2084071, 7}


def test_the_hash_is_of_the_files_and_their_bounds(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    paths[0].write_text("one")
    paths[1].write_text("two")
    before = files_hash(paths)
    paths[0].write_text("onet")
    paths[1].write_text("wo")
    assert files_hash(paths) != before


def test_files_of_words_are_bounded(tmp_path, monkeypatch):
    (tmp_path / "ids.txt").write_text("n00000007\n")
    monkeypatch.setattr("recap_assets.sets.kinds.text_based.wordnet.MAX_FILE_BYTES", 10)
    assert load_synsets(tmp_path / "ids.txt") == {7}
    assert files_hash([tmp_path / "ids.txt"])
    monkeypatch.setattr("recap_assets.sets.kinds.text_based.wordnet.MAX_FILE_BYTES", 9)
    for read in (load_synsets, lambda path: files_hash([path])):
        with pytest.raises(WordNetError, match=r"ids\.txt: .* more than 9 bytes"):
            read(tmp_path / "ids.txt")
