import json
import logging

import numpy as np
import open_clip
import pytest
import torch

from recap_assets.engines.small.loading import load_small_clip
from recap_assets.specs.models import OpenClipTower, Optimizer, SmallTower
from recap_assets.training.engine import clip
from recap_assets.training.engine.clip import train_clip
from recap_assets.training.engine.pairs import TrainingPairs
from recap_assets_tests.training.engine.drawings import COLOURS, SHAPES, drawn_pairs

TINY = SmallTower(
    image_size=32,
    image_stages=(8, 16),
    text_width=32,
    embedding_dim=16,
    vocabulary=400,
    context_length=12,
)


class Killed(Exception):  # noqa: N818 - not an error of the code under test
    pass


@pytest.fixture(scope="module")
def small_pairs():
    return drawn_pairs(60, side=32)


def weights_of(trained):
    return trained.trainee.model.state_dict()


def train_tiny(pairs, **changes):
    arguments = {"samples_seen": 160, "batch_size": 16, "seed": 5, "tag_loss": 0.3} | changes
    return train_clip(pairs, TINY, Optimizer(), **arguments)


def test_a_trained_clip_tells_unseen_drawings_apart(tmp_path):
    train_clip(
        drawn_pairs(300), SmallTower(), Optimizer(), samples_seen=1_600, batch_size=32, seed=0
    ).save(tmp_path)
    scorer = load_small_clip(tmp_path, device="cpu")
    held_out = drawn_pairs(100, seed=9)
    names = [f"a {colour} {shape}" for colour in COLOURS for shape in SHAPES]
    images = scorer.embed_images(list(held_out.images))
    guesses = (images @ scorer.embed_texts(names).T).argmax(1)
    right = [
        all(word in text.replace(",", "").split() for word in names[guess].split()[1:])
        for guess, text in zip(guesses, held_out.texts, strict=True)
    ]
    assert np.mean(right) > 0.4, "chance is 1 in 16"
    assert np.allclose(np.linalg.norm(images, axis=1), 1, atol=1e-5)


def test_training_is_a_function_of_the_seed(small_pairs):
    one, same, other = (train_tiny(small_pairs, seed=seed) for seed in (5, 5, 6))
    assert all(
        torch.equal(a, b)
        for a, b in zip(weights_of(one).values(), weights_of(same).values(), strict=True)
    )
    assert not torch.equal(
        weights_of(one)["text.projection.weight"], weights_of(other)["text.projection.weight"]
    )


def test_training_leaves_the_global_random_state_alone(small_pairs):
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    train_tiny(small_pairs, samples_seen=16)
    assert torch.equal(torch.rand(1), expected)


def dtypes_seen(model, into):
    """Notes what the image tower gives."""
    model.visual.register_forward_hook(lambda _module, _args, out: into.add(out.dtype))


def test_mixed_precision_computes_towers_in_bfloat16_and_keeps_weights(small_pairs, monkeypatch):
    seen = set()
    made = clip.make_trainee

    def watched(*args):
        trainee = made(*args)
        dtypes_seen(trainee.model, seen)
        return trainee

    monkeypatch.setattr(clip, "make_trainee", watched)
    mixed = train_tiny(small_pairs, amp=torch.bfloat16)
    assert seen == {torch.bfloat16}
    seen.clear()
    whole = train_tiny(small_pairs)
    assert seen == {torch.float32}
    assert {
        weight.dtype for weight in weights_of(mixed).values() if weight.is_floating_point()
    } == {torch.float32}
    losses = [[point.loss for point in one.curve] for one in (mixed, whole)]
    assert losses[0] != losses[1]
    np.testing.assert_allclose(*losses, rtol=0.05)


def test_a_run_of_another_precision_is_not_continued(small_pairs, tmp_path):
    checkpoint = tmp_path / "checkpoint.safetensors"
    settings = {"checkpoint": checkpoint, "checkpoint_every": 48}
    with pytest.raises(Killed):
        train_tiny(small_pairs, on_progress=killed_at(96), **settings)
    resumed = train_tiny(small_pairs, amp=torch.bfloat16, **settings)
    fresh = train_tiny(small_pairs, amp=torch.bfloat16)
    assert resumed.curve == fresh.curve


def killed_at(samples):
    def on_progress(seen, _loss):
        if seen >= samples:
            raise Killed

    return on_progress


