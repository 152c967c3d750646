import numpy as np

from recap_assets.engines.small.tokenizer import BOS, EOS, PAD, encode, longest, train_tokenizer

TEXTS = ["a red car", "a red bus, in the rain", "two red cars", "the rain", "A RED CAR"] * 3


def test_the_order_of_the_texts_changes_nothing():
    assert train_tokenizer(TEXTS, 320).to_str() == train_tokenizer(TEXTS[::-1], 320).to_str()


def test_any_text_comes_back_in_lower_case():
    tokenizer = train_tokenizer(TEXTS, 320)
    for text in ("a red car", "Ein ROTER Wagen, 犬!", "snow\nflake"):
        ids = tokenizer.encode(text).ids
        assert (ids[0], ids[-1]) == (BOS, EOS)
        assert tokenizer.decode(ids[1:-1]).strip() == text.lower()


def test_long_texts_keep_their_end_mark_and_short_ones_are_padded():
    tokenizer = train_tokenizer(TEXTS, 320)
    tokens = encode(tokenizer, ["a red car " * 500, "the rain"], 8)
    assert tokens.shape == (2, 8)
    assert (tokens[0, 0], tokens[0, -1]) == (BOS, EOS)
    assert set(tokens[1, np.argmax(tokens[1] == EOS) + 1 :]) == {PAD}
    assert longest(tokens[1:]) == np.argmax(tokens[1] == EOS) + 1
