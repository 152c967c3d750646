import numpy as np
import pytest
import torch

from recap_assets.engines.decoding.guidance import steps_of
from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.small.files import read_tokenizer
from recap_assets.engines.small.inference import SmallModel
from recap_assets.engines.small.loading import (
    load_small_captioner,
    read_small_captioner,
    read_small_clip,
)
from recap_assets.engines.small.towers import pixels_to_input
from recap_assets.specs.decoding import Decoding
from recap_assets.training.models.kinds.captioner import TrainedCaptioner
from recap_assets.training.models.kinds.captioner.engine import (
    _model_and_tokenizer,
    train_captioner,
)
from recap_assets.training.models.kinds.captioner.run import CaptionerRun
from recap_assets_tests.training.engine.drawings import COLOURS, SHAPES, drawn_pairs

SPEC = TrainedCaptioner(
    kind="captioner", corpus="c", backbone="b", samples_seen=3_200, batch_size=32, width=64
)
GREEDY = Decoding(strategy="greedy", min_tokens=2, max_tokens=12)


def words_right(captions, texts):
    known = {*COLOURS, *SHAPES}
    return np.mean(
        [
            known & set(caption[0].text.replace(",", " ").split())
            == known & set(text.replace(",", " ").split())
            for caption, text in zip(captions, texts, strict=True)
        ]
    )


def captions_of(folder, images, decoding=GREEDY):
    uids = [n.to_bytes(16, "big") for n in range(len(images))]
    return load_small_captioner(folder, decoding, device="cpu").caption(list(images), uids)


def test_a_trained_captioner_names_what_is_drawn_and_fine_tuning_changes_its_style(
    backbone, tmp_path
):
    trained = train_captioner(drawn_pairs(300), SPEC, backbone)
    trained.save(tmp_path / "a")
    held_out = drawn_pairs(60, seed=9)
    captions = captions_of(tmp_path / "a", held_out.images)
    assert words_right(captions, held_out.texts) > 0.5, "chance is 1 in 16"
    assert trained.curve[-1].loss < 0.5 * trained.curve[0].loss

    narrow = drawn_pairs(200)
    narrow = type(narrow)(narrow.images, narrow.image_index, ["a white bar"] * 200, narrow.weights)
    tuned = SPEC.model_copy(update={"samples_seen": 640})
    train_captioner(narrow, tuned, backbone, tmp_path / "a").save(tmp_path / "b")
    assert {c[0].text for c in captions_of(tmp_path / "b", held_out.images)} == {"a white bar"}


def test_a_single_pair_trains_and_the_tower_stays_frozen(backbone):
    tiny = SPEC.model_copy(update={"samples_seen": 64})
    model = train_captioner(drawn_pairs(1), tiny, backbone).model
    again = train_captioner(drawn_pairs(1), tiny, backbone).model
    assert all(map(torch.equal, model.state_dict().values(), again.state_dict().values()))
    frozen = read_small_clip(backbone).visual.state_dict()
    assert all(
        torch.equal(frozen[name], value) for name, value in model.visual.state_dict().items()
    )


def test_a_backbone_that_is_missing_or_of_another_kind_is_named(backbone, tmp_path):
    with pytest.raises(ModelFileError, match="nowhere"):
        train_captioner(drawn_pairs(2), SPEC, tmp_path / "nowhere")
    with pytest.raises(ModelFileError, match="small_captioner"):
        train_captioner(drawn_pairs(2), SPEC, backbone, start_from=backbone)


def log_odds(folder, images, scale):
    """Of each image's colour against the others, after "a": how sure the captioner is of it."""
    model, tokenizer = read_small_captioner(folder), read_tokenizer(folder)
    a, *colours = (tokenizer.encode(w, add_special_tokens=False).ids[0] for w in ("a", *COLOURS))
    small = SmallModel(model, tokenizer, 8)
    with torch.inference_mode():
        features = small.encode(pixels_to_input(torch.from_numpy(images)))
        steps = steps_of(small, Decoding(guidance_scale=scale))
        _, state = steps.start(features)
        logits = steps.step(torch.full((len(images),), a), state)
    among = logits.deciding[:, colours].log_softmax(1)
    return among - torch.log1p(-among.exp().clamp(max=1 - 1e-7))


def test_condition_dropout_teaches_to_write_without_an_image_and_guidance_to_look_closer(
    backbone, tmp_path
):
    spec = SPEC.model_copy(update={"condition_dropout": 0.2, "samples_seen": 2_400})
    train_captioner(drawn_pairs(300), spec, backbone).save(tmp_path)
    held_out = drawn_pairs(40, seed=9)
    right = [list(COLOURS).index(next(c for c in COLOURS if c in t)) for t in held_out.texts]
    at = torch.arange(40), torch.tensor(right)
    blind, plain, close = (log_odds(tmp_path, held_out.images, s) for s in (0.0, 1.0, 2.0))
    assert plain[at].mean() > 0, "the captioner sees colours"
    assert blind.exp().max() < 2.0, "without an image no colour is much likelier than another"
    assert close[at].mean() > plain[at].mean() + 0.5
    guided = captions_of(
        tmp_path, held_out.images, GREEDY.model_copy(update={"guidance_scale": 1.5})
    )
    assert words_right(guided, held_out.texts) > 0.4, "chance is 1 in 16"


def test_the_images_left_out_are_the_share_asked_for_and_those_of_the_seed(backbone):
    def left_out(seed, share=0.25):
        spec = SPEC.model_copy(update={"condition_dropout": share, "seed": seed})
        run = captioner_run(spec, backbone)
        return np.concatenate([~run._features(np.zeros(32, int), n).any((1, 2)) for n in range(20)])

    assert left_out(1).mean() == pytest.approx(0.25, abs=0.06)
    assert (left_out(1) == left_out(1)).all()
    assert (left_out(1) != left_out(2)).any()
    assert not left_out(1, share=0.0).any()


def captioner_run(spec, backbone):
    model, tokenizer = _model_and_tokenizer(spec, backbone, None)
    return CaptionerRun(drawn_pairs(2), spec, model, tokenizer)
