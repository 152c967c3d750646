"""What configs hand on to timm, which by a name alone fetches, and by an option unpickles, models.

transformers' `timm_wrapper` and `timm_backbone` give `architecture` or `backbone` as the name and
`model_args` as the options of `timm.create_model`; `pretrained_cfg` says how images are prepared.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from recap_assets.engines.model_folders.configs import refuse

MAX_SIDE = 4_096
"""Of a prepared image, in pixels."""

CROPS = (0.25, 4.0)
"""Part of a resized image that is cut out; the models there are have 0.8 to 1.15."""

_ARCHITECTURE = re.compile(r"[A-Za-z0-9_]{1,96}(\.[A-Za-z0-9_-]{1,96})?")
_WORD = re.compile(r"[A-Za-z0-9_]{0,48}")
_PLACES = re.compile(r"pretrained|checkpoint|cache|path|file|url|hub|script")
_SIDES = ("input_size", "min_input_size", "test_input_size")
_PREPARATION = frozenset(
    {
        *_SIDES, "fixed_input_size", "interpolation", "crop_pct", "test_crop_pct", "crop_mode",
        "mean", "std", "num_classes", "label_offset", "label_names", "label_descriptions",
        "pool_size", "first_conv", "classifier", "tag", "architecture",
    }
)  # fmt: skip


def check_timm(path: Path, content: Mapping[str, Any]) -> None:
    """Refuse what would make timm fetch or open another model, at any depth of a config.

    Raises:
        ModelFolderError: Naming the key and its value.
    """
    for key, value in _keys(content, ""):
        check = _CHECKS.get(key.rpartition(".")[2])
        if check and (why := check(value)):
            raise refuse(path, key, value, why)


def without_places(content: Mapping[str, Any]) -> dict[str, Any]:
    """The config, whose `pretrained_cfg` keep only what says how images are prepared."""
    return {
        key: _prepared(value) if key == "pretrained_cfg" else _inner(value)
        for key, value in content.items()
    }


def _inner(value: object) -> object:
    return without_places(cast("dict[str, Any]", value)) if isinstance(value, dict) else value


def _prepared(value: object) -> object:
    given = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    return {key: inner for key, inner in given.items() if key in _PREPARATION}


def _keys(content: Mapping[str, Any], where: str) -> Iterator[tuple[str, object]]:
    for name, value in content.items():
        key = f"{where}.{name}" if where else name
        yield key, value
        if isinstance(value, dict) and name not in ("label2id", "id2label"):
            yield from _keys(cast("dict[str, Any]", value), key)


def _named(value: object) -> str | None:
    fits = value is None or (isinstance(value, str) and _ARCHITECTURE.fullmatch(value))
    return None if fits else "it is no name of an architecture of timm's, and none is fetched"


def _options(value: object) -> str | None:
    options = cast("dict[str, Any]", value or {}) if isinstance(value, dict | None) else None
    if options is None:
        return "it must be a mapping"
    if wrong := next((key for key in options if _PLACES.search(key)), None):
        return f"its {wrong[:80]} would open another file, and none is opened"
    plain = all(_is_plain(one) for one in options.values())
    return None if plain else "its values must be numbers and short words"


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(_is_plain(one) for one in cast("list[object]", value))
    is_word = isinstance(value, str) and bool(_WORD.fullmatch(value))
    return is_word or value is None or isinstance(value, int | float)


def _preparation(value: object) -> str | None:
    if not isinstance(value, dict | None):
        return "it must be a mapping"
    given = cast("dict[str, object]", value or {})
    for name in _SIDES:
        sides = given.get(name)
        numbers = cast("list[object]", sides) if isinstance(sides, list) else [sides]
        if any(isinstance(one, int | float) and not 0 < one <= MAX_SIDE for one in numbers):
            return f"its {name} must be from 1 to {MAX_SIDE:,}"
    for name in ("crop_pct", "test_crop_pct"):
        crop = given.get(name)
        if isinstance(crop, int | float) and not CROPS[0] <= crop <= CROPS[1]:
            return f"its {name} must be from {CROPS[0]} to {CROPS[1]:g}"
    return None


_CHECKS: Mapping[str, Callable[[object], str | None]] = {
    "architecture": _named,
    "backbone": _named,
    "model_args": _options,
    "backbone_kwargs": _options,
    "pretrained_cfg": _preparation,
}
