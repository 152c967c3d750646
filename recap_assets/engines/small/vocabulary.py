"""Images and texts as weights of the words of a vocabulary, few of them above zero.

VDR (arXiv 2212.07699): a head gives every position, a cell of the image or a word of the text, a
weight for each word of the vocabulary; the largest over the positions counts, and the `top` words
of a vector are kept. A dimension is a word, so that a vector says what it stands for.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from recap_assets.engines.small.inference import SmallScorer
from recap_assets.engines.small.tokenizer import PAD, UNKNOWN
from recap_assets.engines.small.towers import ImageTower, TextTower
from recap_assets.specs.models import SmallTower

FIRST_BIAS = -2.0
"""Of both heads before the first step: most words begin with a weight of about an eighth."""

Named = list[tuple[str, float]]
"""Words and their weights, the largest first."""


class SmallVocabularyModel(nn.Module):
    """Both towers with heads to the vocabulary in place of their projections."""

    def __init__(self, spec: SmallTower, vocabulary: int, top: int) -> None:
        super().__init__()
        self.spec = spec.model_copy(update={"embedding_dim": vocabulary})
        self.vocabulary, self.top = vocabulary, top
        self.visual, self.text = ImageTower(spec), TextTower(spec, vocabulary)
        for tower in (self.visual, self.text):
            tower.register_module("projection", None)
        self.image_norm = nn.LayerNorm(self.visual.token_dim)
        self.image_head = nn.Linear(self.visual.token_dim, vocabulary)
        self.text_head = nn.Linear(spec.text_width, vocabulary)
        for head in (self.image_head, self.text_head):
            nn.init.constant_(head.bias, FIRST_BIAS)
        self.logit_scale = nn.Parameter(torch.tensor(np.log(1 / 0.07), dtype=torch.float32))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def image_weights(self, image: Tensor) -> Tensor:
        """Weights of all words, (n, vocabulary), of the output of `pixels_to_input`."""
        cells = self.image_norm(self.visual.tokens(image))
        return _of_words(_positive(self.image_head(cells)).amax(1))

    def text_weights(self, text: Tensor) -> Tensor:
        """Weights of all words, (n, vocabulary), of tokens (n, length)."""
        weights = _positive(self.text_head(self.text.states(text)))
        return _of_words((weights * (text != PAD)[..., None]).amax(1))

    def own_words(self, text: Tensor) -> Tensor:
        """1.0 where a text has a token, (n, vocabulary); marks and padding never."""
        words = torch.zeros(len(text), self.vocabulary, device=text.device)
        return _of_words(words.scatter_(1, text, 1.0))

    def sparse(self, weights: Tensor, beside: Tensor | None = None) -> Tensor:
        """The `top` weights of each row, and those where `beside` is above 0; 0 elsewhere."""
        kept = weights.topk(min(self.top, self.vocabulary), dim=1).indices
        mask = torch.zeros_like(weights).scatter_(1, kept, 1.0)
        return weights * (mask if beside is None else torch.maximum(mask, beside))

    def encode_image(self, image: Tensor, normalize: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - open_clip's signature
        """Sparse vectors (n, vocabulary) of the output of `pixels_to_input`."""
        vectors = self.sparse(self.image_weights(image))
        return functional.normalize(vectors, dim=-1) if normalize else vectors

    def encode_text(self, text: Tensor, normalize: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - open_clip's signature
        """Sparse vectors (n, vocabulary) of tokens (n, length); a text's own words are kept."""
        vectors = self.sparse(self.text_weights(text), self.own_words(text))
        return functional.normalize(vectors, dim=-1) if normalize else vectors


class SmallVocabularyScorer(SmallScorer):
    """A vocabulary model as a scorer, that names what it finds in an image or a text."""

    def named(self, vectors: NDArray[np.float32], most: int) -> list[Named]:
        """Words of vectors of shape (n, embedding_dim), above zero, at most `most` each."""
        order = np.argsort(-vectors, axis=1, kind="stable")[:, :most]
        return [self._words(row, ids) for row, ids in zip(vectors, order.tolist(), strict=True)]

    def _words(self, row: NDArray[np.float32], numbers: Sequence[int]) -> Named:
        return [(str(self.tokenizer.id_to_token(n)), float(row[n])) for n in numbers if row[n] > 0]


def _positive(logits: Tensor) -> Tensor:
    """elu(x) + 1, above zero and without an upper end (the paper's elu1p)."""
    return functional.elu(logits) + 1


def _of_words(weights: Tensor) -> Tensor:
    """Without the marks, which begin the vocabulary."""
    return functional.pad(weights[:, UNKNOWN + 1 :], (UNKNOWN + 1, 0))


def words_of(named: Sequence[Named]) -> list[str]:
    """Each as one line: `castle 0.41, red 0.22`."""
    return [", ".join(f"{word} {weight:.2f}" for word, weight in one) for one in named]
