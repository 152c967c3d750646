"""Linear heads over image embeddings, from a safetensors file."""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from recap_assets.engines.errors import ModelFileError, ModelFolderError
from recap_assets.engines.model_folders.weights import read_weights
from recap_assets.scores.of_images.kinds.head.spec import EmbeddingHeadSpec

MAX_NUMBERS = 1 << 26
"""Of a head in all; LAION's largest has a million."""

Layer = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Head:
    """Layers, each a matrix of shape (out, in) and a bias of shape (out,)."""

    layers: tuple[Layer, ...]
    spec: EmbeddingHeadSpec

    def score(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """One number for each embedding.

        Args:
            embeddings: Shape (n, dimension), brought to unit length here: storing them as float16
                moves it a little.

        Returns:
            Shape (n,). Sums are in float64, so that a score does not depend on its neighbours.

        Raises:
            ModelFileError: The head takes embeddings of another width.
        """
        width = self.layers[0][0].shape[1]
        if embeddings.shape[1] != width:
            msg = (
                f"the head {self.spec.weights} takes embeddings of width {width}, and the scorer "
                f"{self.spec.scorer} gives {embeddings.shape[1]}: name the scorer it was made for"
            )
            raise ModelFileError(msg)
        rows = embeddings.astype(np.float64)
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        for number, (weight, bias) in enumerate(self.layers):
            rows = rows @ weight.T + bias
            if self.spec.activation == "relu" and number + 1 < len(self.layers):
                rows = np.maximum(rows, 0)
        scores = rows[:, 0]
        if self.spec.output == "sigmoid":
            scores = 1 / (1 + np.exp(-scores))
        return scores.astype(np.float32)


def load_head(spec: EmbeddingHeadSpec) -> Head:
    """Read a head and check that its layers fit each other.

    Raises:
        ModelFileError: The file is missing, damaged, no safetensors, or its layers do not fit.
    """
    if Path(spec.weights).suffix != ".safetensors":
        msg = (
            f"{spec.weights} is no safetensors file: pickled weights (.pth, .pt) are not opened. "
            "Convert it on a machine that you can spare with safetensors.torch.save_file"
        )
        raise ModelFileError(msg)
    try:
        held = read_weights([Path(spec.weights)])
        if held.n_elements > MAX_NUMBERS:
            msg = f"it holds {held.n_elements:,} numbers, and a head has at most {MAX_NUMBERS:,}"
            raise ValueError(msg)
        tensors = load_file(spec.weights)
    except (OSError, SafetensorError, ValueError, TypeError, ModelFolderError) as error:
        msg = f"cannot load the head {spec.weights}: {error}"
        raise ModelFileError(msg) from error
    names = sorted((n for n in tensors if n.endswith("weight")), key=_natural)
    layers = tuple((_matrix(tensors[n]), _bias(tensors, n)) for n in names)
    _check(spec, layers)
    return Head(layers, spec)


def _natural(name: str) -> list[tuple[int, str]]:
    """Order of names in which layers.10 comes after layers.2."""
    return [(int(part or 0), text) for text, part in re.findall(r"(\D*)(\d*)", name)]


def _matrix(tensor: NDArray[np.generic]) -> NDArray[np.float64]:
    return np.atleast_2d(tensor.astype(np.float64))


def _bias(tensors: dict[str, NDArray[np.generic]], weight: str) -> NDArray[np.float64]:
    bias = tensors.get(f"{weight.removesuffix('weight')}bias")
    rows = _matrix(tensors[weight]).shape[0]
    return np.zeros(rows) if bias is None else bias.astype(np.float64).reshape(-1)


def _check(spec: EmbeddingHeadSpec, layers: tuple[Layer, ...]) -> None:
    shapes = [weight.shape for weight, _ in layers]
    fits = all(len(s) == 2 for s in shapes) and all(
        bias.shape == weight.shape[:1] for weight, bias in layers
    )
    chained = all(before[0] == after[1] for before, after in pairwise(shapes))
    if not layers or not fits or not chained or shapes[-1][0] != 1:
        msg = (
            f"{spec.weights} holds no head: its layers, in the order of their names, have shapes "
            f"{shapes}. Each must take what the one before gives, and the last give one number"
        )
        raise ModelFileError(msg)
