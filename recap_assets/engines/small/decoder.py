"""The small captioner: a transformer decoder that attends to the tokens of a frozen image tower."""

from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from recap_assets.engines.small.tokenizer import BOS, PAD
from recap_assets.engines.small.towers import HEAD_DIM, MLP_RATIO, ImageTower
from recap_assets.specs.base import Spec
from recap_assets.specs.models import SmallTower

CONTEXT_LENGTH = 64
"""Tokens that a caption may have, the marks included."""


class DecoderShape(Spec):
    """What the weights of a decoder fit."""

    width: int
    layers: int
    vocabulary: int
    context_length: int = CONTEXT_LENGTH
    controls: int = Field(
        default=0,
        ge=0,
        le=4_096,
        exclude_if=lambda n: n == 0,
        description="Tokens beside the vocabulary that say how to write; none of them is written.",
    )


@dataclass
class Cache:
    """Keys and values of one batch, a pair of tensors a layer.

    Attributes:
        image: Of the image tokens, each (rows, heads, cells, head dim).
        text: Of the caption so far, each (rows, heads, room, head dim).
    """

    image: list[tuple[Tensor, Tensor]]
    text: list[tuple[Tensor, Tensor]]

    def keep(self, rows: Tensor) -> "Cache":
        """The cache of some of the rows."""
        return Cache(
            [(k[rows], v[rows]) for k, v in self.image], [(k[rows], v[rows]) for k, v in self.text]
        )

    def reordered(self, rows: Tensor) -> "Cache":
        """The cache with captions of other rows of the same image in the place of each."""
        return Cache(self.image, [(k[rows], v[rows]) for k, v in self.text])


class DecoderLayer(nn.Module):
    """Pre-norm self-attention, cross-attention, MLP."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = max(1, width // HEAD_DIM)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.self_qkv = nn.Linear(width, 3 * width)
        self.self_out = nn.Linear(width, width)
        self.cross_q = nn.Linear(width, width)
        self.cross_kv = nn.Linear(width, 2 * width)
        self.cross_out = nn.Linear(width, width)
        self.up = nn.Linear(width, MLP_RATIO * width)
        self.down = nn.Linear(MLP_RATIO * width, width)

    def split(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """(n, length, parts * width) to `parts` tensors (n, heads, length, head dim)."""
        n, length, _ = x.shape
        return x.view(n, length, parts, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)

    def mlp(self, x: Tensor) -> Tensor:
        """Add the MLP; any shape that ends in the width."""
        return x + self.down(functional.gelu(self.up(self.norm3(x))))

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """Whole captions at once, each token seeing those before it; (n, length, width)."""
        q, k, v = self.split(self.self_qkv(self.norm1(x)), 3)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.self_out(y.transpose(1, 2).flatten(2))
        (q,) = self.split(self.cross_q(self.norm2(x)), 1)
        k, v = self.split(self.cross_kv(memory), 2)
        y = functional.scaled_dot_product_attention(q, k, v)
        return self.mlp(x + self.cross_out(y.transpose(1, 2).flatten(2)))

    def step(
        self, x: Tensor, position: int, image: tuple[Tensor, Tensor], text: tuple[Tensor, Tensor]
    ) -> Tensor:
        """One token of each row, (rows, width); its key and value are put into `text`."""
        rows = len(x)
        q, k, v = self.self_qkv(self.norm1(x)).view(rows, 3, self.heads, -1).unbind(1)
        keys, values = text
        keys[:, :, position] = k
        values[:, :, position] = v
        x = x + self.self_out(attend(q, keys[:, :, : position + 1], values[:, :, : position + 1]))
        q = self.cross_q(self.norm2(x)).view(rows, self.heads, -1)
        return self.mlp(x + self.cross_out(attend(q, *image)))


def attend(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention of one query a row, whose bits depend on no other row.

    The fused kernel gives other bits in other batches where it runs on several threads.

    Args:
        query: Shape (rows, heads, head dim).
        keys: Shape (rows, heads, length, head dim).
        values: Shape (rows, heads, length, head dim).

    Returns:
        Shape (rows, heads * head dim).
    """
    scores = (query[:, :, None] * keys).sum(-1) * query.shape[-1] ** -0.5
    return (scores.softmax(-1)[..., None] * values).sum(2).flatten(1)


class CaptionDecoder(nn.Module):
    """Image tokens and the caption so far to the logits of the next token."""

    def __init__(self, shape: DecoderShape, token_dim: int, cells: int) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.memory_norm = nn.LayerNorm(token_dim)
        self.memory_in = nn.Linear(token_dim, width)
        self.memory_position = nn.Parameter(torch.empty(cells, width))
        self.embedding = nn.Embedding(shape.vocabulary + shape.controls, width)
        self.position = nn.Parameter(torch.empty(shape.context_length, width))
        self.layers = nn.ModuleList(DecoderLayer(width) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, shape.vocabulary)
        nn.init.normal_(self.embedding.weight, std=0.3)
        nn.init.normal_(self.position, std=0.02)
        nn.init.normal_(self.memory_position, std=0.02)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def memory(self, image_tokens: Tensor) -> Tensor:
        """Image tokens (n, cells, token_dim) to (n, cells, width)."""
        return self.memory_in(self.memory_norm(image_tokens)) + self.memory_position

    def forward(self, image_tokens: Tensor, tokens: Tensor) -> Tensor:
        """Logits (n, length, vocabulary) of the token after each of `tokens`, (n, length)."""
        memory = self.memory(image_tokens)
        x = self.embedding(tokens) + self.position[: tokens.shape[1]]
        for layer in self.layers:
            x = layer(x, memory)
        return self.head(self.norm(x))

    def start(self, image_tokens: Tensor, candidates: int, room: int) -> Cache:
        """The cache before the first token.

        Args:
            image_tokens: Shape (images, cells, token_dim).
            candidates: Captions of each image; row = image * candidates + candidate.
            room: Tokens that will be put in.
        """
        memory = self.memory(image_tokens)
        image, text = [], []
        for layer in self.layers:
            keys, values = (
                part.repeat_interleave(candidates, dim=0).contiguous()
                for part in layer.split(layer.cross_kv(memory), 2)  # type: ignore[operator, union-attr]
            )
            image.append((keys, values))
            rows, heads, _, dim = keys.shape
            text.append(tuple(keys.new_zeros(rows, heads, room, dim) for _ in range(2)))
        return Cache(image, text)

    def step(self, tokens: Tensor, position: int, cache: Cache) -> Tensor:
        """Logits (rows, vocabulary) after the token of each row, (rows,), at `position`.

        The marks for padding and for the beginning are never offered.
        """
        x = self.embedding(tokens) + self.position[position]
        for layer, image, text in zip(self.layers, cache.image, cache.text, strict=True):
            x = layer.step(x, position, image, text)  # type: ignore[operator]
        logits = self.head(self.norm(x))
        logits[:, [PAD, BOS]] = -torch.inf
        return logits


class SmallCaptionModel(nn.Module):
    """A frozen image tower and its decoder."""

    def __init__(self, tower: SmallTower, shape: DecoderShape) -> None:
        super().__init__()
        self.tower_spec = tower
        self.visual = ImageTower(tower)
        self.decoder = CaptionDecoder(shape, self.visual.token_dim, cells_of(tower))


def cells_of(tower: SmallTower) -> int:
    """Image tokens of one image: the cells of the tower's last grid."""
    return (tower.image_size // (4 * 2 ** (len(tower.image_stages) - 1))) ** 2
