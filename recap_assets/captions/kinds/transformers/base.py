"""What the families with a fixed image size share: pixels in, text out."""

from copy import copy
from typing import Any, Self

import torch
from torch import Tensor

from recap_assets.engines.protocols import Image


class HubModel:
    """A model of transformers with its processor.

    Args:
        model: In eval mode, on its device or devices.
        processor: The one that it came with.
        device: Where its inputs go and its logits come out.
    """

    def __init__(self, model: Any, processor: Any, device: torch.device) -> None:  # noqa: ANN401
        self.model = model
        self.processor = processor
        self.device = device
        self.dtype: torch.dtype = model.dtype
        self.vocabulary: int = model.config.get_text_config().vocab_size

    def take(self, prompt: str | None) -> None:
        """Have this prompt from now on; None for the family's own."""
        raise NotImplementedError

    def with_prompt(self, prompt: str) -> Self:
        """The same model with another prompt."""
        other = copy(self)
        other.take(prompt)
        return other

    def prepare(self, image: Image) -> Tensor:
        """The processor's own resizing and normalisation."""
        batch = self.processor.image_processor(
            image, input_data_format="channels_last", return_tensors="pt"
        )
        return batch["pixel_values"][0]

    def unconditional(self, features: Tensor) -> Tensor:
        """Zeros, a substitute of ours: none of them was trained to write without an image.

        Attention to the image then adds its biases only; a language model that reads the image
        before the prompt finds as many empty places.
        """
        return torch.zeros_like(features)

    def text(self, tokens: list[int]) -> str:
        """The text without special tokens."""
        return self.processor.tokenizer.decode(tokens, skip_special_tokens=True)

    def words(self, prompt: str | None) -> list[int]:
        """Token ids of the prompt without special tokens."""
        return self.processor.tokenizer(prompt or "", add_special_tokens=False)["input_ids"]

    def after_image(self, features: Tensor, ids: list[int]) -> Tensor:
        """Features of the image and then embedded tokens, shape (rows, tokens, width)."""
        tokens = torch.tensor(ids, device=self.device).expand(len(features), -1)
        embedded = self.model.get_input_embeddings()(tokens)
        return torch.cat([features.to(embedded), embedded], dim=1)
