"""Sampling whose noise is a function of (seed, uid, candidate, position, token) only.

A draw from a softmax is the argmax of its logits plus Gumbel noise, so hashing the noise instead of
drawing it makes a caption independent of batch, order, padding, device and library version.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recap_assets.engines.decoding.restraints import without_end
from recap_assets.engines.even_softmax import log_softmax
from recap_assets.specs.decoding import Decoding

NOT_FINITE = "the model gave logits that are not finite: try precision float32"

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014): a bijection of 64-bit words."""
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))


def row_key(seed: int, uid: bytes, candidate: int) -> int:
    """64 bits that name the random stream of one caption: blake2b of (seed, uid, candidate)."""
    digest = hashlib.blake2b(uid, digest_size=8, key=str(seed).encode())
    digest.update(candidate.to_bytes(4, "little"))
    return int.from_bytes(digest.digest(), "little")


def gumbel_noise(
    keys: NDArray[np.uint64], position: int, tokens: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Standard Gumbel noise of `tokens` at `position` in the streams `keys`, all of shape (n,)."""
    position_word = np.uint64((position + 1) * int(_GOLDEN) & 0xFFFFFFFFFFFFFFFF)
    stream = _mix(keys + position_word)
    word = _mix(stream + (tokens.astype(np.uint64) + np.uint64(1)) * _GOLDEN)
    uniform = ((word >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return -np.log(-np.log(uniform))


class TokenSampler:
    """Chooses the next token of every caption of a batch.

    Rows are image-major: row = image * candidates + candidate.

    Args:
        decoding: Strategy, temperature, top-k, top-p, shortest length and seed. `greedy` ignores
            all but the length.
        uids: One per image.
        candidates: Captions of each image.
        eos: The token or tokens that end a caption; forbidden before `min_tokens`.
        vocabulary: Width of the logits.
    """

    def __init__(
        self,
        decoding: Decoding,
        uids: Sequence[bytes],
        candidates: int,
        eos: int | Sequence[int],
        vocabulary: int,
    ) -> None:
        self.decoding = decoding
        self.eos = sorted({eos} if isinstance(eos, int) else set(eos))
        self.candidates = candidates
        self.n_rows = len(uids) * candidates
        self.vocabulary = vocabulary
        self._keys = np.array(
            [row_key(decoding.seed, uid, n) for uid in uids for n in range(candidates)], np.uint64
        )

    def choose(
        self,
        logits: Tensor,
        position: int,
        rows: Tensor | None = None,
        *,
        own: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The next token of each row and its log-probability.

        Args:
            logits: Shape (rows, vocabulary), float32. Not changed.
            position: Caption tokens written so far, 0 for the first.
            rows: Shape (len(logits),): which rows of the batch these are, where finished ones
                were taken out; all by default.
            own: The model's own logits, where `logits` were changed: by guidance or restraints.

        Returns:
            Token ids, int64 of shape (rows,), and natural-log probabilities under the model's own
            distribution (temperature 1, nothing forbidden), float32 of shape (rows,). Every token
            that ties with the last one kept takes part; greedy breaks ties by the lowest id.

        Raises:
            FloatingPointError: A row has no finite logit, as half precision may give.
        """
        allowed = without_end(logits, position, self.decoding, self.eos)
        if self.decoding.strategy == "greedy":
            ids = allowed.argmax(dim=1)
        else:
            keys = self._keys if rows is None else self._keys[rows.cpu().numpy()]
            ids = self._sample(allowed, position, keys)
        own = logits if own is None else own
        log_probs = log_softmax(own).gather(1, ids[:, None])[:, 0]
        if not torch.isfinite(log_probs).all():
            raise FloatingPointError(NOT_FINITE)
        return ids, log_probs

    def _sample(self, logits: Tensor, position: int, keys: NDArray[np.uint64]) -> Tensor:
        """Gumbel-max over the tokens that are kept; equal sums go to the lowest id."""
        row, token = torch.nonzero(logits >= self._lowest_kept(logits), as_tuple=True)
        value = logits[row, token].double().cpu().numpy() / self.decoding.temperature
        row_np, token_np = row.cpu().numpy(), token.cpu().numpy()
        value = value + gumbel_noise(keys[row_np], position, token_np)
        # Pairs are sorted by row, then token: the first of the highest is the lowest id.
        starts = np.searchsorted(row_np, np.arange(len(logits) + 1))
        if (np.diff(starts) == 0).any():
            raise FloatingPointError(NOT_FINITE)
        best = np.repeat(np.maximum.reduceat(value, starts[:-1]), np.diff(starts))
        winners = np.flatnonzero(value == best)
        _, first = np.unique(row_np[winners], return_index=True)
        return torch.from_numpy(token_np[winners[first]]).to(logits.device)

    def _lowest_kept(self, logits: Tensor) -> Tensor:
        """The smallest logit of each row that top-k and top-p keep, shape (rows, 1)."""
        vocabulary, decoding = logits.shape[1], self.decoding
        k = min(decoding.top_k or vocabulary, vocabulary)
        # Sorting is several times faster than a top-k of everything.
        by_height = logits.sort(descending=True) if k == vocabulary else logits.topk(k)
        top = by_height.values
        if decoding.top_p == 1:
            return top[:, -1:]
        shares = (top.cpu().double() / decoding.temperature).softmax(dim=1)
        # A token is in the nucleus if those before it do not reach top_p already.
        n_kept = (shares.cumsum(dim=1) - shares < decoding.top_p).sum(dim=1, keepdim=True)
        return top.gather(1, n_kept.clamp(min=1).to(top.device) - 1)
