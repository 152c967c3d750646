"""Configs of what prepares images and texts: sizes that would make an image or a prompt huge."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from recap_assets.engines.model_folders.configs import check_numbers, refuse

MAX_SIDE = 4_096
"""Of a prepared image, in pixels."""

MAX_PIXELS = 1 << 24
"""Of a prepared image, where a family states its number of pixels."""

MAX_IMAGE_TOKENS = 1 << 16
MAX_PATCH = 512

_AREAS = re.compile(r"Qwen|Glm|Ernie|Paddle|Keye|Kimi|VideoLlama|HunYuan|Dots|Lfm|Youtu|Omni")
"""Families whose edges are numbers of pixels."""

_LIMITS = {
    **dict.fromkeys(("height", "width", "size", "crop_size", "pad_size", "image_size"), MAX_SIDE),
    **dict.fromkeys(("shortest_edge", "longest_edge"), MAX_SIDE),
    **dict.fromkeys(("patch_size", "merge_size", "temporal_patch_size"), MAX_PATCH),
    **dict.fromkeys(("spatial_merge_size", "downsample_factor", "scale_factor"), MAX_PATCH),
    **dict.fromkeys(
        ("image_seq_length", "image_seq_len", "num_image_tokens", "num_query_tokens",
         "num_additional_image_tokens", "max_image_size", "max_num_patches"), MAX_IMAGE_TOKENS,
    ),
    **dict.fromkeys(("max_patches", "max_image_tiles", "max_num_crops", "min_patches"), 1_024),
}  # fmt: skip


def check_processor(path: Path, content: Mapping[str, Any]) -> None:
    """Refuse sizes that would take gigabytes for one image.

    Raises:
        ModelFolderError: Naming the key and its value.
    """
    check_numbers(path, content, 0)
    _check(path, content, _Place("", MAX_PIXELS, in_pixels=False))


class _Place(NamedTuple):
    """Where in a config, how many pixels an image may have there, and whether edges are pixels."""

    name: str
    most_pixels: int
    in_pixels: bool

    def inside(self, content: Mapping[str, Any]) -> "_Place":
        """The same within this mapping, which may name a family or the side of a patch."""
        kinds = ("image_processor_type", "video_processor_type", "processor_class")
        named = any(_AREAS.search(str(content.get(kind))) for kind in kinds)
        side, most = content.get("patch_size"), self.most_pixels
        if isinstance(side, int) and side > 0:
            # An image becomes a token for each patch, or for some of them.
            most = min(MAX_PIXELS, MAX_IMAGE_TOKENS * side**2)
        return _Place(self.name, most, self.in_pixels or named)

    def most(self, key: str) -> int | None:
        """The largest number that a key may have; None where any will do."""
        is_area = (self.in_pixels and key.endswith("_edge")) or key.endswith("_pixels")
        return self.most_pixels if is_area else _LIMITS.get(key)


def _check(path: Path, content: Mapping[str, Any], place: _Place) -> None:
    place = place.inside(content)
    for key, value in content.items():
        name = f"{place.name}.{key}" if place.name else key
        if isinstance(value, dict):
            _check(path, cast("dict[str, Any]", value), place._replace(name=name))
            continue
        if (most := place.most(key)) is None:
            continue
        for number in cast("list[object]", value) if isinstance(value, list) else [value]:
            if isinstance(number, int | float) and not 0 <= number <= most:
                raise refuse(path, name, number, f"it must be from 0 to {most:,}")