def test_a_killed_run_resumes_to_the_same_bits(small_pairs, tmp_path):
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    settings = {"checkpoint": checkpoint, "checkpoint_every": 48}
    whole = train_tiny(small_pairs)
    with pytest.raises(Killed):
        train_tiny(small_pairs, **settings, on_progress=killed_at(112))
    seen = []
    resumed = train_tiny(
        small_pairs, **settings, on_progress=lambda samples, _loss: seen.append(samples)
    )
    assert seen[0] == 112, "the last checkpoint before the kill was after 96 samples"
    assert resumed.curve == whole.curve
    for name, weight in weights_of(whole).items():
        assert torch.equal(weight, weights_of(resumed)[name]), name
    assert [path.name for path in checkpoint.parent.iterdir()] == [checkpoint.name]


@pytest.mark.parametrize("damage", ["half", "empty", "text"])
def test_a_damaged_checkpoint_is_set_aside(small_pairs, tmp_path, caplog, damage):
    checkpoint = tmp_path / "checkpoint.safetensors"
    settings = {"checkpoint": checkpoint, "checkpoint_every": 48}
    train_tiny(small_pairs, **settings)
    content = checkpoint.read_bytes()
    damaged = {"half": content[: len(content) // 2], "empty": b"", "text": b"x" * 90}
    checkpoint.write_bytes(damaged[damage])
    seen = []
    with caplog.at_level(logging.WARNING):
        train_tiny(small_pairs, **settings, on_progress=lambda samples, _: seen.append(samples))
    assert seen[0] == 16
    assert "training starts from zero" in caplog.text
    assert (tmp_path / "checkpoint.safetensors.corrupt").exists()


def test_another_runs_checkpoint_is_not_taken(small_pairs, tmp_path):
    checkpoint = tmp_path / "checkpoint.safetensors"
    train_tiny(small_pairs, checkpoint=checkpoint, checkpoint_every=48)
    seen = []
    train_tiny(
        small_pairs,
        seed=6,
        checkpoint=checkpoint,
        on_progress=lambda samples, _: seen.append(samples),
    )
    assert seen[0] == 16


def test_the_curve_has_about_forty_points_and_ends_with_the_run(small_pairs):
    curve = train_tiny(small_pairs, samples_seen=16 * 90).curve
    assert 38 <= len(curve) <= 48
    assert (curve[-1].step, curve[-1].samples_seen) == (90, 16 * 90)
    assert curve[-1].loss < curve[0].loss


def test_a_single_pair_trains(tmp_path):
    pairs = drawn_pairs(1, side=32)
    train_tiny(pairs, samples_seen=32).save(tmp_path)
    assert np.isfinite(load_small_clip(tmp_path).embed_images(list(pairs.images))).all()


def test_odd_texts_train(small_pairs, tmp_path):
    odd = ["", " ", "\x00\ud800", "犬の写真", "a" * 5_000, "IMG_0001.JPG"]
    pairs = TrainingPairs(
        small_pairs.images, np.arange(6, dtype=np.int32), odd, np.ones(6, np.float32)
    )
    train_tiny(pairs, samples_seen=32).save(tmp_path)
    assert np.isfinite(load_small_clip(tmp_path).embed_texts(odd)).all()


def test_images_of_another_size_are_refused(small_pairs):
    with pytest.raises(ValueError, match="32 x 32, the tower takes 64 x 64"):
        train_clip(small_pairs, SmallTower(), Optimizer(), samples_seen=16, batch_size=16, seed=0)


def test_an_open_clip_tower_trains_and_loads_from_its_folder(small_pairs, tmp_path):
    config = {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 32,
            "layers": 1,
            "width": 32,
            "patch_size": 8,
            "head_width": 16,
        },
        "text_cfg": {
            "context_length": 16,
            "vocab_size": 49408,
            "width": 32,
            "heads": 2,
            "layers": 1,
        },
    }
    (tmp_path / "recap-test-tiny.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "recap-test-tiny.json")
    tower = OpenClipTower(kind="open_clip", name="recap-test-tiny")
    trained = train_clip(
        small_pairs, tower, Optimizer(kind="adamw"), samples_seen=320, batch_size=32, seed=0
    )
    assert trained.curve[-1].loss < trained.curve[0].loss
    folder = tmp_path / "saved"
    trained.save(folder)
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    assert preprocess.transforms[0].size == 32
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(list(small_pairs.texts[:4]))
    with torch.inference_mode():
        torch.testing.assert_close(
            model.encode_text(tokens), trained.trainee.model.encode_text(tokens)
        )
