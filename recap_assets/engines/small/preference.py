"""A score learned from preferences: a linear head on the frozen embeddings of image and text."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.model_folders.weights import read_weights
from recap_assets.engines.small.files import CONFIG, WEIGHTS, read_config, write_json, write_weights

PREFERENCE_KIND = "preference_head"


@dataclass(frozen=True)
class PreferenceHead:
    """The score of a pair: a weighted sum of image times text, dimension by dimension, and of text.

    Attributes:
        product: float32, shape (dimension,): weights of image times text.
        text: float32, shape (dimension,): weights of the text alone.
    """

    product: NDArray[np.float32]
    text: NDArray[np.float32]

    def score(self, images: NDArray[np.float32], texts: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores of pairs, shape (n,), on a scale of their own; summed in float64.

        Args:
            images: Unit vectors, shape (n, dimension).
            texts: Likewise.
        """
        both = (images.astype(np.float64) * texts) @ self.product.astype(np.float64)
        return (both + texts.astype(np.float64) @ self.text.astype(np.float64)).astype(np.float32)

    def save(self, directory: Path) -> None:
        """Write config.json and model.safetensors; the config comes last."""
        tensors = {"product": torch.from_numpy(self.product), "text": torch.from_numpy(self.text)}
        write_weights(directory / WEIGHTS, tensors)
        write_json(directory / CONFIG, {"kind": PREFERENCE_KIND, "dimension": len(self.product)})


def read_preference_head(directory: Path, dimension: int) -> PreferenceHead:
    """The head saved in `directory`, for embeddings of a dimension.

    Raises:
        ModelFileError: A file is missing, damaged, of another kind, or of another dimension.
    """
    read_config(directory, PREFERENCE_KIND)
    read_weights([directory / WEIGHTS])
    found = load_file(directory / WEIGHTS)
    names = {name: found.get(name) for name in ("product", "text")}
    for name, values in names.items():
        if values is None or values.shape != (dimension,) or values.dtype != np.float32:
            msg = f"{directory}: {name} is no head on {dimension} numbers: build the model again"
            raise ModelFileError(msg)
    return PreferenceHead(found["product"], found["text"])
