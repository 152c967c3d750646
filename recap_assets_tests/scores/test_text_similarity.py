"""SIEVE's score beside the plain formula; sentence encoders of the hub."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from recap_assets.artefacts.captions import texts_of
from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.engines.errors import ModelFileError
from recap_assets.scores.kinds.text_similarity.assets import told
from recap_assets.scores.kinds.text_similarity.encoder import load_sentence_encoder
from recap_assets.scores.kinds.text_similarity.spec import SAYING_NOTHING
from recap_assets.scores.opened import embedder_of
from recap_assets.specs.loading import ExperimentError
from recap_assets_tests.tiny import EXPERIMENT, Bench, tiny_experiment


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("A photo of a dog", "a dog"),
        ("dog, stock photo", "dog"),
        ("photo", "photo"),
        ("a photograph of  an image of\tcats", "cats"),
        ("a photo of", ""),
        ("telephoto of a bird", "telephoto of a bird"),
        ("Two Cats!", "Two Cats!"),
    ],
)
def test_what_says_nothing_is_taken_out(text: str, left: str) -> None:
    assert told(pl.Series([text]), SAYING_NOTHING).to_list() == [left]


def test_phrases_are_no_patterns() -> None:
    assert told(pl.Series(["abc a.c (x"]), ["a.c"]).to_list() == ["abc (x"]
    assert told(pl.Series(["A  photo of x"]), ()).to_list() == ["A photo of x"]


def test_the_assets_hold_the_greatest_cosine(own: Bench) -> None:
    project = own.project
    tables, embedder = project.workspace.tables, embedder_of(project, "clip")
    several = 0
    for partition in project.partitions:
        found = tables.read(
            CLIP_SCORES, scorer="text_similarity", source="raw", partition=partition
        )
        scores = dict(found.select("uid", "score").rows())
        captions = texts_of(tables, "a", partition).drop_nulls("text")
        for uid, text in texts_of(tables, "raw", partition).select("uid", "text").rows():
            said = list(captions.filter(pl.col("uid") == pl.lit(uid))["text"])
            if text is None or not said:
                assert scores[uid] is None
                continue
            several += len(set(said)) > 1
            vectors = embedder.embed_texts([*told(pl.Series([text, *said]), SAYING_NOTHING)])
            cosines = vectors[1:] @ vectors[0]
            assert scores[uid] == pytest.approx(cosines.max(), abs=1e-6)
    assert several


WORDS = ["[PAD]", "[UNK]", *"abcdefghij"]


def save_encoder(folder: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=12,
    )  # fmt: skip
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]"  # noqa: S106
    ).save_pretrained(folder)  # fmt: skip
    return folder


def test_an_encoder_of_the_hub_takes_the_mean_of_its_states(tmp_path: Path) -> None:
    folder = save_encoder(tmp_path)
    texts = ["a b c", "d", "e f g", "", "a b c", "a " * 40]
    encoder = load_sentence_encoder(str(folder), batch_size=2, device="cpu")
    found = encoder.embed_texts(texts)
    model = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    for text, vector in zip(texts, found, strict=True):
        ids = [WORDS.index(word) for word in text.split()][:12] or [0]
        with torch.inference_mode():
            mean = model(torch.tensor([ids])).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(vector, mean / mean.norm(), atol=1e-6)
    alone = np.concatenate([encoder.embed_texts([text]) for text in texts])
    assert alone.tobytes() == found.tobytes()
    assert encoder.embed_texts([]).shape == (0, 16)


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelFileError, match=str(tmp_path)):
        load_sentence_encoder(str(tmp_path))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"captions": "a"}, "name a `scorer` or an `encoder`"),
        ({"captions": "b", "scorer": "clip"}, r"captions: there is no 'b'"),
        (
            {"captions": "best", "scorer": "clip"},
            r"scorers\.sieve → sources\.best → scorers\.sieve",
        ),
        ({"captions": "a", "scorer": "sieve"}, "has no embeddings"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, str], words: str) -> None:
    best = {"kind": "reranked", "source": "a", "scorer": "sieve"}
    with pytest.raises(ExperimentError, match=words):
        tiny_experiment(
            scorers={
                "clip": EXPERIMENT["scorers"]["clip"],
                "sieve": {"kind": "text_similarity", **fields},
            },
            sources={"a": EXPERIMENT["sources"]["a"], "best": best},
            mixes={"raw": {"scorer": "clip", "rules": [{"use": "raw"}]}},
            report={},
        )
