"""The small models behind the protocols: results that depend on no neighbour in the batch."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from recap_assets.engines.captioning.sampling import TokenSampler
from recap_assets.engines.protocols import BATCH_MULTIPLE, Caption, Image
from recap_assets.engines.small.decoder import SmallCaptionModel
from recap_assets.engines.small.images import to_square
from recap_assets.engines.small.tokenizer import BOS, EOS, encode
from recap_assets.engines.small.towers import ImageTower, SmallClip, pixels_to_input
from recap_assets.specs.decoding import Decoding


def padded(batch: Tensor) -> Tensor:
    """`batch` with copies of its last row, up to a multiple of `BATCH_MULTIPLE` rows."""
    missing = -len(batch) % BATCH_MULTIPLE
    return torch.cat([batch, batch[-1:].expand(missing, *batch.shape[1:])]) if missing else batch


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


class SmallScorer:
    """A small CLIP as a scorer.

    Args:
        model: In eval mode; its batch norms are folded in place.
        tokenizer: The one that it was trained with.
        batch_size: Rows of one forward pass; changes no embedding.
        device: A torch device.
    """

    def __init__(
        self, model: SmallClip, tokenizer: Tokenizer, batch_size: int, device: torch.device
    ) -> None:
        fold_batch_norm(model.visual)
        self.model = model.eval().to(device)
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.device = device
        self.embedding_dim = model.spec.embedding_dim

    @torch.inference_mode()
    def embed_images(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Unit-length embeddings, shape (n, embedding_dim)."""
        embeddings = np.empty((len(images), self.embedding_dim), np.float32)
        for part in _parts(len(images), self.batch_size):
            pixels = torch.from_numpy(to_square(images[part], self.model.spec.image_size))
            inputs = pixels_to_input(padded(pixels).to(self.device))
            rows = self.model.encode_image(inputs, normalize=True)
            embeddings[part] = rows[: len(pixels)].cpu().numpy()
        return embeddings

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit-length embeddings, shape (n, embedding_dim)."""
        embeddings = np.empty((len(texts), self.embedding_dim), np.float32)
        for part in _parts(len(texts), self.batch_size):
            # The full context always: a trimmed one gives other bits.
            tokens = encode(self.tokenizer, texts[part], self.model.spec.context_length)
            inputs = padded(torch.from_numpy(tokens)).to(self.device).long()
            rows = self.model.encode_text(inputs, normalize=True)
            embeddings[part] = rows[: len(tokens)].cpu().numpy()
        return embeddings


class SmallCaptioner:
    """The small captioner, decoding whole batches with cached keys and values.

    Args:
        model: In eval mode; its batch norms are folded in place.
        tokenizer: The one that it was trained with.
        decoding: Strategy, bounds and seed.
        candidates: Captions of each image.
        batch_size: Images of one forward pass; changes no caption.
        device: A torch device.

    Raises:
        ValueError: The decoding asks for more tokens than the model has positions.
    """

    def __init__(
        self,
        model: SmallCaptionModel,
        tokenizer: Tokenizer,
        decoding: Decoding,
        candidates: int,
        batch_size: int,
        device: torch.device,
    ) -> None:
        room = model.decoder.shape.context_length - 1
        if decoding.max_tokens > room:
            msg = f"max_tokens is {decoding.max_tokens}: this captioner writes at most {room}"
            raise ValueError(msg)
        fold_batch_norm(model.visual)
        self.model = model.eval().to(device)
        self.tokenizer = tokenizer
        self.decoding = decoding
        self.candidates = candidates
        self.batch_size = batch_size
        self.device = device

    @torch.inference_mode()
    def caption(self, images: Sequence[Image], uids: Sequence[bytes]) -> list[list[Caption]]:
        """Caption each image: for every image its candidates, in order."""
        if len(images) != len(uids):
            msg = f"{len(images)} images and {len(uids)} uids"
            raise ValueError(msg)
        captions = []
        for part in _parts(len(images), self.batch_size):
            rows = self._caption_rows(images[part], list(uids[part]))
            captions += [
                rows[first : first + self.candidates]
                for first in range(0, len(rows), self.candidates)
            ]
        return captions

    def _caption_rows(self, images: Sequence[Image], uids: list[bytes]) -> list[Caption]:
        pixels = torch.from_numpy(to_square(images, self.model.tower_spec.image_size))
        inputs = pixels_to_input(padded(pixels).to(self.device))
        uids = uids + uids[-1:] * (len(inputs) - len(uids))
        tokens, log_probabilities = self._decode(self.model.visual.tokens(inputs), uids)
        n_rows = len(images) * self.candidates
        n_tokens = (tokens[:n_rows] != EOS).sum(axis=1)
        texts = self.tokenizer.decode_batch(
            [row[:n].tolist() for row, n in zip(tokens, n_tokens, strict=False)]
        )
        limit = self.decoding.max_tokens
        return [
            Caption.decoded(text, float(log_probability), int(n), truncated=bool(n == limit))
            for text, n, log_probability in zip(texts, n_tokens, log_probabilities, strict=False)
        ]

    def _decode(
        self, image_tokens: Tensor, uids: list[bytes]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Tokens (rows, max_tokens), `EOS` from each end on, and log-probabilities (rows,)."""
        decoder, limit = self.model.decoder, self.decoding.max_tokens
        sampler = TokenSampler(self.decoding, uids, self.candidates, EOS, decoder.shape.vocabulary)
        cache = decoder.start(image_tokens, self.candidates, limit)
        n_rows = len(uids) * self.candidates
        written = np.full((n_rows, limit), EOS, np.int64)
        log_probabilities = np.zeros(n_rows)
        rows = torch.arange(n_rows, device=self.device)
        current = torch.full((n_rows,), BOS, device=self.device)
        for position in range(limit):
            logits = decoder.step(current, position, cache)
            current, log_probs = sampler.choose(logits, position, rows)
            alive = written[rows.cpu(), position - 1] != EOS if position else np.ones(n_rows, bool)
            at = rows.cpu().numpy()[alive]
            written[at, position] = current.cpu().numpy()[alive]
            log_probabilities[at] += log_probs.cpu().numpy().astype(np.float64)[alive]
            open_rows = np.flatnonzero(alive & (current.cpu().numpy() != EOS))
            if not len(open_rows):
                break
            kept = _kept(open_rows, len(rows))
            if kept is not None:
                index = torch.from_numpy(kept).to(self.device)
                rows, current, cache = rows[index], current[index], cache.keep(index)
        return written, log_probabilities


def _kept(open_rows: NDArray[np.int64], n_rows: int) -> NDArray[np.int64] | None:
    """Which rows to go on with: the open ones and finished ones up to the batch multiple.

    None where too few are finished to be worth the copying.
    """
    size = -(-len(open_rows) // BATCH_MULTIPLE) * BATCH_MULTIPLE
    if size > 0.75 * n_rows:
        return None
    finished = np.setdiff1d(np.arange(n_rows), open_rows)
    return np.sort(np.concatenate([open_rows, finished[: size - len(open_rows)]]))


def _parts(n: int, batch_size: int) -> Iterator[slice]:
    for first in range(0, n, batch_size):
        yield slice(first, first + batch_size)
