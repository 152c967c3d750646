"""Florence-2: an image encoder, and BART, whose encoder reads image and task."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recap_assets.captions.kinds.transformers.base import HubModel
from recap_assets.engines.decoding.language import (
    EncodedState,
    EncoderDecoder,
    end_tokens,
    positions_of,
)

TASK = "<MORE_DETAILED_CAPTION>"
"""The task by default; <CAPTION> and <DETAILED_CAPTION> are shorter."""


class Florence2(HubModel):
    """Florence-2. The prompt is a task: the processor turns it into words."""

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - its attributes are typed as modules
        processor: Any,  # noqa: ANN401 - transformers types it by mixins
        device: torch.device,
        prompt: str | None,
    ) -> None:
        super().__init__(model, processor, device)
        settings, text_config = model.generation_config, model.config.text_config
        self.eos: Sequence[int] = end_tokens(settings)
        self.take(prompt)
        start = settings.decoder_start_token_id
        first = [text_config.decoder_start_token_id if start is None else start]
        if settings.forced_bos_token_id is not None:
            first.append(settings.forced_bos_token_id)
        encoder = model.model.language_model.encoder
        self.language = EncoderDecoder(model, encoder, text_config, first, device)
        self.room = positions_of(text_config) - len(first) + 1

    def take(self, prompt: str | None) -> None:
        """Have this task from now on."""
        inputs = self.processor(images=np.zeros((8, 8, 3), np.uint8), text=prompt or TASK)
        image_token = self.model.config.image_token_id
        self.prompt = [token for token in inputs["input_ids"][0] if token != image_token]

    def encode(self, pixels: Tensor) -> Tensor:
        """Tokens of the image in the space of the language model's."""
        return self.model.get_image_features(pixels.to(self.device, self.dtype)).pooler_output

    def start(self, features: Tensor) -> tuple[Tensor, EncodedState]:
        """Read the image and the task."""
        return self.language.read(self.after_image(features, self.prompt))

    def step(self, tokens: Tensor, state: EncodedState) -> Tensor:
        """One token on."""
        return self.language.step(tokens, state)
