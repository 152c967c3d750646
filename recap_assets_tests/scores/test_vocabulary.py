"""The scorer over words: it tells pairs apart, and names what an image shows."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.engines.small.loading import load_small_vocabulary
from recap_assets.engines.small.vocabulary import SmallVocabularyScorer
from recap_assets.graph.node import Rows, Step
from recap_assets.scores.embeddings import embed_partition
from recap_assets.specs.loading import ExperimentError
from recap_assets.testing.models import COLOURS, some_pairs
from recap_assets.training.engine.pairs import TrainingPairs
from recap_assets.training.models.kinds.vocabulary import TrainedVocabulary
from recap_assets.training.models.kinds.vocabulary.engine import train_vocabulary, vocabulary_loss
from recap_assets.world import drawing, texts
from recap_assets.world.scenes import COARSE, FINE, draw_scene, stream, world_of
from recap_assets.world.writing import corpus_sample
from recap_assets_tests.scores.conftest import LEXICAL
from recap_assets_tests.tiny import EXPERIMENT, Bench, tiny_experiment

WORLD = world_of(3)


def trained(pairs: TrainingPairs, folder: Path, **fields: object) -> SmallVocabularyScorer:
    spec = TrainedVocabulary.model_validate({**LEXICAL, **fields})
    train_vocabulary(pairs, spec).save(folder)
    return load_small_vocabulary(folder, 64, "cpu")


def test_the_first_word_of_a_red_square_is_red(tmp_path: Path) -> None:
    pairs = some_pairs(64, 6)
    scorer = trained(pairs, tmp_path, samples_seen=6 * 40, batch_size=6)
    named = scorer.named(scorer.embed_images(list(pairs.images[:3])), 1)
    assert [words[0][0] for words in named] == list(COLOURS)
    cosines = scorer.embed_images(list(pairs.images[:3])) @ scorer.embed_texts(COLOURS).T
    assert (cosines.argmax(1) == np.arange(3)).all()


def test_the_loss_is_the_mean_of_three_contrastive_ones() -> None:
    pairs = some_pairs(64, 6)
    learned = train_vocabulary(
        pairs, TrainedVocabulary.model_validate({**LEXICAL, "samples_seen": 6, "batch_size": 6})
    )
    model, tokens = learned.model, torch.tensor([[1, 4, 5, 2], [1, 6, 2, 0], [1, 3, 4, 2]])
    images = torch.randn(3, 3, 64, 64)

    def nats(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        cosines = functional.normalize(left, dim=1) @ functional.normalize(right, dim=1).T
        logits = cosines * model.logit_scale.exp()
        per_image, per_text = logits.log_softmax(1).diagonal(), logits.log_softmax(0).diagonal()
        return -(per_image.mean() + per_text.mean()) / 2

    of_images, of_texts = model.image_weights(images), model.text_weights(tokens)
    own = torch.zeros(3, model.vocabulary)
    for row, words in enumerate(([4, 5], [6], [4])):
        own[row, words] = 1
    kept_of_images, kept_of_texts = torch.zeros_like(of_images), own * of_texts
    for row in range(3):
        for kept, weights in ((kept_of_images, of_images), (kept_of_texts, of_texts)):
            best = weights[row].argsort(descending=True)[:4]
            kept[row, best] = weights[row, best]
    expected = (
        nats(kept_of_images, of_texts) + nats(of_images, kept_of_texts) + nats(of_images, own)
    ) / 3
    torch.testing.assert_close(vocabulary_loss(model, images, tokens), expected)


def test_an_experiment_scores_by_it_and_shows_the_words_of_images(own: Bench) -> None:
    project = own.project
    scores = project.workspace.tables.read(CLIP_SCORES, scorer="over_words")["score"].drop_nulls()
    assert len(scores)
    assert scores.is_between(0, 1.001).all()
    rows = embed_partition(project, "over_words", Step(next(iter(project.partitions))))
    assert isinstance(rows, Rows)
    header, _, first, *_ = rows.markdown["words"].splitlines()
    assert header == "| uid | words |"
    assert first.count(",") == LEXICAL["top"] - 1


def test_it_needs_a_model_of_its_kind() -> None:
    with pytest.raises(ExperimentError, match="'scorer' is of another kind"):
        tiny_experiment(
            scorers={**EXPERIMENT["scorers"], "w": {"kind": "vocabulary", "model": "scorer"}}
        )


@pytest.mark.long(reason="trains a model that tells drawn things apart")
def test_it_names_drawn_things_and_prefers_their_own_captions(tmp_path: Path) -> None:
    drawn = [corpus_sample(WORLD, "broad", number, 2) for number in range(1_500)]
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(image))) for image, _ in drawn])
    pairs = TrainingPairs(
        pixels,
        np.repeat(np.arange(len(drawn), dtype=np.int32), 2),
        [caption for _, captions in drawn for caption in captions],
        np.ones(2 * len(drawn), np.float32),
    )
    scorer = trained(
        pairs, tmp_path, samples_seen=16_000, batch_size=64, top=16, tower={"kind": "small"}
    )
    scenes = [draw_scene(stream(99, "new", n), WORLD) for n in range(200)]
    names = texts.name_probabilities(WORLD, "broad")
    captions = [texts.clean_caption(stream(98, "new", n), s, names) for n, s in enumerate(scenes)]
    images = scorer.embed_images([drawing.draw(scene, 3) for scene in scenes])
    cosines = images @ scorer.embed_texts(captions).T
    own, others = cosines.diagonal(), np.roll(cosines, 1, axis=1).diagonal()
    assert (own > others).mean() > 0.9, "chance is a half"
    named = [{word for word, _ in words} for words in scorer.named(images, 5)]
    labels = [
        {FINE[f].name, FINE[f].plural, FINE[f].coarse, COARSE[FINE[f].coarse]}
        for f in (scene.things[0].fine for scene in scenes)
    ]
    hits = np.mean([bool(a & b) for a, b in zip(named, labels, strict=True)])
    by_chance = np.mean([bool(a & b) for a, b in zip(named[1:], labels, strict=False)])
    assert hits > 2 * by_chance
    colours = [scene.things[0].colour for scene in scenes]
    assert np.mean([c in words for c, words in zip(colours, named, strict=True)]) > 0.7
