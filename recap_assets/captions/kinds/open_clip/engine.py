"""CoCa of open_clip, with our own decoding loop: docs/adr/0003-coca-sampling-loop.md."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from recap_assets.captions.kinds.open_clip.spec import OpenClipSpec
from recap_assets.engines.batch_sizes import BatchSize, Load, device_name
from recap_assets.engines.decoding.batching import BatchingCaptioner, FixedSizeReader
from recap_assets.engines.devices import resolve_device
from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.open_clip.models import (
    input_dtype,
    load_open_clip_model,
    load_open_clip_tokenizer,
)
from recap_assets.engines.open_clip.pixels import PixelTransform
from recap_assets.engines.protocols import Captioner, Image
from recap_assets.specs.running import Precision


@dataclass
class PrefixState:
    """Image tokens (rows, n, width) and the ids written so far (rows, length)."""

    features: Tensor
    ids: Tensor

    def select(self, rows: Tensor) -> None:
        """Keep `rows`, in that order."""
        self.features, self.ids = self.features[rows], self.ids[rows]

    def reorder(self, rows: Tensor) -> None:
        """`select` for rows of the same image."""
        self.ids = self.ids[rows]


class Coca:
    """CoCa: the text tower reads the caption so far, the decoder attends from it to the image."""

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - open_clip's class, typed as a module
        tokenizer: Any,  # noqa: ANN401 - a callable of several classes
        precision: Precision,
        device: torch.device,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.device = device
        self.dtype = input_dtype(precision)
        self.pixels = PixelTransform(model.visual.preprocess_cfg)
        self.start_id: int = tokenizer.sot_token_id
        self.eos: Sequence[int] = [tokenizer.eot_token_id]
        self.vocabulary = model.text.vocab_size
        self.room = min(model.context_length, model.text.context_length)

    def prepare(self, image: Image) -> Tensor:
        """open_clip's own resizing and normalisation."""
        return self.pixels([image])[0]

    def encode(self, pixels: Tensor) -> Tensor:
        """Outputs of the captioning half of the attentional pooler."""
        return self.model(pixels.to(self.device, self.dtype))["image_embs"]

    def unconditional(self, features: Tensor) -> Tensor:
        """Zeros, a substitute of ours: CoCa was not trained to write without an image."""
        return torch.zeros_like(features)

    def start(self, features: Tensor) -> tuple[Tensor, PrefixState]:
        """From the start mark alone."""
        ids = torch.full((len(features), 1), self.start_id, device=self.device)
        state = PrefixState(features, ids)
        return self._logits(state), state

    def step(self, tokens: Tensor, state: PrefixState) -> Tensor:
        """One token on; the whole prefix is read again, open_clip keeps no cache."""
        state.ids = torch.cat([state.ids, tokens[:, None]], dim=1)
        return self._logits(state)

    def text(self, tokens: list[int]) -> str:
        """The text without the end mark."""
        return self.tokenizer.decode([token for token in tokens if token != self.start_id])

    def _logits(self, state: PrefixState) -> Tensor:
        # The fused kernel of the CPU gives a single query other bits in another batch.
        with sdpa_kernel(SDPBackend.MATH):
            output = self.model(
                None,
                state.ids,
                image_latent=state.features,
                image_embs=state.features,
                output_labels=False,
            )
        return output["logits"][:, -1].float()


def load_coca_captioner(source: OpenClipSpec, batch_sizes: Path | None = None) -> Captioner:
    """CoCa by name and tag, by name and safetensors file, or from `local-dir:FOLDER`.

    Args:
        source: Model, weights, precision, decoding, candidates, batch size and device.
        batch_sizes: File in which batch sizes are kept.

    Raises:
        ModelFileError: The model is missing, damaged, pickled, or no CoCa.
        DeviceError: This machine has no such device.
    """
    device = resolve_device(source.device)
    model = load_open_clip_model(source.model, source.pretrained, source.precision, device)
    if not hasattr(model, "text_decoder"):
        msg = (
            f"{source.model} writes no captions: it is a {type(model).__name__}. Kind open_clip "
            "takes CoCa as a source (coca_ViT-L-14, coca_ViT-B-32)"
        )
        raise ModelFileError(msg)
    tokenizer = load_open_clip_tokenizer(source.model)
    if not isinstance(tokenizer, open_clip.SimpleTokenizer):
        msg = f"{source.model} has a tokenizer of transformers; only CoCa with CLIP's own is read"
        raise ModelFileError(msg)
    adapter = Coca(model, tokenizer, source.precision, device)
    load = Load(
        source.model,
        source.pretrained,
        source.precision,
        source.decoding.max_tokens,
        device_name(device),
    )
    size = BatchSize(source.batch_size, load, batch_sizes)
    return BatchingCaptioner(FixedSizeReader(adapter), source.decoding, source.candidates, size)
