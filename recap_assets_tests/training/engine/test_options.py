"""Training options: several positives, two stages."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from recap_assets.specs.losses import TwoStage
from recap_assets.specs.models import Optimizer
from recap_assets.training.engine.clip import train_clip
from recap_assets.training.engine.losses import (
    contrastive_loss,
    margin_loss,
    margins_of,
    several_positives_loss,
)
from recap_assets.training.engine.pairs import PairOrder, TrainingPairs
from recap_assets_tests.training.engine.drawings import drawn_pairs
from recap_assets_tests.training.engine.test_clip import TINY, Killed

TWO_STAGE = TwoStage(kind="two_stage", first=0.5)


def features(n, seed=0):
    torch.manual_seed(seed)
    return functional.normalize(torch.randn(n, 8, dtype=torch.float64), dim=1)


def plain_several(images, texts, scale, owners, shares):
    """Word for word: each text of an image against those of other images; each text's image."""
    total = 0.0
    for t, i in enumerate(owners):
        rivals = [s for s, j in enumerate(owners) if j != i]
        logits = scale * texts[[t, *rivals]] @ images[i]
        of_image = -logits.log_softmax(0)[0]
        of_text = -(scale * images @ texts[t]).log_softmax(0)[i]
        total += shares[t] * (of_image + of_text) / 2
    return total / len(images)


def test_several_positives_is_the_formula_word_for_word():
    owners, shares = [0, 0, 1, 2, 2, 2], [0.5, 0.5, 1.0, 0.2, 0.3, 0.5]
    images, texts = features(3), features(6, seed=1)
    found = several_positives_loss(
        images, texts, torch.tensor(9.0), torch.tensor(owners), torch.tensor(shares)
    )
    assert float(found) == pytest.approx(float(plain_several(images, texts, 9.0, owners, shares)))


def test_with_one_text_an_image_it_is_the_contrastive_loss():
    images, texts, scale = features(7), features(7, seed=1), torch.tensor(14.0)
    several = several_positives_loss(images, texts, scale, torch.arange(7), torch.ones(7))
    assert float(several) == pytest.approx(float(contrastive_loss(images, texts, scale)))


def test_margins_are_the_first_stages_distances_and_none_for_a_pair():
    images, texts = features(5), features(5, seed=1)
    of_images, of_texts = margins_of(images, texts, 0.5)
    cosines = images @ texts.T
    for i in range(5):
        for j in range(5):
            expected = 0.5 * max(0.0, float(cosines[i, i] - cosines[i, j]))
            assert float(of_images[i, j]) == pytest.approx(expected)
            expected = 0.5 * max(0.0, float(cosines[i, i] - cosines[j, i]))
            assert float(of_texts[i, j]) == pytest.approx(expected)
    scale, none = torch.tensor(9.0), (torch.zeros(5, 5), torch.zeros(5, 5))
    plain = contrastive_loss(images, texts, scale)
    assert float(margin_loss(images, texts, scale, none)) == pytest.approx(float(plain))
    assert margin_loss(images, texts, scale, (of_images, of_texts)) > plain


def several(n=60):
    """Drawings with two texts each, one of which counts thrice, and one that never counts."""
    pairs = drawn_pairs(n, side=32)
    index = np.repeat(np.arange(n, dtype=np.int32), 3)
    texts = [text for one in pairs.texts for text in (one, f"photo , {one}", "never")]
    return TrainingPairs(pairs.images, index, texts, np.tile([3.0, 1.0, 0.0], n).astype("f4"))


def test_every_image_comes_once_an_epoch_with_all_texts_that_count():
    pairs = several(10)
    order = PairOrder(pairs, 0)
    chosen, owners, shares = order.texts_at(3, 20)
    images = pairs.image_index[chosen][np.flatnonzero(np.diff(owners, prepend=-1))]
    assert sorted(images[:7]) + sorted(images[7:17]) != []
    assert sorted(images[7:17]) == list(range(10))
    assert (np.bincount(owners) == 2).all()
    assert np.allclose(shares.reshape(-1, 2), [0.75, 0.25])
    drawn = pairs.image_index[order.pairs_at(3, 20)]
    assert np.array_equal(images, drawn), "the same order as with one text"


def trained(pairs, **changes):
    arguments = {"samples_seen": 160, "batch_size": 16, "seed": 5} | changes
    return train_clip(pairs, TINY, Optimizer(), **arguments).trainee.model.state_dict()


def same(one, other):
    return all(map(torch.equal, one.values(), other.values()))


@pytest.mark.parametrize(
    "changes", [{"loss": TWO_STAGE}, {"all_positives": True}], ids=["two_stage", "all"]
)
@pytest.mark.parametrize("at", [64, 112])
def test_a_killed_run_continues_to_the_same_weights(changes, at, tmp_path):
    pairs = several()
    whole = trained(pairs, **changes)
    assert not same(whole, trained(pairs)), "the option changes something"

    def kill(seen, _loss):
        if seen == at:
            raise Killed

    state = {"checkpoint": tmp_path / "run", "checkpoint_every": 16}
    with pytest.raises(Killed):
        trained(pairs, **changes, **state, on_progress=kill)
    assert same(trained(pairs, **changes, **state), whole)


def test_the_first_stage_is_the_plain_training():
    pairs = several()
    losses = {}
    for name, changes in (("plain", {}), ("two", {"loss": TWO_STAGE})):
        seen = losses.setdefault(name, [])
        trained(pairs, **changes, on_progress=lambda _n, loss, seen=seen: seen.append(loss))
    assert losses["plain"][:5] == losses["two"][:5]
    assert losses["two"][5] > losses["plain"][5], "margins make it harder"


def test_two_stages_with_several_texts_are_refused():
    with pytest.raises(ValueError, match="one text an image"):
        trained(several(), loss=TWO_STAGE, all_positives=True)
