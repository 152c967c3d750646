"""Fine-tuning by rewards: it earns more, and the parts of the reward are what they say."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recap_assets.engines.small.loading import (
    load_small_captioner,
    load_small_clip,
    read_small_captioner,
)
from recap_assets.engines.small.tokenizer import EOS, PAD
from recap_assets.specs.decoding import Decoding
from recap_assets.training.models.kinds.captioner import TrainedCaptioner
from recap_assets.training.models.kinds.captioner.engine import train_captioner
from recap_assets.training.models.kinds.captioner.reward import Reward
from recap_assets.training.models.kinds.captioner.rewarded import (
    Rewards,
    log_probabilities,
    most_similar,
    repeated_bigrams,
    written,
)
from recap_assets.training.models.kinds.captioner.run import CaptionerRun
from recap_assets_tests.training.engine.drawings import drawn_pairs

PLAIN = {
    "kind": "captioner", "corpus": "c", "backbone": "b", "samples_seen": 960, "batch_size": 32,
    "width": 64,
}  # fmt: skip
REWARD = {"scorer": "clip", "max_tokens": 12, "self_retrieval": {"distractors": 7}}


@pytest.fixture(scope="module")
def first(backbone, tmp_path_factory):
    """A captioner that learned from a corpus of which most texts are of other images."""
    folder = tmp_path_factory.mktemp("first")
    spec = TrainedCaptioner.model_validate(PLAIN)
    train_captioner(noisy_pairs(), spec, backbone).save(folder)
    return folder


def noisy_pairs(n=300):
    pairs, rng = drawn_pairs(n), np.random.default_rng(0)
    of = [i if rng.random() < 0.3 else int(rng.integers(n)) for i in range(n)]
    return replace(pairs, texts=[pairs.texts[i] for i in of])


def rewarded(first, backbone, seen=640, **reward):
    spec = {**PLAIN, "samples_seen": seen, "start_from": "f", "reward": {**REWARD, **reward}}
    scorers = {"clip": load_small_clip(backbone, device="cpu")}
    model = TrainedCaptioner.model_validate(spec)
    return train_captioner(noisy_pairs(), model, backbone, first, scorers=scorers)


def test_rewards_teach_what_the_corpus_does_not_and_the_facts_say_at_what_cost(first, backbone):
    # A third of these samples may learn nothing: it depends on the processor's last bits.
    facts = rewarded(first, backbone, seen=3_840, self_retrieval=None, rate=1.0).facts
    assert facts["clip_score_after"] > facts["clip_score_before"] + 0.3
    assert 0 <= facts["repeated_bigrams_after"] <= 1
    assert facts.keys() == {
        f"{name}_{when}"
        for name in ("clip_score", "repeated_bigrams", "nats_a_token_at_first")
        for when in ("before", "after")
    }


def test_without_a_likelihood_captions_leave_what_the_captioner_found_likely(first, backbone):
    facts = rewarded(first, backbone, self_retrieval=None, likelihood=0.0, rate=1.0).facts
    assert facts["nats_a_token_at_first_after"] > facts["nats_a_token_at_first_before"]


def test_the_same_run_gives_the_same_weights(first, backbone):
    one, two = (rewarded(first, backbone, seen=64) for _ in range(2))
    assert all(map(torch.equal, one.model.state_dict().values(), two.model.state_dict().values()))


def test_self_retrieval_is_the_log_probability_of_the_own_image(backbone):
    pairs, scorer = drawn_pairs(20), load_small_clip(backbone, device="cpu")
    reward = Reward.model_validate({**REWARD, "clip_score": 0, "likelihood": 0})
    rewards = Rewards(pairs, reward, scorer, 0)
    rows, texts = np.arange(6), list(pairs.texts[:6])
    found = rewards.of(rows, texts, 0)
    images, embedded = scorer.embed_images(list(pairs.images)), scorer.embed_texts(texts)
    for row in rows:
        cosines = images @ images[row]
        others = sorted((n for n in range(20) if n != row), key=lambda n: (-cosines[n], n))[:7]
        logits = np.array([images[n] @ embedded[row] for n in (row, *others)]) / 0.05
        assert found[row] == pytest.approx(logits[0] - np.log(np.exp(logits).sum()), abs=1e-4)
    assert np.array_equal(most_similar(images, 50).shape, (20, 19))


def test_drawn_distractors_are_never_the_image_itself_and_others_each_step(backbone):
    pairs, scorer = drawn_pairs(12), load_small_clip(backbone, device="cpu")
    spec = {**REWARD, "self_retrieval": {"distractors": 5, "similar": False}}
    rewards = Rewards(pairs, Reward.model_validate(spec), scorer, 3)
    rows = np.arange(12)
    one, two = (rewards._others(rows, step, 5) for step in (0, 1))
    assert one.shape == (12, 5)
    assert not (one == rows[:, None]).any()
    assert one.min() >= 0
    assert one.max() < 12
    assert not np.array_equal(one, two)


def test_greedy_captions_are_those_of_the_captioner_and_their_probabilities_too(first):
    pairs = drawn_pairs(8, seed=9)
    greedy = Decoding(strategy="greedy", min_tokens=0, max_tokens=12)
    captioner = load_small_captioner(first, greedy, device="cpu")
    uids = [bytes([n]) for n in range(8)]
    expected = [one for (one,) in captioner.caption(list(pairs.images), uids)]
    spec = TrainedCaptioner.model_validate(PLAIN)
    model = captioner.model
    run = CaptionerRun(pairs, spec, read_small_captioner(first), model.tokenizer)
    features = torch.from_numpy(run.features).float()
    told = torch.zeros((8, 0), dtype=torch.int64)
    tokens = written(run.decoder, features, told, 12, None)
    texts = [model.tokenizer.decode([t for t in row if t > EOS]).strip() for row in tokens.tolist()]
    assert texts == [one.text for one in expected]
    log_probs, real = log_probabilities(run.decoder, features, told, tokens)
    totals = (log_probs * real).sum(1).tolist()
    assert totals == pytest.approx([one.log_probability for one in expected], abs=0.02)
    assert ((tokens == PAD) == ~real).all()


def test_repeated_pairs_of_words_are_counted_within_a_caption():
    assert repeated_bigrams(["a red car", "a red car"]) == 0
    assert repeated_bigrams(["a red a red a red"]) == pytest.approx(3 / 5)
    assert repeated_bigrams(["", "word"]) == 0


def test_a_reward_needs_a_captioner_to_start_from_and_something_to_reward():
    with pytest.raises(ValueError, match="name a captioner in `start_from`"):
        TrainedCaptioner.model_validate({**PLAIN, "reward": REWARD})
    with pytest.raises(ValueError, match="nothing is rewarded"):
        Reward(scorer="clip", clip_score=0)
