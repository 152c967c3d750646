import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap_assets.sets.texts import n_tokens, n_words
from recap_assets_tests.sets.datacomp import fasttext_tokens

TEXTS = st.text(st.sampled_from("ab \n\t\r\v\f\0\x1c\x85\xa0\u3000é日"), max_size=20)


@given(st.lists(TEXTS))
def test_tokens_are_those_of_fasttext(texts):
    assert n_tokens(texts) == [len(fasttext_tokens(text)) for text in texts]


@pytest.mark.parametrize(
    ("text", "tokens", "words"),
    [
        # As fasttext.tokenize of fastText 0.9.2 answered.
        ("", 0, 0),
        ("\n", 1, 0),
        (" a  b ", 2, 2),
        ("a\n\nb\n", 5, 2),
        ("a\u00a0b\u3000c", 1, 3),
        ("a\x0bb\x0cc\rd\x00e", 5, 4),
        ("x\x1cy", 1, 2),
        ("日本 語", 2, 2),
    ],
)
def test_tokens_and_words_part_at_different_spaces(text, tokens, words):
    assert n_tokens([text]) == [tokens]
    assert n_words([text]) == [words]
