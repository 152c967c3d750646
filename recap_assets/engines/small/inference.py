"""The small models behind the protocols: results that depend on no neighbour in the batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from recap_assets.engines.decoding.captioner import CaptionWriter, batches
from recap_assets.engines.protocols import Caption, Image, Resizing
from recap_assets.engines.row_counts import EvenPasses, example_pixels, example_tokens
from recap_assets.engines.small.decoder import Cache, CaptionDecoder, SmallCaptionModel
from recap_assets.engines.small.images import to_square
from recap_assets.engines.small.tokenizer import BOS, EOS, encode
from recap_assets.engines.small.towers import ImageTower, pixels_to_input
from recap_assets.specs.decoding import Decoding
from recap_assets.specs.models import SmallTower


def fold_batch_norm(tower: ImageTower) -> ImageTower:
    """Move the batch norms of a tower in eval mode into its convolutions, in place."""
    tower.eval()
    pairs = [(tower, "stem", "stem_norm")]
    for block in tower.blocks:
        pairs += [(block, "conv1", "norm1"), (block, "conv2", "norm2")]
    for owner, conv, norm in pairs:
        setattr(owner, conv, fuse_conv_bn_eval(getattr(owner, conv), getattr(owner, norm)))
        setattr(owner, norm, nn.Identity())
    return tower


class TwoTowers(Protocol):
    """What a small model that embeds is made of."""

    spec: SmallTower
    visual: ImageTower

    def encode_image(self, image: Tensor, normalize: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - open_clip's signature
        """Embeddings (n, embedding_dim) of the output of `pixels_to_input`."""
        ...

    def encode_text(self, text: Tensor, normalize: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - open_clip's signature
        """Embeddings (n, embedding_dim) of tokens (n, length)."""
        ...

    def eval(self) -> Self:
        """In eval mode."""
        ...

    def to(self, device: torch.device) -> Self:
        """On a device."""
        ...


class SmallScorer:
    """A small model with two towers as a scorer.

    Args:
        model: In eval mode; its batch norms are folded in place.
        tokenizer: The one that it was trained with.
        batch_size: Rows of one forward pass; changes no embedding.
        device: A torch device.
    """

    def __init__(
        self, model: TwoTowers, tokenizer: Tokenizer, batch_size: int, device: torch.device
    ) -> None:
        fold_batch_norm(model.visual)
        self.model = model.eval().to(device)
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.device = device
        self.embedding_dim = model.spec.embedding_dim
        self._images, self._texts = EvenPasses(device), EvenPasses(device)

    @property
    def resizing(self) -> Resizing:
        """To the square of the tower."""
        side = self.model.spec.image_size
        return Resizing("to_square", (side, side, 3), lambda image: to_square([image], side)[0])

    @torch.inference_mode()
    def embed_images(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Unit-length embeddings, shape (n, embedding_dim)."""
        embeddings = np.empty((len(images), self.embedding_dim), np.float32)
        for part in _parts(len(images), self._images.at_once(self.batch_size)):
            pixels = torch.from_numpy(to_square(images[part], self.model.spec.image_size))
            rows = self._images.run(self._encode_image, pixels, self.batch_size, example_pixels)
            embeddings[part] = torch.cat(list(rows)).numpy()
        return embeddings

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit-length embeddings, shape (n, embedding_dim)."""
        embeddings = np.empty((len(texts), self.embedding_dim), np.float32)
        for part in _parts(len(texts), self._texts.at_once(self.batch_size)):
            # The full context always: a trimmed one gives other bits.
            tokens = encode(self.tokenizer, texts[part], self.model.spec.context_length)
            rows = self._texts.run(
                self._encode_text, torch.from_numpy(tokens), self.batch_size, example_tokens
            )
            embeddings[part] = torch.cat(list(rows)).numpy()
        return embeddings

    def _encode_image(self, pixels: Tensor) -> Tensor:
        inputs = pixels_to_input(pixels.to(self.device))
        return self.model.encode_image(inputs, normalize=True).cpu()

    def _encode_text(self, tokens: Tensor) -> Tensor:
        return self.model.encode_text(tokens.to(self.device).long(), normalize=True).cpu()


@dataclass
class SmallState:
    """Keys and values so far, and the tokens that they are of."""

    cache: Cache
    n_tokens: int

    def select(self, rows: Tensor) -> None:
        """Keep `rows`, in that order."""
        self.cache = self.cache.keep(rows)

    def reorder(self, rows: Tensor) -> None:
        """`select` for rows of the same image, whose keys and values stay put."""
        self.cache = self.cache.reordered(rows)


class DecoderSteps:
    """The small decoder, token by token, as the decoding loops take it.

    Args:
        decoder: In eval mode and on the device.
        tokenizer: The one that it was trained with.
        max_tokens: Tokens that will be written at most.
        controls: Tokens beside the vocabulary that come before the text, numbered from 0.
    """

    def __init__(
        self,
        decoder: CaptionDecoder,
        tokenizer: Tokenizer,
        max_tokens: int,
        controls: Sequence[int] = (),
    ) -> None:
        self.decoder = decoder
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.device = decoder.position.device
        self.eos: Sequence[int] = [EOS]
        self.vocabulary = decoder.shape.vocabulary
        self.before = (BOS, *(self.vocabulary + number for number in controls))
        self.room = decoder.shape.context_length - len(self.before)

    def start(self, features: Tensor) -> tuple[Tensor, SmallState]:
        """From the mark of the beginning and the controls alone."""
        room = self.max_tokens + len(self.before) - 1
        state = SmallState(self.decoder.start(features, 1, room), 0)
        logits = features
        for token in self.before:
            logits = self.step(torch.full((len(features),), token, device=self.device), state)
        return logits, state

    def step(self, tokens: Tensor, state: SmallState) -> Tensor:
        """One token on."""
        logits = self.decoder.step(tokens, state.n_tokens, state.cache)
        state.n_tokens += 1
        return logits

    def text(self, tokens: list[int]) -> str:
        """The text without special tokens."""
        return self.tokenizer.decode(tokens)


class SmallModel(DecoderSteps):
    """The small captioner, token by token, as the decoding loops take it.

    Args:
        model: In eval mode and on the device.
        tokenizer: The one that it was trained with.
        max_tokens: Tokens that will be written at most.
        controls: Tokens beside the vocabulary that come before the caption, numbered from 0.
    """

    def __init__(
        self,
        model: SmallCaptionModel,
        tokenizer: Tokenizer,
        max_tokens: int,
        controls: Sequence[int] = (),
    ) -> None:
        super().__init__(model.decoder, tokenizer, max_tokens, controls)
        self.visual = model.visual
        self.image_size = model.tower_spec.image_size

    def prepare(self, image: Image) -> Tensor:
        """The image at the tower's size, normalised."""
        return pixels_to_input(torch.from_numpy(to_square([image], self.image_size)))[0]

    def encode(self, pixels: Tensor) -> Tensor:
        """Image tokens of the frozen tower."""
        return self.visual.tokens(pixels.to(self.device))

    def unconditional(self, features: Tensor) -> Tensor:
        """Zeros, which `condition_dropout` puts in the place of image tokens in training."""
        return torch.zeros_like(features)


