"""BLIP's image-text matching, safetensors only."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoProcessor, BlipForImageTextRetrieval

from recap_assets.engines.devices import dtype_of, resolve_device
from recap_assets.engines.errors import ModelFileError, explain_loading
from recap_assets.engines.model_folders.configs import read_config
from recap_assets.engines.model_folders.hub_files import model_folder
from recap_assets.engines.model_folders.skeletons import put
from recap_assets.engines.model_folders.staging import staging
from recap_assets.engines.model_folders.transformers_models import ADVICE, OPTIONS, read_staged
from recap_assets.engines.protocols import Image
from recap_assets.engines.row_counts import EvenPasses, example_pixels, example_tokens
from recap_assets.scores.kinds.matching.spec import ImageTextMatchingSpec
from recap_assets.untrusted.showing import one_line


class BlipMatching:
    """The probability that a text fits an image.

    Pairs whose texts have one number of tokens are computed together, so none is padded.

    Args:
        model: A `BlipForImageTextRetrieval` in eval mode, on `device`.
        processor: Its own.
        spec: Precision and batch size.
        device: Where the model is.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - its attributes are typed as modules
        processor: Any,  # noqa: ANN401
        spec: ImageTextMatchingSpec,
        device: torch.device,
    ) -> None:
        self._model, self._processor, self._spec, self._device = model, processor, spec, device
        self._dtype = dtype_of(spec.precision)
        self._of_images, self._of_pairs = EvenPasses(device), EvenPasses(device)
        self._most = int(model.config.text_config.max_position_embeddings)
        self._states = torch.empty(0)

    @torch.inference_mode()
    def score(self, images: Sequence[Image], texts: Sequence[str]) -> NDArray[np.float32]:
        """Probabilities, shape (n,)."""
        found = np.empty(len(texts), np.float32)
        if not len(texts):
            return found
        distinct, numbers = _distinct(images)
        self._states = self._encoded(distinct)
        tokens = [self._tokens(text) for text in texts]
        lengths = np.array([len(row) for row in tokens])
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            ids = torch.tensor([[numbers[row], *tokens[row]] for row in rows])
            size = self._spec.batch_size
            passes = self._of_pairs.run(self._matched, ids, size, self._examples)
            found[rows] = torch.cat(list(passes)).numpy()
        return found

    def _encoded(self, images: Sequence[Image]) -> Tensor:
        # One by one: a processor may pad a batch to its largest image.
        rows = [
            self._processor.image_processor(
                images=image, input_data_format="channels_last", return_tensors="pt"
            )["pixel_values"]
            for image in images
        ]
        size = self._spec.batch_size
        passes = self._of_images.run(self._seen, torch.cat(rows), size, example_pixels)
        return torch.cat(list(passes))

    def _seen(self, pixels: Tensor) -> Tensor:
        return self._model.vision_model(pixel_values=pixels.to(self._device, self._dtype))[0]

    def _tokens(self, text: str) -> list[int]:
        tokenizer = self._processor.tokenizer
        ids = tokenizer(text, truncation=True, max_length=self._most)["input_ids"]
        return ids or [tokenizer.pad_token_id or 0]

    def _matched(self, rows: Tensor) -> Tensor:
        """Probabilities of rows that begin with the number of the image."""
        ids, states = rows[:, 1:].to(self._device), self._states[rows[:, 0]]
        read = self._model.text_encoder(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            encoder_hidden_states=states,
            encoder_attention_mask=torch.ones(states.shape[:2], device=self._device).long(),
        )
        logits = self._model.itm_head(read[0][:, 0]).float()
        return logits.softmax(dim=1)[:, 1].cpu()

    def _examples(self, row: Tensor) -> Tensor:
        tokens = example_tokens(row[1:])
        numbers = torch.arange(len(tokens)) % len(self._states)
        return torch.cat([numbers[:, None].to(tokens.dtype), tokens], dim=1)


def _distinct(images: Sequence[Image]) -> tuple[list[Image], list[int]]:
    """Images of which neighbours are other arrays, and the number of each one's among them."""
    distinct: list[Image] = []
    numbers: list[int] = []
    for image in images:
        if not distinct or distinct[-1] is not image:
            distinct.append(image)
        numbers.append(len(distinct) - 1)
    return distinct, numbers


def load_blip_matching(spec: ImageTextMatchingSpec) -> BlipMatching:
    """A matching model from the hub or a folder.

    Raises:
        ModelFileError: It is missing, damaged, incomplete or of another kind.
        DeviceError: This machine has no such device.
    """
    device = resolve_device(spec.device)
    with explain_loading(spec.model, ADVICE):
        folder = model_folder(spec.model, spec.revision)
        kind = str(read_config(folder / "config.json").get("model_type"))
        if kind != "blip":
            msg = f"{spec.model} is a model of type {one_line(kind, 80)}; BLIP's are known here"
            raise ModelFileError(msg)
        with staging(spec.model) as staged:
            read = BlipForImageTextRetrieval.from_pretrained
            model = read_staged(folder, staged, BlipForImageTextRetrieval, read, spec.precision)
            processor = AutoProcessor.from_pretrained(staged, **OPTIONS)
    return BlipMatching(model, processor, spec, put(model, device))
