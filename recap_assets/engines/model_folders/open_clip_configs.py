"""`open_clip_config.json`: its keys by list, its values by type and size."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import timm
from open_clip.coca_model import MultimodalCfg
from open_clip.model import CLIPTextCfg, CLIPVisionCfg

from recap_assets.engines.model_folders.configs import (
    MAX_LAYERS,
    MAX_NUMBER,
    OPEN_CLIP_CONFIG,
    read_config,
    refuse,
)

MAX_IMAGE_SIDE = 4_096
MAX_CONTEXT = 8_192
MAX_WIDTH = 1 << 16
MAX_PARTS = 8

_MODEL = {
    "embed_dim", "vision_cfg", "text_cfg", "multimodal_cfg", "quick_gelu", "custom_text",
    "init_logit_scale", "init_logit_bias", "nonscalar_logit_scale",
}  # fmt: skip
_PREPROCESSING = {"size", "mode", "mean", "std", "interpolation", "resize_mode", "fill_color"}
_WORDS: Mapping[str, frozenset[str]] = {
    "interpolation": frozenset({"bicubic", "bilinear", "random"}),
    "resize_mode": frozenset({"shortest", "longest", "squash"}),
    "mode": frozenset({"RGB"}),
    "clean": frozenset({"lower", "whitespace", "canonicalize"}),
    "approximate": frozenset({"none", "tanh"}),
    "tokenizer_mode": frozenset({"", "clips"}),
}
_SHORT = re.compile(r"[A-Za-z0-9_]{0,32}")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?")
_LIMITS = {
    "image_size": MAX_IMAGE_SIDE, "size": MAX_IMAGE_SIDE, "patch_size": MAX_IMAGE_SIDE,
    "context_length": MAX_CONTEXT, "vocab_size": MAX_NUMBER, "pad_id": MAX_NUMBER,
    "eos_id": MAX_NUMBER, "fill_color": 255,
}  # fmt: skip
_NAMED = "take the name of a repository of the hub, or leave the key out"


@dataclass(frozen=True)
class OpenClipConfig:
    """A checked config.

    Attributes:
        path: Where it was read.
        model: `model_cfg`, with known keys only.
        preprocessing: `preprocess_cfg`, with known keys only.
    """

    path: Path
    model: dict[str, Any]
    preprocessing: dict[str, Any]

    @property
    def text(self) -> dict[str, Any]:
        """`text_cfg`."""
        return self.model["text_cfg"]

    @property
    def as_json(self) -> dict[str, Any]:
        """What the library is given to read."""
        return {"model_cfg": self.model, "preprocess_cfg": self.preprocessing}


def read_open_clip_config(folder: Path, n_tensors: int | None = None) -> OpenClipConfig:
    """The config of a folder in open_clip's layout.

    Args:
        folder: Holds `open_clip_config.json`.
        n_tensors: Tensors of the weights, where known: there are no more layers than these.

    Raises:
        ModelFolderError: It is missing or damaged, or a key or value is none that open_clip's
            models have; naming file, key and value.
    """
    path = folder / OPEN_CLIP_CONFIG
    content = read_config(path)
    model = _mapping(path, content, "model_cfg")
    checker = _Checker(path, max(n_tensors or 0, MAX_LAYERS))
    checked = checker.keys(model, "model_cfg", _MODEL)
    for part, names in _PARTS.items():
        if part in checked or part != "multimodal_cfg":
            checked[part] = checker.keys(_mapping(path, checked, part), part, names)
    given = content.get("preprocess_cfg") or {}
    if not isinstance(given, dict):
        raise refuse(path, "preprocess_cfg", given, "it must be a mapping")
    known = {k: v for k, v in given.items() if k in _PREPROCESSING and v is not None}
    return OpenClipConfig(path, checked, checker.keys(known, "preprocess_cfg", _PREPROCESSING))


class _Checker:
    def __init__(self, path: Path, most_layers: int) -> None:
        self.path, self.most_layers = path, most_layers

    def keys(self, given: Mapping[str, Any], where: str, known: set[str]) -> dict[str, Any]:
        for key, value in given.items():
            name = f"{where}.{key}"
            if key not in known:
                why = f"open_clip's models have no such key; known are {', '.join(sorted(known))}"
                raise refuse(self.path, name, value, why)
            if not isinstance(value, dict):
                self._value(name, key, value)
            elif key in _KWARGS:
                self.keys(value, name, _KWARGS[key])
            elif key not in _PARTS:
                raise refuse(self.path, name, value, "it is a mapping, and no such one is known")
        # What a model was started from is of no use to one with weights of its own.
        return {k: v for k, v in given.items() if not k.endswith("_pretrained")}

    def _value(self, name: str, key: str, value: object) -> None:
        check = _SPECIAL.get(key)
        if value is None or isinstance(value, bool):
            return
        why = check(value) if check else self._plain(key, value)
        if why:
            raise refuse(self.path, name, value, why)

    def _plain(self, key: str, value: object) -> str | None:
        if isinstance(value, list):
            parts = cast("list[object]", value)
            if not 0 < len(parts) <= MAX_PARTS or any(isinstance(p, list | dict) for p in parts):
                return f"it must be a list of at most {MAX_PARTS} numbers"
            return next(filter(None, (self._plain(key, part) for part in parts)), None)
        if isinstance(value, int):
            most = self.most_layers if key == "layers" else _LIMITS.get(key, MAX_WIDTH)
            return None if 0 <= value <= most else f"it must be from 0 to {most:,}"
        if isinstance(value, float):
            return None if math.isfinite(value) and abs(value) <= MAX_WIDTH else "it is too large"
        if key in _WORDS:
            known = ", ".join(sorted(_WORDS[key]))
            return None if value in _WORDS[key] else f"it must be one of {known}"
        fits = isinstance(value, str) and _SHORT.fullmatch(value)
        return None if fits else "it must be a number or a short word"


def _mapping(path: Path, content: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = content.get(key)
    if not isinstance(found, dict):
        raise refuse(path, key, found, "it must be a mapping, as open_clip saves it")
    return cast("dict[str, Any]", found)


def _repository(value: object) -> str | None:
    fits = isinstance(value, str) and _REPOSITORY.fullmatch(value) and ".." not in value
    return None if fits or not value else f"it is no name of a repository; {_NAMED}"


def _scalar(value: object) -> str | None:
    fits = isinstance(value, int | float) and math.isfinite(value) and abs(value) <= MAX_WIDTH
    return None if fits else f"it must be a number of at most {MAX_WIDTH:,}"


def _architecture(value: object) -> str | None:
    known = isinstance(value, str) and timm.is_model(value.partition(".")[0])
    named = known and re.fullmatch(r"[a-z0-9_]+(\.[A-Za-z0-9_]+)?", str(value))
    return None if named else "timm has no architecture of that name, and none is fetched"


def _colours(value: object) -> str | None:
    parts = cast("list[object]", value) if isinstance(value, list) else []
    whole = len(parts) == 3 and all(
        isinstance(p, int | float) and math.isfinite(p) and abs(p) <= 255 for p in parts
    )
    return None if whole else "it must be three numbers, one for each colour"


def _deviations(value: object) -> str | None:
    why = _colours(value)
    return why or (None if all(p > 0 for p in cast("list[float]", value)) else "it divides by zero")


_SPECIAL: Mapping[str, Callable[[object], str | None]] = {
    "hf_tokenizer_name": _repository, "hf_model_name": _repository,
    "timm_model_name": _architecture, "mean": _colours, "std": _deviations,
    "init_logit_scale": _scalar, "init_logit_bias": _scalar,
}  # fmt: skip
_PARTS = {
    "vision_cfg": {field.name for field in fields(CLIPVisionCfg)},
    "text_cfg": {field.name for field in fields(CLIPTextCfg)},
    "multimodal_cfg": {field.name for field in fields(MultimodalCfg)},
}
_KWARGS = {
    "tokenizer_kwargs": {"clean", "strip_sep_token"},
    "norm_kwargs": {"eps"},
    "act_kwargs": {"approximate"},
}
