"""Captions written in room that stays in place are those of the loop that waits, bit for bit."""

from functools import cache, partial

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import masking_utils

from recap_assets.captions.kinds.transformers import TransformersSource
from recap_assets.captions.kinds.transformers.engine import load_transformers_captioner
from recap_assets.engines.decoding.device_sampling import TIES
from recap_assets.engines.decoding.guidance import steps_of
from recap_assets.engines.decoding.row_plans import RowPlan
from recap_assets.engines.decoding.sampling import TokenSampler
from recap_assets.engines.decoding.steady import LOOKED_AT, Steady
from recap_assets.engines.decoding.writing import write_rows
from recap_assets.engines.row_classes import at_least
from recap_assets.engines.row_counts import filled
from recap_assets.specs.decoding import Decoding

FAMILIES = [
    "blip", "blip2", "blip2_t5", "instructblip", "instructblip_t5", "git", "florence2", "llava",
    "qwen2_vl",
]  # fmt: skip
CPU = torch.device("cpu")
SAMPLED = Decoding(min_tokens=2, max_tokens=14, temperature=1.5)
UIDS = [n.to_bytes(16, "big") for n in range(16)]


def record(work):
    """What stands for a CUDA graph: the work as it was recorded, run again."""
    return work


class Reading(TorchDispatchMode):
    """Notes what memory is read in the block that was there before it."""

    def __init__(self) -> None:
        super().__init__()
        self.made: set[int] = set()
        self.read: dict[int, StorageWeakRef] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        for one in _storages((args, kwargs)):
            if one._cdata not in self.made:
                self.read.setdefault(one._cdata, StorageWeakRef(one))
        found = function(*args, **(kwargs or {}))
        self.made |= {one._cdata for one in _storages(found)} - self.read.keys()
        return found


def _storages(values):
    tensors = (one for one in tree_leaves(values) if isinstance(one, torch.Tensor))
    return [one.untyped_storage() for one in tensors]


@pytest.fixture(scope="module")
def read(folder_of, images):
    """The model of a family for the first images, with their features."""

    @cache
    def of(family: str):
        source = TransformersSource(kind="transformers", model=str(folder_of(family)))
        reader = load_transformers_captioner(source).reader
        prepared = [reader.prepare(images[0] if n % 2 else images[1]) for n in range(16)]
        prepared = [one for one in prepared if reader.length(one) == reader.length(prepared[0])]
        model = reader.batch(prepared)
        with torch.inference_mode():
            pixels = torch.stack([model.prepare(n) for n in range(len(prepared))])
            return model, model.encode(pixels)

    return of


def plan_of(images: int, k: int, counts=(8, 16, 32, 64)) -> RowPlan:
    """Numbers of rows as a GPU has them."""
    start, steps = (at_least(counts, n) for n in (images, images * k))
    return RowPlan(start, steps, lambda wanted, _now: at_least(counts, wanted))


@torch.inference_mode()
def both(model, features, decoding, candidates=1, steady=None, counts=(8, 16, 32, 64)):
    """The captions of the two loops in the same numbers of rows."""
    n = len(features)
    plan = plan_of(n, candidates, counts)
    steps, features = steps_of(model, decoding), filled(features, plan.start)
    steady = steady or Steady(CPU, record)
    found = steady.write(steps, features, UIDS[:n], candidates, decoding, plan)
    sampler = TokenSampler(decoding, UIDS[:n], candidates, model.eos, model.vocabulary)
    return found, write_rows(steps, features, sampler, plan)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("candidates", [1, 3])
def test_captions_of_every_family_are_the_waiting_loops(read, family, candidates):
    model, features = read(family)
    found, waiting = both(model, features, SAMPLED, candidates)
    assert [one.tokens for one in found] == [one.tokens for one in waiting]
    assert [one.log_probability for one in found] == pytest.approx(
        [one.log_probability for one in waiting], abs=1e-4
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"strategy": "greedy"},
        {"top_k": None},
        {"top_k": None, "top_p": 0.7},
        {"top_k": 12, "top_p": 0.9, "seed": 5},
        {"min_tokens": 14},
        {"max_tokens": 1, "min_tokens": 0},
    ],
)
def test_captions_of_every_way_of_sampling_are_the_waiting_loops(read, changes):
    model, features = read("blip2")
    found, waiting = both(model, features, SAMPLED.model_copy(update=changes), 2)
    assert [one.tokens for one in found] == [one.tokens for one in waiting]


