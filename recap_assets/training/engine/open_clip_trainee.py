"""Models of open_clip in training."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip.tokenizer import HFTokenizer
from torch import Tensor

from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.model_folders.configs import OPEN_CLIP_CONFIG
from recap_assets.engines.open_clip.models import (
    load_open_clip_model,
    load_open_clip_tokenizer,
    open_clip_config,
    without_false_alarms,
)
from recap_assets.engines.small.files import write_json, write_weights
from recap_assets.specs.models import OpenClipTower
from recap_assets.training.engine.trainee import check_side

OPEN_CLIP_WEIGHTS = "open_clip_model.safetensors"


class OpenClipTrainee:
    """A model of open_clip with its own tokenizer and normalisation of pixels."""

    augment = False
    n_tags = 0

    def __init__(self, spec: OpenClipTower, side: tuple[int, int]) -> None:
        if spec.pretrained and Path(spec.pretrained).is_file():
            _check_safe(spec.pretrained)
        self.model: Any = _open_clip_model(spec)
        preprocess = open_clip.get_model_preprocess_cfg(self.model)
        size = preprocess["size"]
        check_side(side, (size, size) if isinstance(size, int) else tuple(size))
        self.preprocess = {key: preprocess[key] for key in ("mean", "std")}
        self.tokenizer = load_open_clip_tokenizer(spec.name)
        self.config = open_clip_config(spec.name)
        self.embedding_dim = int(self.config["embed_dim"])

    def tokenize(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """Token ids, shape (n, context_length)."""
        return self.tokenizer(list(texts)).numpy().astype(np.int32)

    def trim(self, tokens: NDArray[np.int32]) -> NDArray[np.int32]:
        """All columns: open_clip's towers take their full context only."""
        return tokens

    def to_input(self, pixels: Tensor, gain: Tensor | None) -> Tensor:
        """Pixels (n, height, width, 3), uint8, normalised as the model's config says."""
        mean = torch.tensor(self.preprocess["mean"], device=pixels.device)
        std = torch.tensor(self.preprocess["std"], device=pixels.device)
        scaled = pixels.to(torch.float32).div_(255)
        if gain is not None:
            scaled.mul_(gain[:, None, None, None])
        return scaled.sub_(mean).div_(std).permute(0, 3, 1, 2)

    def tags(self, tokens: Tensor) -> Tensor:
        """No tags: the tag loss belongs to the small towers."""
        return torch.zeros(len(tokens), 0)

    def save(self, directory: Path) -> None:
        """Write open_clip's own folder, which `local-dir:` loads."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / OPEN_CLIP_CONFIG).unlink(missing_ok=True)
        if isinstance(self.tokenizer, HFTokenizer):
            self.tokenizer.save_pretrained(str(directory))
        write_weights(directory / OPEN_CLIP_WEIGHTS, self.model.state_dict())
        content = {"model_cfg": self.config, "preprocess_cfg": self.preprocess}
        write_json(directory / OPEN_CLIP_CONFIG, content)


def _check_safe(path: str) -> None:
    if not path.endswith(".safetensors"):
        msg = f"{path}: weights are read from safetensors files only; convert it first"
        raise ModelFileError(msg)


def _open_clip_model(spec: OpenClipTower) -> Any:  # noqa: ANN401 - one of several classes
    if ":" not in spec.name:
        alarms = nullcontext() if spec.pretrained else without_false_alarms()
        with alarms:
            return open_clip.create_model(spec.name, pretrained=spec.pretrained, output_dict=True)
    # A folder or a repository brings configs of its own, which are read here first.
    model: Any = load_open_clip_model(spec.name, spec.pretrained, "float32", torch.device("cpu"))
    model.output_dict = True
    return model
