"""What every captioner promises, on BLIP, BLIP-2 and CoCa alike."""

import numpy as np
import pytest
import torch

from recap_assets.captions.kinds.open_clip import OpenClipSource
from recap_assets.captions.kinds.transformers import TransformersSource
from recap_assets.engines.decoding.sampling import TokenSampler
from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.protocols import Caption
from recap_assets.specs.decoding import Decoding
from recap_assets_tests.captions.opening import load_captioner

KINDS = ["blip", "blip2", "coca"]


@pytest.fixture(params=KINDS)
def source(request):
    """Builds a source of one kind."""
    folder = request.getfixturevalue(f"{request.param}_folder")

    def build(**changes):
        decoding = {"min_tokens": 2, "max_tokens": 12, "temperature": 1.5}
        options = {"decoding": Decoding(**{**decoding, **changes.pop("decoding", {})}), **changes}
        if request.param == "coca":
            return OpenClipSource(kind="open_clip", model=f"local-dir:{folder}", **options)
        return TransformersSource(kind="transformers", model=str(folder), **options)

    return build


@pytest.fixture
def load(source, tmp_path):
    """Loads a captioner of one kind through the dispatch that the stages use."""
    return lambda **changes: load_captioner(source(**changes), tmp_path)


@pytest.mark.bits
def test_captions_do_not_depend_on_batch_or_order(load, images, uids):
    captioner = load(candidates=2, batch_size=64)
    whole = captioner.caption(images, uids)
    for batch_size in (1, 3, 8):
        captioner.size.rows = batch_size
        assert captioner.caption(images, uids) == whole
    captioner.size.rows = 6
    order = [5, 2, 7, 0, 1, 6, 3, 4]
    permuted = captioner.caption([images[n] for n in order], [uids[n] for n in order])
    assert permuted == [whole[n] for n in order]


@pytest.mark.bits
def test_captions_do_not_depend_on_the_batch_with_two_threads(load, images, uids):
    """The fused attention of the CPU would: with two threads it gives a single query other bits."""
    decoding = {"min_tokens": 3, "max_tokens": 3}
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        whole = load(candidates=8, decoding=decoding).caption(images[:3], uids[:3])
        alone = load(candidates=8, batch_size=1, decoding=decoding).caption(images[:3], uids[:3])
    finally:
        torch.set_num_threads(before)
    assert alone == whole


def test_captions_differ_between_images_candidates_seeds_and_temperatures(load, images, uids):
    captions = load(candidates=3).caption(images, uids)
    assert len({row[0].text for row in captions}) > 4
    assert all(len({caption.text for caption in row}) > 1 for row in captions)
    for other in ({"seed": 1}, {"temperature": 0.5}, {"top_k": 2}):
        changed = load(candidates=3, decoding=other).caption(images, uids)
        assert [row[0].text for row in changed] != [row[0].text for row in captions]


def test_the_image_decides_the_caption(load, images, uids):
    """With the noise of one uid for all, different images still give different captions."""
    captions = load().caption(images, [uids[0]] * len(images))
    assert len({caption.text for (caption,) in captions}) > 1


@pytest.mark.parametrize(("low", "high"), [(0, 3), (4, 4), (6, 9)])
def test_length_bounds_hold(load, images, uids, low, high):
    decoding = {"min_tokens": low, "max_tokens": high}
    captions = load(candidates=4, decoding=decoding).caption(images, uids)
    lengths = [caption.n_tokens for row in captions for caption in row]
    assert min(lengths) >= low
    assert max(lengths) <= high
    for row in captions:
        for caption in row:
            assert (caption.status == "truncated") == (caption.n_tokens == high)


def test_a_caption_that_ends_by_itself_is_not_truncated(load, images, uids, monkeypatch):
    captioner = load(candidates=2, decoding={"min_tokens": 0})
    ends = list(captioner.model.eos)
    original = TokenSampler.choose

    def end_at_three(self, logits, position, rows=None, **options):
        logits = logits.clone()
        if position == 3:
            logits[:, ends] = -1e4
            logits[::2, ends] = 1e4
        else:
            logits[:, ends] = -1e4
        return original(self, logits, position, rows, **options)

    monkeypatch.setattr(TokenSampler, "choose", end_at_three)
    captions = captioner.caption(images, uids)
    for short, goes_on in captions:
        assert (short.n_tokens, short.status) == (3, "ok")
        assert (goes_on.n_tokens, goes_on.status) == (12, "truncated")


def test_log_probability_is_the_models_own(load, images, uids):
    """Recomputed from one pass over the finished caption, without cache, noise or batch."""
    captioner = load(decoding={"temperature": 0.7, "top_k": 5})
    model = captioner.model
    with recorded_tokens() as written:
        captions = captioner.caption(images[:2], uids[:2])
    for n, (caption,) in enumerate(captions):
        expected = 0.0
        with torch.inference_mode():
            logits, state = model.start(model.encode(model.prepare(images[n])[None]))
            for token in written[n]:
                expected += float(logits[0].log_softmax(0)[token])
                logits = model.step(torch.tensor([token]), state)
        assert caption.log_probability == pytest.approx(expected, abs=2e-4)
        assert caption.log_probability < 0


class recorded_tokens:  # noqa: N801 - a context manager
    """The tokens that samplers chose for each row, the end mark among them."""

    def __enter__(self) -> dict[int, list[int]]:
        self.original = TokenSampler.choose
        rows_of: dict[int, list[int]] = {}

        def choose(sampler, logits, position, rows=None, **options):
            ids, log_probs = self.original(sampler, logits, position, rows, **options)
            for row, token in zip(rows.tolist(), ids.tolist(), strict=True):
                rows_of.setdefault(row, []).append(token)
            return ids, log_probs

        TokenSampler.choose = choose
        return rows_of

    def __exit__(self, *_):
        TokenSampler.choose = self.original


def test_no_images(load):
    assert load().caption([], []) == []


def test_images_and_uids_must_match(load, images, uids):
    with pytest.raises(ValueError, match="8 images and 3 uids"):
        load().caption(images, uids[:3])


def test_more_tokens_than_positions_is_an_error_at_load(load):
    with pytest.raises(ModelFileError, match=r"max_tokens is 500.*lower max_tokens"):
        load(decoding={"max_tokens": 500})


def test_the_longest_caption_that_is_allowed_can_be_written(load, images, uids):
    room = load().model.room
    captioner = load(decoding={"min_tokens": room, "max_tokens": room})
    ((caption,),) = captioner.caption(images[:1], uids[:1])
    assert caption.n_tokens == room


def test_captions_are_plain_values(load, images, uids):
    ((caption,),) = load().caption([np.ascontiguousarray(images[0])], uids[:1])
    assert isinstance(caption, Caption)
    assert isinstance(caption.log_probability, float)
    assert caption.text == caption.text.strip()
