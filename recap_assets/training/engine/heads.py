"""The head of a decoder before its first step."""

import numpy as np
import torch
from numpy.typing import NDArray

from recap_assets.engines.small.decoder import CaptionDecoder
from recap_assets.engines.small.tokenizer import PAD


@torch.no_grad()
def start_from_frequencies(decoder: CaptionDecoder, tokens: NDArray[np.int32]) -> None:
    """Set the head's biases to the log-frequencies of `tokens`, shape (n, length).

    Training then begins at the unigram entropy, and tokens that no caption has are not sampled:
    few steps would not push thousands of them down.
    """
    counts = np.bincount(tokens[:, 1:].ravel(), minlength=decoder.shape.vocabulary).astype(float)
    counts[PAD] = 0
    frequencies = (counts + 1e-3) / (counts + 1e-3).sum()
    decoder.head.bias.copy_(torch.from_numpy(np.log(frequencies)))
