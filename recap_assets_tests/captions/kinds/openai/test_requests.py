"""An image fits its budget with its shape kept, and a request's seed is its own."""

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from recap_assets.captions.kinds.openai import OpenAISource
from recap_assets.captions.kinds.openai.requests import request_body
from recap_assets.captions.servers.images import fitted, small_jpeg
from recap_assets.captions.servers.requests import seed_of

SIDES = st.integers(min_value=1, max_value=60_000)


@given(width=SIDES, height=SIDES, budget=st.integers(min_value=32 * 32, max_value=2**26))
def test_an_image_fits_and_keeps_its_shape(width: int, height: int, budget: int) -> None:
    new_width, new_height = fitted(width, height, budget)
    assert new_width * new_height <= budget
    assert min(new_width, new_height) >= 1
    assert max(new_width, new_height) <= 16_384
    if width * height <= budget and max(width, height) <= 16_384:
        assert (new_width, new_height) == (width, height)
    if min(new_width, new_height) > 1:
        # Rounding down takes less than a pixel from each side.
        assert new_width / (new_height + 1) <= width / height <= (new_width + 1) / new_height


def test_a_large_image_is_made_small_and_looks_the_same() -> None:
    ramp = np.linspace(0, 255, 600, dtype=np.uint8)
    image = np.stack([np.tile(ramp, (400, 1))] * 3, axis=-1)
    with Image.open(io.BytesIO(small_jpeg(image, 60_000, 90))) as sent:
        assert sent.format == "JPEG"
        assert sent.size == (300, 200)
        pixels = np.asarray(sent).astype(int)
    expected = np.tile(ramp.reshape(300, 2).mean(axis=1), (200, 1))
    assert np.abs(pixels[..., 1] - expected).max() <= 4


def test_a_small_image_keeps_its_size_and_quality_is_obeyed() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    coarse, fine = small_jpeg(noise, 10_000, 40), small_jpeg(noise[:, ::1], 10_000, 95)
    assert len(coarse) < len(fine) / 2
    with Image.open(io.BytesIO(fine)) as sent:
        assert sent.size == (48, 64)
    assert small_jpeg(noise[::-1], 10_000, 90) != small_jpeg(noise, 10_000, 90)


def test_a_seed_is_decided_by_seed_uid_and_candidate() -> None:
    uids = [bytes([i]) * 16 for i in range(50)]
    seeds = {seed_of(s, uid, n) for s in (0, 1) for uid in uids for n in range(3)}
    assert len(seeds) == 300
    assert max(seeds) < 2**31
    # Pinned: another version of anything must not change what a server is asked.
    assert seed_of(0, bytes(16), 0) == 1377919191


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_equal_requests_have_equal_bytes(temperature: float) -> None:
    keys = {"kind": "openai", "model": "m", "decoding": {"temperature": temperature}}
    here = OpenAISource.model_validate(keys)
    there = OpenAISource.model_validate({**keys, "base_url": "https://x/v1", "concurrency": 1})
    one = request_body(here, b"jpeg", bytes(16), 0)
    assert one == request_body(there, b"jpeg", bytes(16), 0)
    assert ("seed" in json.loads(one)) == (temperature > 0)
    assert one != request_body(here, b"another", bytes(16), 0)


def test_the_bound_on_tokens_has_the_name_that_the_server_wants() -> None:
    source = OpenAISource(kind="openai", model="m", max_tokens_field="max_completion_tokens")
    body = json.loads(request_body(source, b"jpeg", bytes(16), 0))
    assert body["max_completion_tokens"] == 128
    assert "max_tokens" not in body
