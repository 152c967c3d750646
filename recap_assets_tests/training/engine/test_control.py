"""Control tokens of the small captioner: it writes as it is told."""

import numpy as np
import pytest

from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.small.controls import Controls, length_class
from recap_assets.engines.small.loading import load_small_captioner, load_small_clip, read_controls
from recap_assets.specs.decoding import Decoding
from recap_assets.training.engine.pairs import TrainingPairs
from recap_assets.training.models.kinds.captioner import TrainedCaptioner
from recap_assets.training.models.kinds.captioner.controls import bin_edges, pair_scores
from recap_assets.training.models.kinds.captioner.engine import train_captioner
from recap_assets_tests.training.engine.drawings import COLOURS, SHAPES, drawn_pairs

CONTROL = {"alignment": {"scorer": "clip", "bins": 4}, "length": [5, 12], "tag": "source"}
SPEC = TrainedCaptioner.model_validate({
    "kind": "captioner", "corpus": "c", "backbone": "b", "samples_seen": 3_200, "batch_size": 32,
    "width": 64, "control": CONTROL,
})  # fmt: skip
GREEDY = Decoding(strategy="greedy", min_tokens=2, max_tokens=16)


def noisy_pairs(n=400):
    """Half of the texts are of another image; short and long ones, by two writers."""
    clean = drawn_pairs(n)
    rng = np.random.default_rng(3)
    texts, sources = [], []
    for number in range(n):
        of = number if rng.random() < 0.5 else int(rng.integers(n))
        known = {*COLOURS, *SHAPES}
        words = [word for word in clean.texts[of].replace(",", " ").split() if word in known]
        colour = next(word for word in words if word in COLOURS)
        shape = next(word for word in words if word in SHAPES)
        is_long, is_loud = rng.random() < 0.5, rng.random() < 0.5
        # The backbone's tokenizer knows these words; others would take a token a letter.
        text = f"a {colour} {shape}"
        text += f" , {colour} {shape} , photo" if is_long else ""
        texts.append(f"{text} stock stock" if is_loud else text)
        sources.append("loud" if is_loud else "calm")
    return TrainingPairs(clean.images, clean.image_index, texts, clean.weights, sources)


@pytest.fixture(scope="module")
def told(backbone, tmp_path_factory):
    folder = tmp_path_factory.mktemp("told")
    scorers = {"clip": load_small_clip(backbone, device="cpu")}
    train_captioner(noisy_pairs(), SPEC, backbone, scorers=scorers).save(folder)
    return folder


def captions_of(folder, images, **control):
    uids = [n.to_bytes(16, "big") for n in range(len(images))]
    asked = {"alignment": 4, "length": 5, "tag": "calm", **control}
    captioner = load_small_captioner(folder, GREEDY, device="cpu", control=asked)
    return [caption.text for (caption,) in captioner.caption(list(images), uids)]


def test_the_best_bin_fits_the_image_better_than_the_worst(told, backbone):
    held_out = drawn_pairs(60, seed=9)
    clip = load_small_clip(backbone, device="cpu")
    images = clip.embed_images(list(held_out.images))

    def score(alignment):
        texts = captions_of(told, held_out.images, alignment=alignment)
        return float((images * clip.embed_texts(texts)).sum(1).mean())

    assert score(4) > score(1) + 0.05


def test_a_caption_has_the_length_and_the_writer_that_are_asked_for(told):
    images = drawn_pairs(30, seed=5).images
    short, long = (captions_of(told, images, length=n) for n in (5, 12))
    assert np.mean([len(text.split()) for text in short]) < 4
    assert np.mean([len(text.split()) for text in long]) > 6
    calm, loud = (captions_of(told, images, tag=tag) for tag in ("calm", "loud"))
    assert np.mean(["stock stock" in text for text in loud]) > 0.8
    assert np.mean(["stock stock" in text for text in calm]) < 0.2


def test_what_it_did_not_learn_is_refused_with_what_it_knows(told):
    image = drawn_pairs(1).images
    for asked, words in (
        ({"length": 6}, "learned no length 6; it knows 5, 12"),
        ({"tag": "shouting"}, "learned no tag 'shouting'; it knows calm, loud"),
        ({"mood": 1}, "learned no control 'mood'"),
    ):
        with pytest.raises(ModelFileError, match=words):
            captions_of(told, image, **asked)
    with pytest.raises(ModelFileError, match="say which alignment it is to write: 1, 2, 3, 4"):
        load_small_captioner(told, GREEDY, device="cpu")


def test_a_captioner_without_controls_learns_them_and_one_with_others_is_refused(
    told, backbone, tmp_path
):
    plain = SPEC.model_copy(update={"control": None, "samples_seen": 64})
    train_captioner(noisy_pairs(40), plain, backbone).save(tmp_path / "plain")
    by_length = SPEC.model_validate(
        {**SPEC.model_dump(), "samples_seen": 64, "control": {"length": [4, 12]}}
    )
    tuned = train_captioner(noisy_pairs(40), by_length, backbone, tmp_path / "plain")
    tuned.save(tmp_path / "tuned")
    assert read_controls(tmp_path / "tuned").known == {"length": (4, 12)}
    with pytest.raises(ModelFileError, match="learned other controls"):
        train_captioner(noisy_pairs(40), by_length, backbone, told)


def test_bins_are_of_equal_size_and_equal_scores_share_one(backbone):
    pairs = noisy_pairs(80)
    scores = pair_scores(pairs, load_small_clip(backbone, device="cpu"))
    expected = np.argsort(np.argsort(scores, kind="stable"), kind="stable") * 4 // 80
    found = np.searchsorted(bin_edges(scores, 4), scores, side="right")
    assert np.abs(found - expected).max() <= 1
    assert (np.bincount(found) >= 18).all()
    tied = np.array([0.1, 0.5, 0.5, 0.5, 0.5, 0.9], np.float32)
    assert len(set(np.searchsorted(bin_edges(tied, 3), tied, side="right")[1:5])) == 1


def test_lengths_and_tokens_are_counted_in_order():
    assert [length_class("w " * n, (4, 12)) for n in (0, 4, 5, 12, 90)] == [0, 0, 1, 1, 1]
    controls = Controls(alignment=8, length=(4, 12), tag=("a", "b"))
    assert controls.chosen("m", {"alignment": 8, "length": 12, "tag": "a"}) == [7, 9, 10]
    assert controls.n_tokens == 12
