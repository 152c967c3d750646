"""Batches as a GPU takes them, in numbers of rows that agree; computed here on the CPU."""

import json
import threading
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from recap_assets.captions.kinds.transformers import TransformersSource
from recap_assets.captions.kinds.transformers.engine import load_transformers_captioner
from recap_assets.engines import batch_sizes
from recap_assets.engines.batch_sizes import BatchSize, Load
from recap_assets.engines.decoding.batching import BatchingCaptioner
from recap_assets.engines.decoding.on_device import SAME_CLASS, SAME_SIZE, OnDevice
from recap_assets.engines.decoding.steady import Steady
from recap_assets.engines.protocols import LocalCaptioner
from recap_assets.engines.row_classes import Found
from recap_assets.specs.decoding import Decoding
from recap_assets_tests.captions.kinds.transformers.test_batching import (
    WHITE,
    is_white,
    many,
    memory_for,
    out_of_memory,
    tower_of,
    uids_of,
    writer_of,
)

CPU, GPU = torch.device("cpu"), torch.device("cuda")
SAMPLED = Decoding(min_tokens=2, max_tokens=8, temperature=1.5)
LOAD = Load("a/model", None, "float32", 8, "a device")


@pytest.fixture(scope="module", params=["blip", "qwen2_vl"])
def reader(request, folder_of):
    source = TransformersSource(kind="transformers", model=str(folder_of(request.param)))
    return load_transformers_captioner(source).reader


@pytest.fixture
def load(reader, tmp_path):
    """A captioner as on a GPU, but that its device is the CPU."""

    def of(batch_size=64, candidates=1, decoding=SAMPLED, **options):
        steady = options.get("steady", Steady(CPU, lambda work: work))
        on_device = OnDevice(CPU, LOAD, 1, tmp_path / "row_classes.json", steady)
        size = BatchSize(batch_size, LOAD, tmp_path / "batch_sizes.json")
        return BatchingCaptioner(reader, decoding, candidates, size, on_device)

    return of


@contextmanager
def white_gives(captioner, change):
    """The vision tower changes what it makes of white images, among others in a batch."""

    def hook(_module, args, kwargs, output):
        pixels = kwargs.get("pixel_values", args[0] if args else None)
        by_image = pixels.ndim == 4
        rows = [is_white(one) for one in pixels] if by_image else [is_white(pixels)] * len(pixels)
        return change(output, torch.tensor(rows)) if any(rows) else output

    handle = tower_of(captioner).register_forward_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def without_numbers(output, rows):
    for name in ("last_hidden_state", "pooler_output"):
        if isinstance(found := output.get(name), torch.Tensor):
            some = rows if len(rows) == len(found) else slice(None)
            found[some] = torch.nan
    return output


def test_captions_are_the_same_for_any_batch_size_and_order(load, images):
    some, uids = many(images, 40), uids_of(40)
    whole = load(64).caption(some, uids)
    assert load(8).caption(some, uids) == whole
    assert load(300).caption(some, uids) == whole
    order = np.random.default_rng(0).permutation(40)
    shuffled = load(24).caption([some[i] for i in order], [uids[i] for i in order])
    assert shuffled == [whole[i] for i in order]


@pytest.mark.parametrize(
    "changes", [{}, {"strategy": "greedy"}, {"repetition_penalty": 1.3}, {"beams": 3}]
)
def test_texts_are_those_of_the_cpu(load, reader, images, uids, changes):
    strategy = {"strategy": "beams"} if "beams" in changes else {}
    decoding = Decoding(**{**SAMPLED.model_dump(), **strategy, **changes})
    plain = BatchingCaptioner(reader, decoding, 2, BatchSize(64))
    expected = plain.caption(images, uids)
    found = load(candidates=2, decoding=decoding).caption(images, uids)
    assert [[one.text for one in both] for both in found] == [
        [one.text for one in both] for both in expected
    ]


def test_what_was_found_is_kept_and_said(load, images, uids, tmp_path):
    captioner = load()
    assert isinstance(captioner, LocalCaptioner)
    captioner.caption(images, uids)
    made_on = captioner.made_on()
    assert made_on.facts == {"reproducible": SAME_CLASS}
    assert "256" in made_on.machine["recap.gpu_rows"].split()
    entries = json.loads((tmp_path / "row_classes.json").read_text())
    assert [entry["part"] for entry in entries] == ["images", "captions"]


def test_a_batch_that_is_too_large_is_halved_and_nothing_is_lost(load, images):
    n = 40
    whole = load(candidates=2).caption(many(images, n), uids_of(n))
    captioner = load(candidates=2)
    with memory_for(captioner, 16):
        assert captioner.caption(many(images, n), uids_of(n)) == whole
        assert captioner.size.rows == 16


