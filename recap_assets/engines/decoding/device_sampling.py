"""The sampler of `sampling.py` with fixed shapes, for a device that is never waited for.

It keeps the same tokens and adds the same noise: the draw is integer arithmetic, which wraps alike
in int64 and uint64. Two things are floating-point: the logarithms of the noise, float64 in either
library, and the shares of a nucleus. A last bit of either decides a token in one of some 10^13.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recap_assets.engines.decoding.sampling import row_key
from recap_assets.engines.even_softmax import log_softmax, softmax
from recap_assets.specs.decoding import Decoding

TIES = 78
"""Tokens beyond top-k that may tie with the last one kept: bfloat16 has few values. More of them
are reported, and the batch is written by the loop that takes any number."""

_WORD = 1 << 64
_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB


class Choice(NamedTuple):
    """The next token of each row.

    Attributes:
        ids: Int64 of shape (rows,).
        log_probs: Under the model's own distribution, float32 of shape (rows,); not finite where
            the row has no finite logit.
        is_cut: Where more tokens tie with the last one kept than were taken, bool of shape (rows,).
    """

    ids: Tensor
    log_probs: Tensor
    is_cut: Tensor


class DeviceSampler:
    """Chooses the next token of every row, as `TokenSampler` does.

    Args:
        decoding: Of strategy `sample` or `greedy`.
        eos: Tokens that end a caption.
        vocabulary: Width of the logits.
        device: Where.
    """

    def __init__(
        self, decoding: Decoding, eos: Sequence[int], vocabulary: int, device: torch.device
    ) -> None:
        self.decoding = decoding
        self.eos = sorted(set(eos))
        self._vocabulary = vocabulary
        self._ends = torch.tensor(self.eos, device=device)
        self._k = min(decoding.top_k or vocabulary, vocabulary)
        self._width = min(self._k + TIES, vocabulary)
        # By a tensor: a GPU divides by a number of the host's by multiplying with its reciprocal.
        self._temperature = torch.tensor(decoding.temperature, dtype=torch.float64, device=device)

    def choose(self, logits: Tensor, position: int, keys: Tensor) -> Choice:
        """The next token of each row.

        Args:
            logits: Shape (rows, vocabulary), float32. Not changed.
            position: Caption tokens written so far, 0 for the first.
            keys: The rows' streams, see `stream_keys`.
        """
        allowed = self._without_end(logits, position)
        if self.decoding.strategy == "greedy":
            ids, is_cut = allowed.argmax(dim=1), torch.zeros_like(keys, dtype=torch.bool)
        else:
            ids, is_cut = self._sample(allowed, position, keys)
        log_probs = log_softmax(logits).gather(1, ids[:, None])[:, 0]
        return Choice(ids, log_probs, is_cut)

    def is_for(self, decoding: Decoding, eos: Sequence[int], vocabulary: int) -> bool:
        """Whether one made of these would choose the same tokens."""
        wanted = (decoding, sorted(set(eos)), vocabulary)
        return wanted == (self.decoding, self.eos, self._vocabulary)

    def is_end(self, ids: Tensor) -> Tensor:
        """Where a token ends its caption."""
        return (ids[:, None] == self._ends).any(dim=1)

    def _without_end(self, logits: Tensor, position: int) -> Tensor:
        if position >= self.decoding.min_tokens:
            return logits
        return logits.index_fill(1, self._ends, -torch.inf)

    def _sample(self, logits: Tensor, position: int, keys: Tensor) -> tuple[Tensor, Tensor]:
        vocabulary = logits.shape[1]
        is_whole = self._width == vocabulary
        # Sorting is several times faster than a top-k of everything.
        by_height = logits.sort(descending=True) if is_whole else logits.topk(self._width)
        values, tokens = by_height.values, by_height.indices
        is_kept = values >= self._lowest_kept(values)
        sums = values.double() / self._temperature + device_noise(keys, position, tokens)
        sums = sums.masked_fill(~is_kept, -torch.inf)
        is_best = sums == sums.amax(dim=1, keepdim=True)
        ids = torch.where(is_best, tokens, vocabulary - 1).amin(dim=1)
        cut = is_kept[:, -1] if not is_whole else torch.zeros_like(is_kept[:, -1])
        return ids, cut

    def _lowest_kept(self, values: Tensor) -> Tensor:
        """The smallest logit that top-k and top-p keep, shape (rows, 1); `values` are sorted."""
        top = values[:, : self._k]
        if self.decoding.top_p == 1:
            return top[:, -1:]
        shares = softmax(top.double() / self._temperature)
        # A token is in the nucleus if those before it do not reach top_p already.
        is_in = shares.cumsum(dim=1) - shares < self.decoding.top_p
        return top.gather(1, is_in.sum(dim=1, keepdim=True).clamp(min=1) - 1)


def stream_keys(seed: int, uids: Sequence[bytes], candidates: int) -> Tensor:
    """The streams of the captions of some images, image-major, as int64 of the same 64 bits."""
    words = [row_key(seed, uid, n) for uid in uids for n in range(candidates)]
    return torch.from_numpy(np.array(words, np.uint64).view(np.int64))


def device_noise(keys: Tensor, position: int, tokens: Tensor) -> Tensor:
    """`gumbel_noise` of tokens, shape (rows, n), in the streams `keys`, int64 of shape (rows,)."""
    stream = _mix(keys + _signed((position + 1) * _GOLDEN))[:, None]
    word = _mix(stream + (tokens + 1) * _signed(_GOLDEN))
    uniform = (_shifted(word, 11).double() + 0.5) * 2.0**-53
    return -torch.log(-torch.log(uniform))


def _mix(state: Tensor) -> Tensor:
    """The finaliser of splitmix64, as `sampling._mix`."""
    state = (state ^ _shifted(state, 30)) * _signed(_MIX_1)
    state = (state ^ _shifted(state, 27)) * _signed(_MIX_2)
    return state ^ _shifted(state, 31)


def _shifted(words: Tensor, n: int) -> Tensor:
    """Shifted right as unsigned words are: zeros come in from the left."""
    return (words >> n) & ((1 << (64 - n)) - 1)


def _signed(word: int) -> int:
    """The int64 of the same 64 bits."""
    word %= _WORD
    return word - _WORD if word >= _WORD // 2 else word
