"""Figures of words, each beside plain Python."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recap_assets.engines.errors import ModelFileError
from recap_assets.scores.kinds.words import WordsScorer
from recap_assets.testing.inputs import Nothing

TEXTS = ["A dog, a dog, a dog", "", "  IMG_22 ", "deux chats été", "!!!", "cats"]


def score(**fields: Any) -> list[float]:
    opened = WordsScorer(kind="words", **fields).open(Nothing())
    return np.round(opened.score(TEXTS), 6).tolist()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"measure": "words"}, [6, 0, 2, 3, 0, 1]),
        ({"measure": "characters"}, [19, 0, 6, 14, 3, 4]),
        ({"measure": "letters"}, [12 / 14, None, 3 / 6, 1, 0, 1]),
        ({"measure": "variety"}, [2 / 6, None, 1, 1, None, 1]),
        ({"measure": "repetition"}, [3 / 5, None, 0, 0, None, None]),
        ({"measure": "repetition", "n": 1}, [4 / 6, None, 0, 0, None, 0]),
        ({"measure": "listed", "words": "list"}, [3, 0, 0, 1, 0, 0]),
        ({"measure": "listed_share", "words": "list"}, [3 / 6, None, 0, 1 / 3, None, 0]),
    ],
)
def test_each_figure(
    fields: dict[str, Any], told: list[float | None], tmp_path: Path, monkeypatch: Any
) -> None:
    (tmp_path / "list").write_text("# animals\nDog\nchats # French\n")
    monkeypatch.chdir(tmp_path)
    expected = [np.nan if one is None else np.float32(one) for one in told]
    np.testing.assert_allclose(score(**fields), expected, atol=1e-6)


def test_the_embedded_worlds_nouns_are_a_list() -> None:
    assert score(measure="listed", words="embedded")[0] == 3


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"\xff\xfe\x00\xd8"])
def test_a_list_without_words_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"list\.txt"):
        WordsScorer(kind="words", measure="listed", words=str(path)).open(Nothing())
    with pytest.raises(ModelFileError, match="nowhere"):
        WordsScorer(kind="words", measure="listed", words="nowhere").open(Nothing())


@pytest.mark.parametrize("fields", [{"words": "x"}, {"measure": "listed"}])
def test_a_list_goes_with_its_measures(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="`words`, a list"):
        WordsScorer(kind="words", **fields)  # type: ignore[arg-type]
