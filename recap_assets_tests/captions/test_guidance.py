"""Guidance: the formula, token by token, and what counts as the model's own."""

import inspect
from types import SimpleNamespace

import pytest
import torch

from recap_assets.captions.kinds.open_clip import OpenClipSource
from recap_assets.captions.kinds.transformers import TransformersSource
from recap_assets.engines.decoding.guidance import guided, steps_of
from recap_assets.engines.decoding.one_by_one import OneByOne
from recap_assets.engines.errors import ModelFileError
from recap_assets.specs.decoding import Decoding
from recap_assets_tests.captions.opening import load_captioner


@pytest.fixture(params=["blip", "blip2", "coca"])
def model(request, tmp_path):
    folder = request.getfixturevalue(f"{request.param}_folder")
    decoding = Decoding(min_tokens=2, max_tokens=8)
    source = (
        OpenClipSource(kind="open_clip", model=f"local-dir:{folder}", decoding=decoding)
        if request.param == "coca"
        else TransformersSource(kind="transformers", model=str(folder), decoding=decoding)
    )
    return load_captioner(source, tmp_path).model


@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0])
def test_every_step_follows_the_formula(model, images, scale):
    """Both passes computed apart; a row is moved in between, as beams and dropped rows are."""
    tokens, rows = torch.arange(8) + 5, torch.tensor([1, 1, 0, 7, 6, 5, 2, 3])
    with torch.inference_mode():
        features = torch.cat([model.encode(model.prepare(image)[None]) for image in images])
        steps = steps_of(model, Decoding(guidance_scale=scale))
        first, state = steps.start(features)
        state.select(rows)
        second = steps.step(tokens, state)
        seen, state = model.start(features)
        unseen, blind = model.start(torch.zeros_like(features))
        torch.testing.assert_close(first.deciding, unseen + scale * (seen - unseen))
        torch.testing.assert_close(first.own, seen)
        state.select(rows)
        blind.select(rows)
        seen, unseen = model.step(tokens, state), model.step(tokens, blind)
        torch.testing.assert_close(second.deciding, unseen + scale * (seen - unseen))
        torch.testing.assert_close(second.own, seen)


def test_without_the_image_all_images_are_the_same(model, images):
    with torch.inference_mode():
        features = torch.cat([model.encode(model.prepare(image)[None]) for image in images])
        logits, _ = steps_of(model, Decoding(guidance_scale=0)).start(features)
    assert torch.equal(logits.deciding, logits.deciding[:1].expand_as(logits.deciding))
    assert not torch.equal(logits.own[0], logits.own[1])


def test_one_row_at_a_time_is_guided_like_a_batch(model, images):
    alone = OneByOne(model)
    # So asks isinstance of a protocol from Python 3.12 on.
    assert inspect.getattr_static(alone, "unconditional", None) is not None
    guiding = Decoding(guidance_scale=1.5)
    with torch.inference_mode():
        features = torch.cat([model.encode(model.prepare(image)[None]) for image in images])
        found, _ = steps_of(alone, guiding).start(features)
        expected, _ = steps_of(model, guiding).start(features)
    torch.testing.assert_close(found, expected)


def test_one_row_at_a_time_of_a_model_that_needs_its_image_is_not_guided():
    names = ("device", "eos", "vocabulary", "room", "prepare", "encode", "text")
    sighted = SimpleNamespace(**dict.fromkeys(names))
    with pytest.raises(ModelFileError, match="leave guidance_scale at 1"):
        steps_of(OneByOne(sighted), Decoding(guidance_scale=1.5))


def test_guidance_raises_the_odds_of_what_the_image_makes_likelier():
    generator = torch.Generator().manual_seed(0)
    seen, unseen = torch.randn(2, 50, 30, generator=generator)
    gains = seen.log_softmax(1) - unseen.log_softmax(1)
    before, after = (guided(seen, unseen, scale).log_softmax(1) for scale in (1.0, 2.0))
    best, worst = gains.argmax(1, keepdim=True), gains.argmin(1, keepdim=True)
    odds = [rows.gather(1, best) - rows.gather(1, worst) for rows in (before, after)]
    assert (odds[1] > odds[0]).all()
    torch.testing.assert_close(before, seen.log_softmax(1))


def test_what_the_model_never_offers_stays_forbidden():
    seen = torch.tensor([[0.0, 1.0, -torch.inf]])
    unseen = torch.tensor([[-1.0, 2.0, -torch.inf]])
    assert guided(seen, unseen, 2.0).tolist() == [[1.0, 0.0, -torch.inf]]
    assert guided(seen, unseen, 0.5).tolist() == [[-0.5, 1.5, -torch.inf]]
