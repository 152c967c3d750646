"""The small rewriter: texts in, a text out, with the captioner's decoder on the inputs' tokens."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from tokenizers import Tokenizer
from torch import Tensor, nn

from recap_assets.engines.decoding.captioner import CaptionWriter
from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.protocols import Caption, Image
from recap_assets.engines.row_counts import EvenPasses, example_tokens
from recap_assets.engines.small.decoder import CaptionDecoder, DecoderShape
from recap_assets.engines.small.inference import DecoderSteps
from recap_assets.engines.small.tokenizer import PAD, encode
from recap_assets.engines.small.towers import TextLayer
from recap_assets.specs.base import Name, Spec
from recap_assets.specs.decoding import Decoding


class RewriterShape(Spec):
    """What the weights of a rewriter fit."""

    inputs: tuple[Name, ...] = Field(min_length=1, max_length=16)
    input_tokens: int = Field(gt=2, le=4_096)
    encoder_layers: int = Field(gt=0, le=128)
    decoder: DecoderShape

    @property
    def cells(self) -> int:
        """Tokens of all inputs."""
        return len(self.inputs) * self.input_tokens


class SmallRewriteModel(nn.Module):
    """A bidirectional encoder over the inputs, one behind the other, and the caption decoder.

    The inputs have the decoder's embeddings: a word that is to be copied looks the same to both.
    """

    def __init__(self, shape: RewriterShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.decoder.width
        self.position = nn.Parameter(torch.empty(shape.cells, width))
        self.layers = nn.ModuleList(TextLayer(width) for _ in range(shape.encoder_layers))
        self.decoder = CaptionDecoder(shape.decoder, width, shape.cells)
        nn.init.normal_(self.position, std=0.02)

    def encode(self, tokens: Tensor) -> Tensor:
        """What the decoder attends to, (n, cells, width), of the inputs' tokens, (n, cells)."""
        real = tokens != PAD
        x = self.decoder.embedding(tokens) + self.position
        for layer in self.layers:
            x = layer(x, real[:, None, None, :])
        return x * real[..., None]

    def forward(self, inputs: Tensor, tokens: Tensor) -> Tensor:
        """Logits (n, length, vocabulary) of the token after each of `tokens`, (n, length)."""
        return self.decoder(self.encode(inputs), tokens)


def input_tokens(
    tokenizer: Tokenizer, shape: RewriterShape, rows: Sequence[Sequence[str]]
) -> NDArray[np.int32]:
    """Token ids of the inputs of each row, shape (n, cells): each input has a part of its own."""
    parts = [
        encode(tokenizer, [row[number] for row in rows], shape.input_tokens)
        for number in range(len(shape.inputs))
    ]
    return np.concatenate(parts, axis=1)


class RewriteSteps(DecoderSteps):
    """The decoder of a rewriter, as the decoding loops take it: with what its encoder read."""

    def __init__(self, model: SmallRewriteModel, tokenizer: Tokenizer, max_tokens: int) -> None:
        super().__init__(model.decoder, tokenizer, max_tokens)
        self.model = model

    def prepare(self, image: Image) -> Tensor:
        """There is none: it reads texts."""
        raise NotImplementedError

    def encode(self, pixels: Tensor) -> Tensor:
        """What the decoder attends to; of tokens, (n, cells), in the place of pixels."""
        return self.model.encode(pixels.to(self.device).long())


class SmallRewriter:
    """The small rewriter; a row has the same texts in any batch and order.

    Args:
        model: In eval mode.
        tokenizer: The one that it was trained with.
        decoding: Strategy, bounds and seed.
        candidates: Texts of each row.
        batch_size: Rows of one forward pass; changes no text.
        device: A torch device.

    Raises:
        ModelFileError: The decoding asks for more tokens than the model has positions, or for
            guidance, which no rewriter has.
        ValueError: More candidates than beams.
    """

    def __init__(
        self,
        model: SmallRewriteModel,
        tokenizer: Tokenizer,
        decoding: Decoding,
        candidates: int,
        batch_size: int,
        device: torch.device,
    ) -> None:
        self.model = model.eval().to(device)
        self.tokenizer = tokenizer
        self.steps = RewriteSteps(self.model, tokenizer, decoding.max_tokens)
        self.writer = CaptionWriter(self.steps, decoding, candidates)
        self.batch_size = batch_size
        self.device = device
        self._passes = EvenPasses(device)

    def check_inputs(self, names: Iterable[str]) -> None:
        """That it learned to read these.

        Raises:
            ModelFileError: It did not.
        """
        known = self.model.shape.inputs
        if unknown := set(names) - set(known):
            msg = f"the rewriter reads {', '.join(known)}, and no {min(unknown)!r}"
            raise ModelFileError(msg)

    @torch.inference_mode()
    def rewrite(
        self, inputs: Sequence[Mapping[str, str]], uids: Sequence[bytes]
    ) -> list[list[Caption]]:
        """For every row its candidates, in order.

        Args:
            inputs: Of each row its texts by name; one that is missing counts as empty.
            uids: One a row.

        Raises:
            ModelFileError: A row has a text that the rewriter did not learn to read.
            ValueError: There is not one uid for each row.
        """
        if len(inputs) != len(uids):
            msg = f"{len(inputs)} rows and {len(uids)} uids"
            raise ValueError(msg)
        shape = self.model.shape
        self.check_inputs({name for row in inputs for name in row})
        texts: list[list[Caption]] = []
        size = self._passes.at_once(self.batch_size)
        for first in range(0, len(inputs), size):
            rows = [[row.get(name, "") for name in shape.inputs] for row in inputs[first:][:size]]
            tokens = torch.from_numpy(input_tokens(self.tokenizer, shape, rows))
            read = self._passes.run(self.steps.encode, tokens, self.batch_size, example_tokens)
            part = uids[first : first + size]
            texts += self.writer.write(torch.cat(list(read)), part, self.batch_size)
        return texts