def test_halving_stops_at_the_rows_that_agree(load, images):
    """128 rows do not fit, 64 do, and fewer have other bits: captions stay those of 64 rows."""
    captioner = load(128)
    captioner.on_device.captions.found = Found(256, 256, (64, 128, 256))
    captioner.on_device.images.found = Found(256, 256, (8, 16, 32, 64, 128, 256))
    with memory_for(captioner, 64) as tried:
        found = captioner.caption(many(images, 100), uids_of(100))
    assert all(one.status in ("ok", "truncated", "empty") for (one,) in found)
    assert set(tried) <= {1, 64, 128}
    assert captioner.made_on().facts == {"reproducible": SAME_CLASS}


@contextmanager
def room_for(captioner, rows: int):
    """More rows than this are read, and run out of memory at their second token."""
    seen = []

    def hook(_module, args, kwargs):
        ids = kwargs.get("input_ids", args[0] if args else None)
        n = len(kwargs["inputs_embeds"] if ids is None else ids)
        if n > rows and n in seen:
            out_of_memory(None)
        seen.append(n)

    handle = writer_of(captioner).register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def test_the_room_of_a_size_that_did_not_fit_is_given_up(load, images, monkeypatch):
    """A size is tried out as on a GPU: 8 and 16 rows fit, and 32 do not."""
    find = batch_sizes.largest_batch
    monkeypatch.setattr(
        batch_sizes, "largest_batch", lambda attempt, _, *free: find(attempt, GPU, *free)
    )
    captioner = load("auto")
    counts = (8, 16, 32, 64, 128, 256)
    captioner.on_device.captions.found = Found(256, 256, counts)
    captioner.on_device.images.found = Found(256, 256, counts)
    with room_for(captioner, 16):
        found = captioner.caption(many(images, 40), uids_of(40))
    assert all(one.status in ("ok", "truncated", "empty") for (one,) in found)
    assert captioner.size.rows == 16
    assert captioner.on_device.steady._room.rows == 16


def test_where_not_even_those_fit_fewer_are_taken_and_it_is_said(load, images):
    captioner = load()
    captioner.on_device.captions.found = Found(256, 256, (64, 128, 256))
    captioner.on_device.images.found = Found(256, 256, (8, 16, 32, 64, 128, 256))
    with memory_for(captioner, 16):
        found = captioner.caption(many(images, 20), uids_of(20))
    assert all(one.status in ("ok", "truncated", "empty") for (one,) in found)
    assert captioner.made_on().facts == {"reproducible": SAME_SIZE}


def test_an_image_that_does_not_fit_alone_costs_itself_only(load, images, uids):
    captioner = load()
    whole = captioner.caption(images, uids)
    with white_gives(captioner, lambda *_: out_of_memory(None)):
        captions = captioner.caption(
            [*images[:4], WHITE, *images[4:]], [*uids[:4], b"w" * 16, *uids[4:]]
        )
    (bad,) = captions.pop(4)
    assert (bad.status, bad.reason) == ("error", "out_of_memory")
    assert captions == whole
    assert captioner.size.rows == 64
    assert captioner.made_on().facts == {"reproducible": SAME_CLASS}


def test_logits_that_are_not_finite_cost_their_image_only(load, images, uids):
    captioner = load()
    whole = captioner.caption(images, uids)
    with white_gives(captioner, without_numbers):
        captions = captioner.caption(
            [*images[:5], WHITE, *images[5:]], [*uids[:5], b"w" * 16, *uids[5:]]
        )
    (bad,) = captions.pop(5)
    assert (bad.status, bad.reason) == ("error", "not_finite")
    assert captions == whole


def test_an_image_that_the_processor_rejects_costs_itself_only(load, images, uids):
    captioner = load()
    whole = captioner.caption(images, uids)
    poisoned = [*images[:3], np.zeros((0, 5, 3), np.uint8), *images[3:]]
    captions = captioner.caption(poisoned, [*uids[:3], bytes(16), *uids[3:]])
    (bad,) = captions.pop(3)
    assert (bad.status, bad.reason) == ("error", "image_rejected_by_processor")
    assert captions == whole


def test_pixels_are_prepared_ahead_in_threads_and_prompts_when_they_are_read(
    load, reader, images, uids, monkeypatch
):
    """Of two batches the second is prepared though nobody asks for its captions yet."""
    captioner = load()
    whole = captioner.caption(images, uids)
    names, prepare = [], type(reader).prepare
    monkeypatch.setattr(
        type(reader),
        "prepare",
        lambda *given: names.append(threading.current_thread().name) or prepare(*given),
    )
    is_pixels = type(reader).__name__ == "FixedSizeReader"
    pool = captioner._preparing
    finish, second = captioner.begin(images, uids), captioner.begin(images[:3], uids[:3])
    if is_pixels:
        pool._pool.shutdown(wait=True)
        assert len(names) == len(images) + 3
    else:
        assert not names
    assert finish() == whole
    assert second() == whole[:3]
    assert all(name.startswith("recap-prepare") == is_pixels for name in names)
