"""What the training loop of a CLIP needs to know of a model: two kinds, one interface."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip.tokenizer import HFTokenizer
from tokenizers import Tokenizer
from torch import Tensor, nn

from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.model_folders.open_clip_configs import CONFIG
from recap_assets.engines.open_clip.models import (
    load_open_clip_model,
    load_open_clip_tokenizer,
    open_clip_config,
)
from recap_assets.engines.small.files import save_model, write_json, write_weights
from recap_assets.engines.small.tokenizer import EOS, encode, longest, train_tokenizer
from recap_assets.engines.small.towers import SmallClip, pixels_to_input
from recap_assets.specs.models import OpenClipTower, SmallTower, Tower

OPEN_CLIP_WEIGHTS = "open_clip_model.safetensors"


class Trainee(Protocol):
    """A CLIP in training.

    Attributes:
        augment: Whether images are rolled and their brightness changed.
        n_tags: Tokens that a tag loss may predict; 0 where there is no such loss.
        embedding_dim: Width of the joint embedding.
    """

    augment: bool
    n_tags: int
    embedding_dim: int

    @property
    def model(self) -> nn.Module:
        """Its forward takes images and tokens and gives what open_clip's ClipLoss takes."""
        ...

    def tokenize(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """Token ids, shape (n, context_length)."""
        ...

    def trim(self, tokens: NDArray[np.int32]) -> NDArray[np.int32]:
        """Drop columns that change no embedding."""
        ...

    def to_input(self, pixels: Tensor, gain: Tensor | None) -> Tensor:
        """Pixels (n, height, width, 3), uint8, as the model takes them."""
        ...

    def tags(self, tokens: Tensor) -> Tensor:
        """1.0 where a text has a token, shape (n, n_tags); marks and padding never."""
        ...

    def save(self, directory: Path) -> None:
        """Write the model so that the scorers can load it."""
        ...


class SmallTrainee:
    """The small towers, with a tokenizer learnt from the texts at hand."""

    augment = True

    def __init__(self, spec: SmallTower, texts: Sequence[str], side: tuple[int, int]) -> None:
        _check_side(side, (spec.image_size, spec.image_size))
        self.spec = spec
        self.tokenizer: Tokenizer = train_tokenizer(texts, spec.vocabulary)
        self.n_tags = self.tokenizer.get_vocab_size()
        self.embedding_dim = spec.embedding_dim
        self.model = SmallClip(spec, self.n_tags)

    def tokenize(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """Token ids, shape (n, context_length)."""
        return encode(self.tokenizer, texts, self.spec.context_length)

    def trim(self, tokens: NDArray[np.int32]) -> NDArray[np.int32]:
        """Drop the columns of nothing but padding: the mean over tokens ignores them."""
        return tokens[:, : longest(tokens)]

    def to_input(self, pixels: Tensor, gain: Tensor | None) -> Tensor:
        """Pixels (n, height, width, 3), uint8, as the image tower takes them."""
        return pixels_to_input(pixels, gain)

    def tags(self, tokens: Tensor) -> Tensor:
        """1.0 where a text has a token, shape (n, n_tags); marks and padding never."""
        tags = torch.zeros(len(tokens), self.n_tags, device=tokens.device)
        tags.scatter_(1, tokens.long(), 1.0)
        tags[:, : EOS + 1] = 0.0
        return tags

    def save(self, directory: Path) -> None:
        """Write config.json, model.safetensors and tokenizer.json."""
        config = {
            "kind": "small_clip",
            "tower": self.spec.model_dump(mode="json"),
            "vocabulary": self.n_tags,
        }
        save_model(directory, config, self.model, self.tokenizer)


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
        _check_side(side, (size, size) if isinstance(size, int) else tuple(size))
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
        (directory / CONFIG).unlink(missing_ok=True)
        if isinstance(self.tokenizer, HFTokenizer):
            self.tokenizer.save_pretrained(str(directory))
        write_weights(directory / OPEN_CLIP_WEIGHTS, self.model.state_dict())
        content = {"model_cfg": self.config, "preprocess_cfg": self.preprocess}
        write_json(directory / CONFIG, content)


def make_trainee(tower: Tower, texts: Sequence[str], side: tuple[int, int]) -> Trainee:
    """The model of `tower`, with fresh weights unless it names pretrained ones.

    Args:
        tower: The architecture.
        texts: What a tokenizer learns from where the tower brings none.
        side: Height and width of the training images.

    Raises:
        ValueError: The images are of another size than the tower takes.
        ModelFileError: The pretrained weights are no safetensors file.
    """
    if isinstance(tower, SmallTower):
        return SmallTrainee(tower, texts, side)
    return OpenClipTrainee(tower, side)


def _check_side(side: tuple[int, int], wanted: tuple[int, ...]) -> None:
    if tuple(side) != tuple(wanted):
        msg = f"images are {side[0]} x {side[1]}, the tower takes {wanted[0]} x {wanted[1]}"
        raise ValueError(msg)


def _check_safe(path: str) -> None:
    if not path.endswith(".safetensors"):
        msg = f"{path}: weights are read from safetensors files only; convert it first"
        raise ModelFileError(msg)


def _open_clip_model(spec: OpenClipTower) -> Any:  # noqa: ANN401 - one of several classes
    if ":" not in spec.name:
        return open_clip.create_model(spec.name, pretrained=spec.pretrained, output_dict=True)
    # A folder or a repository brings configs of its own, which are read here first.
    model: Any = load_open_clip_model(spec.name, spec.pretrained, "float32", torch.device("cpu"))
    model.output_dict = True
    return model