def test_room_and_recordings_serve_one_batch_after_the_other(read):
    """A batch replays what an earlier one recorded, whose rows leave nothing behind."""
    model, features = read("blip2")
    steady = Steady(CPU, record)
    write = partial(both, model, decoding=SAMPLED, candidates=2, steady=steady)
    for part in (features, features[:8], features[8:], features[:3], features[4:12]):
        found, waiting = write(part)
        assert [one.tokens for one in found] == [one.tokens for one in waiting]
    assert any(replay for replay in steady._replays._recordings.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_recording_reads_stays_in_memory(read, family):
    """A CUDA graph reads addresses: memory that another tensor has by then is read all the same."""
    model, features = read(family)
    readings: list[Reading] = []

    def recorded(work):
        readings.append(Reading())
        with readings[-1]:
            work()
        once = [work]

        def replay():
            once.pop()()  # a graph keeps no Python object

        return replay

    steady = Steady(CPU, recorded)
    for _ in range(2):
        both(model, features, SAMPLED, steady=steady)
    assert readings
    assert all(one.read for one in readings)
    assert not any(one.expired() for reading in readings for one in reading.read.values())


@pytest.mark.parametrize(
    "changes", [{"min_tokens": 14}, {"temperature": 0.1}, {"top_k": 2}, {"strategy": "greedy"}]
)
def test_another_way_of_choosing_has_recordings_of_its_own(read, changes):
    """As a batch of the longest captions, by which a batch size is tried out."""
    model, features = read("blip2")
    steady = Steady(CPU, record)
    for decoding in [SAMPLED.model_copy(update=changes)] * 3 + [SAMPLED] * 3:
        found, waiting = both(model, features, decoding, 2, steady)
        assert [one.tokens for one in found] == [one.tokens for one in waiting]


def test_other_end_marks_have_recordings_of_their_own(read, monkeypatch):
    model, features = read("blip2")
    steady = Steady(CPU, record)
    for eos in [model.eos] * 3 + [list(range(0, model.vocabulary, 6))]:
        monkeypatch.setattr(model, "eos", eos)
        found, waiting = both(model, features, SAMPLED, 2, steady)
        assert [one.tokens for one in found] == [one.tokens for one in waiting]


def test_a_longer_prompt_gets_more_room(read):
    model, features = read("blip2")
    steady = Steady(CPU, record)
    for words in (None, " ".join(["word1"] * 20), None):
        other = model.with_prompt(words or "") if words else model
        found, waiting = both(other, features, SAMPLED, steady=steady)
        assert [one.tokens for one in found] == [one.tokens for one in waiting]


def test_finished_captions_are_dropped_and_the_rest_is_the_same(read, monkeypatch):
    """Half of the vocabulary ends a caption: after some tokens few are open."""
    model, features = read("blip2")
    monkeypatch.setattr(model, "eos", list(range(0, model.vocabulary, 6)))
    decoding = SAMPLED.model_copy(update={"max_tokens": 3 * LOOKED_AT + 2})
    rows = []
    step = type(model).step
    monkeypatch.setattr(
        type(model), "step", lambda self, *both: rows.append(len(both[0])) or step(self, *both)
    )
    steps, plan = steps_of(model, decoding), plan_of(16, 4)
    with torch.inference_mode():
        found = Steady(CPU).write(steps, features, UIDS, 4, decoding, plan)
    assert rows[0] == 64
    assert 8 <= rows[-1] < 64
    fixed, _ = both(model, features, decoding, 4, counts=(64,))
    assert [one.tokens for one in found] == [one.tokens for one in fixed]
    assert {len(one.tokens) for one in found} > {2, 3}


def test_more_ties_than_are_looked_at_are_left_to_the_waiting_loop(read, monkeypatch):
    """All logits are equal: of a large vocabulary every token ties with the last one kept."""
    model, features = read("blip2")
    width = 3 + TIES + 1
    monkeypatch.setattr(model, "vocabulary", width)
    start = type(model).start
    monkeypatch.setattr(
        type(model), "start", lambda *a: (torch.zeros(len(a[1]), width), start(*a)[1])
    )
    decoding = SAMPLED.model_copy(update={"top_k": 2, "max_tokens": 1, "min_tokens": 0})
    assert both(model, features, decoding)[0] is None
    wide = decoding.model_copy(update={"top_k": 4})
    found, waiting = both(model, features, wide)
    assert [one.tokens for one in found] == [one.tokens for one in waiting]


def test_a_row_without_a_finite_logit_is_an_error(read):
    model, features = read("blip2")
    with pytest.raises(FloatingPointError, match="try precision"):
        both(model, features * torch.nan, SAMPLED)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"strategy": "beams", "beams": 2}, "strategy beams"),
        ({"guidance_scale": 2.0}, "guidance_scale"),
        ({"repetition_penalty": 1.5}, "repetition_penalty"),
        ({"no_repeat_ngram": 2}, "no_repeat_ngram"),
    ],
)
def test_what_does_not_fit_is_said_once(read, caplog, changes, why):
    model, _ = read("blip2")
    decoding = SAMPLED.model_copy(update=changes)
    steady = Steady(CPU)
    assert not steady.suits(steps_of(model, decoding), decoding)
    assert not steady.suits(steps_of(model, decoding), decoding)
    (said,) = caplog.messages
    assert why in said


@pytest.mark.parametrize("family", ["blip2", "instructblip", "florence2", "llava", "qwen2_vl"])
def test_one_query_is_attended_to_without_a_mask(folder_of, images, family, monkeypatch):
    """With torch's attention, as on a GPU: captions are the same where no mask can be left out."""
    source = TransformersSource(
        kind="transformers", model=str(folder_of(family)), attention="sdpa", decoding=SAMPLED
    )
    reader = load_transformers_captioner(source).reader
    prepared = [reader.prepare(images[0])] * 8
    model = reader.batch(prepared)
    masks, attend = [], torch.nn.functional.scaled_dot_product_attention

    def watched(*given, **named):
        if given[0].shape[2] == 1:
            masks.append(named.get("attn_mask"))
        return attend(*given, **named)

    with torch.inference_mode():
        features = model.encode(torch.stack([model.prepare(n) for n in range(8)]))
        _, waiting = both(model, features, SAMPLED)
        monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
        # As in a recording, where transformers may not look whether a mask masks anything.
        monkeypatch.setattr(masking_utils, "_ignore_causal_mask_sdpa", lambda *_, **__: False)
        steps = steps_of(model, SAMPLED)
        found = Steady(CPU).write(steps, features, UIDS[:8], 1, SAMPLED, plan_of(8, 1))
    assert masks
    assert all(mask is None for mask in masks)
    assert [one.tokens for one in found] == [one.tokens for one in waiting]
