"""What a declared caption source may say."""

import pytest
from pydantic import TypeAdapter, ValidationError

from recap_assets.specs.running import AUTO_ROWS, images_at_once
from recap_assets.specs.sources import Source

HUB = {"kind": "transformers", "model": "a/model"}


def source(**fields) -> Source:
    return TypeAdapter(Source).validate_python(fields)


@pytest.mark.parametrize("kind", [HUB, {"kind": "open_clip", "model": "coca_ViT-B-32"}])
def test_a_batch_size_is_a_number_or_auto(kind):
    assert images_at_once(source(**kind).batch_size) == 64
    assert images_at_once(source(**kind, batch_size="auto").batch_size) == AUTO_ROWS
    for wrong in (0, -3, "large"):
        with pytest.raises(ValidationError, match="batch_size"):
            source(**kind, batch_size=wrong)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"device_map": "auto", "device": "cuda:1"}, "leave out device cuda:1"),
        ({"attention": "flash_attention_2"}, "needs precision bfloat16 or float16"),
        ({"quantization": "2bit"}, "quantization"),
        ({"prompt": ""}, "prompt"),
        ({"trust_remote_code": True}, "trust_remote_code"),
    ],
)
def test_what_does_not_fit_together_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        source(**HUB, **fields)


def test_what_changes_the_speed_decides_no_caption():
    plain = source(**HUB).decides()
    fast = {"batch_size": "auto", "attention": "sdpa", "device_map": "balanced"}
    assert source(**HUB, **fast).decides() == plain
    for deciding in ({"quantization": "8bit"}, {"precision": "bfloat16"}, {"prompt": "a photo of"}):
        assert source(**HUB, **deciding).decides() != plain
