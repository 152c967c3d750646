"""Vectors over words: which weights are kept, and how they are named."""

import numpy as np
import torch

from recap_assets.engines.small.tokenizer import (
    BOS,
    EOS,
    PAD,
    UNKNOWN,
    encode,
    train_word_tokenizer,
)
from recap_assets.engines.small.vocabulary import (
    SmallVocabularyModel,
    SmallVocabularyScorer,
    words_of,
)
from recap_assets.specs.models import SmallTower
from recap_assets_tests.tiny import TOWER

TEXTS = ["a red car", "A red bus, in the rain", "two red cars", "the rain and a bus"] * 2
ORDER = ["<pad>", "<bos>", "<eos>", "<unknown>", "a", "red", "bus", "rain", "the"]


def model(top: int, vocabulary: int = 9) -> SmallVocabularyModel:
    torch.manual_seed(0)
    return SmallVocabularyModel(SmallTower.model_validate(TOWER), vocabulary, top).eval()


def test_a_token_is_a_word_and_what_came_once_is_unknown():
    tokenizer = train_word_tokenizer([*TEXTS, "a zebra"], 400)
    tokens = encode(tokenizer, ["A RED zebra!", ""], 8)
    words = [tokenizer.id_to_token(int(number)) for number in tokens[0]]
    assert words == ["<bos>", "a", "red", "<unknown>", "<eos>", "<pad>", "<pad>", "<pad>"]
    assert tokens[1].tolist() == [BOS, EOS, *[PAD] * 6]
    assert tokenizer.to_str() == train_word_tokenizer(["a zebra", *TEXTS[::-1]], 400).to_str()


def test_the_most_frequent_words_are_kept():
    tokenizer = train_word_tokenizer(TEXTS, 9)
    assert [tokenizer.id_to_token(n) for n in range(9)] == ORDER
    assert tokenizer.get_vocab_size() == 9


def test_weights_are_the_largest_over_the_words_of_a_text_and_never_of_marks():
    one = model(top=3)
    tokens = torch.tensor([[BOS, 4, 6, UNKNOWN, EOS, PAD, PAD]])
    weights = one.text_weights(tokens)
    states = one.text.states(tokens)[0, :5]
    logits = states @ one.text_head.weight.T + one.text_head.bias
    expected = torch.where(logits > 0, logits + 1, logits.exp()).amax(0)
    torch.testing.assert_close(weights[0, 4:], expected[4:])
    assert (weights[0, :4] == 0).all()
    assert one.text_weights(tokens[:, :5]).equal(weights), "padding changes nothing"


def test_the_largest_weights_are_kept_and_a_texts_own_words():
    one = model(top=2)
    weights = torch.tensor([[0.0, 0, 0, 0, 0.5, 0.1, 0.9, 0.3, 0.2]])
    assert one.sparse(weights)[0].nonzero().flatten().tolist() == [4, 6]
    tokens = torch.tensor([[BOS, 8, EOS, UNKNOWN, PAD]])
    own = one.own_words(tokens)
    assert own[0].nonzero().flatten().tolist() == [8]
    assert one.sparse(weights, own)[0].nonzero().flatten().tolist() == [4, 6, 8]
    assert one.encode_text(tokens)[0, 8] > 0


def test_an_image_has_at_most_that_many_words():
    pixels = torch.randn(2, 3, 64, 64)
    vectors = model(top=3).encode_image(pixels, normalize=True)
    assert vectors.shape == (2, 9)
    assert ((vectors > 0).sum(1) == 3).all()
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))


def test_words_are_named_the_largest_first():
    tokenizer = train_word_tokenizer(TEXTS, 9)
    scorer = SmallVocabularyScorer(model(top=3), tokenizer, 8, torch.device("cpu"))
    vectors = np.zeros((2, 9), np.float32)
    vectors[0, [4, 6, 8]] = 0.25, 0.75, 0.25
    named = scorer.named(vectors, 2)
    assert named == [[("bus", 0.75), ("a", 0.25)], []]
    assert words_of(named) == ["bus 0.75, a 0.25", ""]
