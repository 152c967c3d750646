"""Configs of what prepares images and texts: sizes that would make an image or a prompt huge."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

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
    **dict.fromkeys(("min_pixels", "max_pixels"), MAX_PIXELS),
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
    _check(path, content, "", in_pixels=False)


def _check(path: Path, content: Mapping[str, Any], where: str, *, in_pixels: bool) -> None:
    kinds = (content.get("image_processor_type"), content.get("video_processor_type"))
    kinds = (*kinds, content.get("processor_class"))
    in_pixels = in_pixels or any(_AREAS.search(str(kind)) for kind in kinds)
    for key, value in content.items():
        name = f"{where}.{key}" if where else key
        if isinstance(value, dict):
            _check(path, cast("dict[str, Any]", value), name, in_pixels=in_pixels)
            continue
        most = MAX_PIXELS if in_pixels and key.endswith("_edge") else _LIMITS.get(key)
        numbers = cast("list[object]", value) if isinstance(value, list) else [value]
        for number in numbers if most else ():
            if isinstance(number, int | float) and not 0 <= number <= (most or 0):
                raise refuse(path, name, number, f"it must lie from 0 to {most:,}")
