"""The small CLIP: a convolutional image tower and a text transformer of one layer.

It has open_clip's interfaces (`encode_image`, `encode_text`, `logit_scale`), so that open_clip's
loss and the one training loop serve both. open_clip's own narrow ResNets and ViTs reach a third of
its accuracy on drawn images at a budget of minutes (docs/embedded_world.md).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from recap_assets.engines.small.tokenizer import PAD
from recap_assets.specs.models import SmallTower

PATCH = 4
POOLED_SIDE = 2
HEAD_DIM = 32
MLP_RATIO = 2
PIXEL_MEAN = 127.5
PIXEL_STD = 64.0


def pixels_to_input(pixels: Tensor, gain: Tensor | None = None) -> Tensor:
    """Pixels as the image tower takes them.

    Args:
        pixels: uint8, shape (n, height, width, 3).
        gain: Brightness of each image, shape (n,); 1 leaves it as it is.

    Returns:
        float32, shape (n, 3, height, width), channels last in memory, about zero mean and unit
        deviation.
    """
    scaled = pixels.to(torch.float32)
    if gain is None:
        scaled.mul_(1 / PIXEL_STD)
    else:
        scaled.mul_((gain / PIXEL_STD)[:, None, None, None])
    return scaled.sub_(PIXEL_MEAN / PIXEL_STD).permute(0, 3, 1, 2)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm around a shortcut; it may halve the side."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.stride = stride
        self.shortcut = (
            nn.Identity()
            if channels_in == channels_out
            else nn.Conv2d(channels_in, channels_out, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels_in, side, side) to (n, channels_out, side / stride, side / stride)."""
        y = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(y))
        if self.stride > 1:
            x = functional.avg_pool2d(x, self.stride)
        return functional.relu(y + self.shortcut(x), inplace=True)


class ImageTower(nn.Module):
    """Patches of 4x4 pixels, then a residual block a stage, each but the first halving the side."""

    def __init__(self, spec: SmallTower) -> None:
        super().__init__()
        stages = spec.image_stages
        self.stem = nn.Conv2d(3, stages[0], PATCH, PATCH, bias=False)
        self.stem_norm = nn.BatchNorm2d(stages[0])
        inputs = (stages[0], *stages[:-1])
        self.blocks = nn.ModuleList(
            ResidualBlock(i, o, 1 if n == 0 else 2)
            for n, (i, o) in enumerate(zip(inputs, stages, strict=True))
        )
        self.projection = nn.Linear(stages[-1] * POOLED_SIDE**2, spec.embedding_dim)

    def stages(self, x: Tensor) -> list[Tensor]:
        """The output of each stage, (n, channels, side, side), first to last."""
        x = functional.relu(self.stem_norm(self.stem(x)), inplace=True)
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        return outputs

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings (n, embedding_dim) of images (n, 3, side, side), not normalised."""
        pooled = functional.adaptive_avg_pool2d(self.stages(x)[-1], POOLED_SIDE)
        return self.projection(pooled.flatten(1))

    def tokens(self, x: Tensor) -> Tensor:
        """What a decoder attends to: the last two stages on the last one's grid.

        Returns:
            Shape (n, cells of the last grid, `token_dim`): 16 cells for images of 64 pixels.
        """
        *_, fine, last = self.stages(x)
        fine = functional.avg_pool2d(fine, fine.shape[-1] // last.shape[-1])
        return torch.cat([fine, last], dim=1).flatten(2).transpose(1, 2)

    @property
    def token_dim(self) -> int:
        """Channels of a token of `tokens`."""
        return sum(block.conv2.out_channels for block in list(self.blocks)[-2:])  # type: ignore[union-attr]


class SelfAttention(nn.Module):
    """Multi-head attention among the tokens of a text."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = max(1, width // HEAD_DIM)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Attend where `mask`, broadcastable to (n, heads, length, length), is true."""
        n, length, width = x.shape
        q, k, v = self.qkv(x).view(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(y.transpose(1, 2).reshape(n, length, width))


class TextLayer(nn.Module):
    """A pre-norm transformer layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = SelfAttention(width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, MLP_RATIO * width)
        self.down = nn.Linear(MLP_RATIO * width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(n, length, width) to the same shape."""
        x = x + self.attention(self.norm1(x), mask)
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


class TextTower(nn.Module):
    """Tokens to one embedding: transformer layers, then the mean over the text's tokens."""

    def __init__(self, spec: SmallTower, vocabulary: int) -> None:
        super().__init__()
        width = spec.text_width
        self.embedding = nn.Embedding(vocabulary, width)
        self.position = nn.Parameter(torch.empty(spec.context_length, width))
        self.layers = nn.ModuleList(TextLayer(width) for _ in range(spec.text_layers))
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, spec.embedding_dim)
        nn.init.normal_(self.embedding.weight, std=0.3)
        nn.init.normal_(self.position, std=0.02)

    def states(self, tokens: Tensor) -> Tensor:
        """What the layers make of each token, (n, length, text_width); 0 of padding."""
        real = tokens != PAD
        x = self.embedding(tokens) + self.position[: tokens.shape[1]]
        for layer in self.layers:
            x = layer(x, real[:, None, None, :])
        return self.norm(x) * real[..., None]

    def forward(self, tokens: Tensor) -> Tensor:
        """Embeddings (n, embedding_dim) of tokens (n, length), padded with `PAD`."""
        mean = self.states(tokens).sum(1) / (tokens != PAD).sum(1, keepdim=True)
        return self.projection(mean)


class SmallClip(nn.Module):
    """Both towers behind open_clip's interfaces."""

    output_dict: bool = True

    def __init__(self, spec: SmallTower, vocabulary: int) -> None:
        super().__init__()
        self.spec = spec
        self.vocabulary = vocabulary
        self.visual = ImageTower(spec)
        self.text = TextTower(spec, vocabulary)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def encode_image(self, image: Tensor, normalize: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - open_clip's signature
        """Embeddings (n, embedding_dim) of the output of `pixels_to_input`."""
        features = self.visual(image)
        return functional.normalize(features, dim=-1) if normalize else features

    def encode_text(self, text: Tensor, normalize: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - open_clip's signature
        """Embeddings (n, embedding_dim) of tokens (n, length)."""
        features = self.text(text)
        return functional.normalize(features, dim=-1) if normalize else features

    def forward(self, image: Tensor, text: Tensor) -> dict[str, Tensor]:
        """What open_clip's losses take: unit embeddings and the scale of their products."""
        return {
            "image_features": self.encode_image(image, normalize=True),
            "text_features": self.encode_text(text, normalize=True),
            "logit_scale": self.logit_scale.exp(),
        }
