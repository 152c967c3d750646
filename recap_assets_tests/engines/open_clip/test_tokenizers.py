"""Bounded tokenizers: open_clip's tokens for every text that people write, and no hang."""

import time
from pathlib import Path

import open_clip
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from open_clip.tokenizer import HFTokenizer
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from recap_assets.engines.open_clip import tokenizers
from recap_assets.engines.open_clip.tokenizers import (
    CHARACTERS_PER_TOKEN,
    BoundedHubTokenizer,
    BoundedTokenizer,
    make_tokenizer,
    shortened,
)

TEXTS = [
    "",
    "a photo of a dog",
    "word " * 120,
    "two cats asleep on a red sofa &amp; beside a window; " * 40,
    "Donaudampfschifffahrtsgesellschaftskapitän " * 60,
    "été à Nîmes, 2019!" * 30,
    "\U0001f6a4\U0001f468\u200d\U0001f469\u200d\U0001f467 " * 50,
    "一艘小船停在湖边" * 40,
    "http://example.com/" + "a-b_c/" * 100,
    " " * 3_000 + "after three thousand spaces",
    "\u0e01" * 500,
]
OWN = BoundedTokenizer(context_length=77)
THEIRS = open_clip.SimpleTokenizer(context_length=77)


@pytest.mark.parametrize("clean", ["lower", "whitespace", "canonicalize"])
def test_the_tokens_are_open_clips(clean: str) -> None:
    own = make_tokenizer({"context_length": 40, "tokenizer_kwargs": {"clean": clean}}, None)
    theirs = open_clip.SimpleTokenizer(context_length=40, clean=clean)
    assert torch.equal(own(TEXTS), theirs(TEXTS))


@given(st.text(max_size=400))
def test_the_tokens_of_any_text_are_open_clips(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    assert torch.equal(OWN([text]), THEIRS([text]))


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200))
def test_the_tokens_of_printable_ascii_are_open_clips(text: str) -> None:
    assert torch.equal(OWN([text, text]), THEIRS([text, text]))


def test_ids_of_words_are_kept_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizers, "MAX_CACHED_WORDS", 20)
    own = BoundedTokenizer(context_length=77)
    texts = [f"word{n} {'x' * 30}{n} and{'y' * 100}" for n in range(60)]
    assert torch.equal(own(texts), THEIRS(texts))
    assert 0 < len(own._ids) <= 20
    assert max(map(len, own._ids)) <= tokenizers.MAX_CACHED_CHARACTERS


def test_a_word_is_cut_far_beyond_the_context() -> None:
    word = "supercalifragilistic" * (CHARACTERS_PER_TOKEN * 77 // 20 + 5)
    assert torch.equal(OWN([word]), THEIRS([word]))


def test_a_word_of_64_kb_takes_no_minutes() -> None:
    start = time.process_time()
    tokens = OWN(["ab" * 32_000, "a" * 10_000_000])
    assert time.process_time() - start < 20  # open_clip's own takes two minutes
    assert (tokens[:, -1] == OWN.eot_token_id).all()


@pytest.fixture(scope="module")
def hub_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))  # noqa: S106 - no password
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    marks = ["[PAD]", "[UNK]"]
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=300, special_tokens=marks))
    folder = tmp_path_factory.mktemp("tokenizer")
    special = dict(zip(("pad_token", "unk_token"), marks, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_tokenizer_of_transformers_gives_the_same_tokens(hub_folder: Path, side: str) -> None:
    own, theirs = (
        kind(str(hub_folder), 16, clean="whitespace", truncation_side=side)
        for kind in (BoundedHubTokenizer, HFTokenizer)
    )
    assert torch.equal(own(TEXTS), theirs(TEXTS))
    long = "dog " * 10_000 + "end"
    assert torch.equal(own([long]), theirs([long]))


def test_a_text_is_shortened_at_a_space() -> None:
    assert shortened("one two three", 9) == "one two"
    assert shortened("one two three", 9, from_the_end=True) == "three"
    assert shortened("onetwothree", 5) == "onetw"
    assert shortened("one", 3) == "one"