class SmallCaptioner:
    """The small captioner; images go through the tower in batches, unlike those of large models.

    Args:
        model: In eval mode; its batch norms are folded in place.
        tokenizer: The one that it was trained with.
        decoding: Strategy, bounds and seed.
        candidates: Captions of each image.
        batch_size: Images of one forward pass; changes no caption.
        device: A torch device.
        controls: Tokens that say how to write, numbered from 0.

    Raises:
        ModelFileError: The decoding asks for more tokens than the model has positions.
        ValueError: More candidates than beams.
    """

    def __init__(
        self,
        model: SmallCaptionModel,
        tokenizer: Tokenizer,
        decoding: Decoding,
        candidates: int,
        batch_size: int,
        device: torch.device,
        controls: Sequence[int] = (),
    ) -> None:
        fold_batch_norm(model.visual)
        on_device = model.eval().to(device)
        self.model = SmallModel(on_device, tokenizer, decoding.max_tokens, controls)
        self.writer = CaptionWriter(self.model, decoding, candidates)
        self.batch_size = batch_size
        self._towers = EvenPasses(device)

    @torch.inference_mode()
    def caption(self, images: Sequence[Image], uids: Sequence[bytes]) -> list[list[Caption]]:
        """Caption each image: for every image its candidates, in order."""
        captions: list[list[Caption]] = []
        for part in batches(images, uids, self._towers.at_once(self.batch_size)):
            pixels = torch.from_numpy(to_square(images[part], self.model.image_size))
            features = self._towers.run(self._tokens, pixels, self.batch_size, example_pixels)
            captions += self.writer.write(torch.cat(list(features)), uids[part], self.batch_size)
        return captions

    def _tokens(self, pixels: Tensor) -> Tensor:
        return self.model.encode(pixels_to_input(pixels.to(self.model.device)))


def _parts(n: int, size: int) -> Iterator[slice]:
    return (slice(first, first + size) for first in range(0, n, size))
