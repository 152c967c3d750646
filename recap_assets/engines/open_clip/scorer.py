"""CLIP of open_clip as a scorer: unit-length float32 embeddings, the same in every batch."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from numpy.typing import NDArray
from torch import Tensor

from recap_assets.engines.batch_sizes import free_memory, is_out_of_memory
from recap_assets.engines.devices import resolve_device
from recap_assets.engines.model_folders.skeletons import put
from recap_assets.engines.open_clip.models import (
    input_dtype,
    load_open_clip_model,
    load_open_clip_tokenizer,
)
from recap_assets.engines.open_clip.pixels import PixelTransform
from recap_assets.engines.open_clip.preparation import Ready, preparation_of
from recap_assets.engines.open_clip.text_tower import TextEncoder, bucket_of, text_encoder_of
from recap_assets.engines.protocols import Image, Resizing
from recap_assets.engines.row_counts import EvenPasses, example_pixels, example_tokens
from recap_assets.specs.running import Precision


class ClipScorer:
    """Embeds images and texts with one model of open_clip.

    Args:
        model: A CLIP of open_clip in eval mode, on `device`.
        tokenizer: open_clip's for that model.
        precision: What the model computes in; embeddings are float32.
        batch_size: Rows of one forward pass.
        device: Where the model is.

    Attributes:
        preparation: What makes images ready for the model.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - one of several classes of open_clip
        tokenizer: Callable[[list[str]], Tensor],
        precision: Precision,
        batch_size: int,
        device: torch.device,
    ) -> None:
        self.model = model
        self.batch_size = batch_size
        self.device = device
        self._tokenizer = tokenizer
        self._dtype = input_dtype(precision)
        self._pixels = PixelTransform(model.visual.preprocess_cfg)
        self.preparation = preparation_of(self._pixels, device, self._dtype)
        self._encode_text: TextEncoder = text_encoder_of(model)
        self._images, self._texts = EvenPasses(device), EvenPasses(device)
        with torch.inference_mode():
            self.embedding_dim = self._encode_text(tokenizer([""]).to(device)).shape[1]

    @property
    def resizing(self) -> Resizing | None:
        """That of open_clip's preprocessing."""
        return self._pixels.resizing

    def embed_images(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Unit-length embeddings, shape (n, embedding_dim), through open_clip's preprocessing."""
        return self.begin_images(images)()

    def begin_images(self, images: Sequence[Image]) -> Callable[[], NDArray[np.float32]]:
        """Begin to prepare images; the function gives what `embed_images` would."""
        size = self._images.at_once(self.batch_size)
        parts = [images[part] for part in _parts(len(images), size)]
        first = [self.preparation.begin(part) for part in parts[:1]]
        return lambda: self._embedded(parts, first)

    @torch.inference_mode()
    def _embedded(
        self, parts: Sequence[Sequence[Image]], ready: list[Ready]
    ) -> NDArray[np.float32]:
        rows = [np.empty((0, self.embedding_dim), np.float32)]
        for n in range(len(parts)):
            pixels = ready.pop()()
            # Preparation runs a batch ahead of the model.
            ready += [self.preparation.begin(part) for part in parts[n + 1 : n + 2]]
            rows.append(self._encoded(self._images, self._image_rows, pixels, example_pixels))
        return np.concatenate(rows)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit-length embeddings, shape (n, embedding_dim).

        A text is computed at its own length, rounded up, beside others of that length only: so
        the length of no neighbour changes its bits.
        """
        embeddings = np.empty((len(texts), self.embedding_dim), np.float32)
        if not texts:
            return embeddings
        tokens = self._tokenizer(list(texts))
        buckets = bucket_of(self._encode_text, tokens)
        for length in buckets.unique().tolist():
            rows = torch.nonzero(buckets == length)[:, 0]
            for part in _parts(len(rows), self._texts.at_once(self.batch_size)):
                chosen = rows[part]
                embeddings[chosen.numpy()] = self._embed_tokens(tokens[chosen, :length])
        return embeddings

    def _embed_tokens(self, tokens: Tensor) -> NDArray[np.float32]:
        return self._encoded(self._texts, self._text_rows, tokens, example_tokens)

    def _image_rows(self, pixels: Tensor) -> Tensor:
        return _unit(self.model.encode_image(pixels.to(self.device, self._dtype)))

    def _text_rows(self, tokens: Tensor) -> Tensor:
        return _unit(self._encode_text(tokens.to(self.device)))

    def _encoded(
        self,
        passes: EvenPasses,
        forward: Callable[[Tensor], Tensor],
        rows: Tensor,
        examples: Callable[[Tensor], Tensor],
    ) -> NDArray[np.float32]:
        """Unit-length embeddings of the rows; where memory runs out, batches are halved for good.

        Raises:
            torch.OutOfMemoryError: Not even one row fits.
        """
        try:
            return torch.cat(list(passes.run(forward, rows, self.batch_size, examples))).numpy()
        except Exception as error:
            if not is_out_of_memory(error) or self.batch_size == 1:
                raise
        # Outside of the handler, whose traceback keeps the tensors of the batch alive.
        free_memory()
        self.batch_size //= 2
        return self._encoded(passes, forward, rows, examples)


def _unit(embeddings: Tensor) -> Tensor:
    return F.normalize(embeddings.float(), dim=-1).cpu()


def _parts(n: int, size: int) -> Iterator[slice]:
    return (slice(first, min(first + size, n)) for first in range(0, n, size))


def load_open_clip_scorer(
    name: str,
    pretrained: str | None = None,
    *,
    precision: Precision = "float32",
    batch_size: int = 64,
    device: str = "auto",
) -> ClipScorer:
    """A CLIP by name and tag, by name and safetensors file, or from `local-dir:FOLDER`.

    Args:
        name: open_clip's model name, or `local-dir:FOLDER`.
        pretrained: open_clip's tag, or a safetensors file; None for a folder.
        precision: What the model computes in.
        batch_size: Rows of one forward pass.
        device: As in `resolve_device`.

    Raises:
        ModelFileError: The model is missing, damaged, pickled, or does not fit its config.
        DeviceError: This machine has no such device.
    """
    place = resolve_device(device)
    model = load_open_clip_model(name, pretrained, precision, place)
    at = put(model, place)
    return ClipScorer(model, load_open_clip_tokenizer(name), precision, batch_size, at)
