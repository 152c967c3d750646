"""The small towers in training."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from recap_assets.engines.small.files import save_model
from recap_assets.engines.small.tokenizer import EOS, encode, longest, train_tokenizer
from recap_assets.engines.small.towers import SmallClip, pixels_to_input
from recap_assets.specs.models import SmallTower
from recap_assets.training.engine.trainee import check_side


class SmallTrainee:
    """The small towers, with a tokenizer learnt from the given texts."""

    augment = True

    def __init__(self, spec: SmallTower, texts: Sequence[str], side: tuple[int, int]) -> None:
        check_side(side, (spec.image_size, spec.image_size))
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
