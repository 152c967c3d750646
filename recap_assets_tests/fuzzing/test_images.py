"""Any bytes are an image of the sides that its header says, or one reason why not."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from recap_assets.shards.images import (
    IMAGE_REASONS,
    ImageRejected,
    decode,
    image_facts,
    perceptual_hash_of,
)
from recap_assets.specs.pool import ImageLimits
from recap_assets_tests.fuzzing.damage import Damage, damages
from recap_assets_tests.shards.building import encoded, picture

LIMITS = ImageLimits(max_pixels=10**6)


def _turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


SMALL = picture(size=(24, 17))
FILES = (
    *(encoded(SMALL, kind, exif=_turned(6)) for kind in ("JPEG", "PNG", "WEBP")),
    encoded(SMALL, progressive=True),
    encoded(SMALL.convert("P"), "PNG"),
    encoded(SMALL.convert("RGBA"), "PNG"),
    encoded(SMALL, "GIF"),
    encoded(SMALL, "BMP"),
)


@given(st.sampled_from(FILES), damages(), st.none() | st.integers(1, 20))
def test_a_damaged_image_is_pixels_or_a_reason(
    data: bytes, damage: Damage, min_side: int | None
) -> None:
    content, reason = damage(data), None
    try:
        facts = image_facts(content, LIMITS)
        pixels = decode(content, LIMITS)
        assert isinstance(perceptual_hash_of(content, LIMITS), int)
        decode(content, LIMITS, min_side)
    except ImageRejected as rejection:
        reason = rejection.reason
    if reason is not None:
        assert reason in IMAGE_REASONS
        return
    assert (pixels.dtype, pixels.ndim, pixels.shape[2]) == (np.uint8, 3, 3)
    # A GIF's frame may be of another size than its screen.
    assert facts.format == "GIF" or pixels.shape[:2] == (facts.height, facts.width)
