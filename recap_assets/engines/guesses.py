"""What an image takes a model of a known size, for a plan before anything like it was computed.

A guess within a factor of some three: what was measured takes its place.
"""

from functools import lru_cache
from pathlib import Path

from huggingface_hub import constants

from recap_assets.engines.errors import ModelFolderError
from recap_assets.engines.gpus import gpus_here
from recap_assets.engines.model_folders.weights import read_weights, weight_files
from recap_assets.engines.threads import torch_threads

NUMBERS = 1e9
"""Weights of a model of which nothing is on this machine yet."""

PER_THREAD, PER_GPU = 25e9, 150e12
"""Operations a second: of float32 on a core of today, and a fifth of what an H200 does of bfloat16,
which is what captioners reach there (docs/benchmarks.md)."""

_GIGA = {
    "ViT-B-32": 9.0, "ViT-B-16": 35.0, "ViT-L-14-336": 382.0, "ViT-L-14": 162.0,
    "ViT-H-14": 335.0, "ViT-g-14": 535.0, "ViT-bigG-14": 967.0, "RN50": 12.0,
}  # fmt: skip
_OTHERS = 100.0
_PER_BYTE = 100.0
"""Of a ViT-L-14's files in float32, which have 1.7 GB."""
LOCAL = "local-dir:"
"""Begins the name of a folder."""


def image_tower(model: str) -> float:
    """Operations for an image of a model of open_clip, by its name, or by the size of its files."""
    if model.startswith(LOCAL):
        files = Path(model.removeprefix(LOCAL)).glob("*.safetensors")
        return _PER_BYTE * sum(file.stat().st_size for file in files)
    found = (operations for name, operations in _GIGA.items() if name in model)
    return next(found, _OTHERS) * 1e9


def seconds_of(operations: float, device: str) -> float:
    """Seconds of so many operations.

    Args:
        operations: Multiplications and additions, counted one by one.
        device: As the field of a kind: `auto`, `cpu`, `cuda:1`.
    """
    on_gpu = device != "cpu" and bool(gpus_here())
    return operations / (PER_GPU if on_gpu else PER_THREAD * torch_threads())


@lru_cache(maxsize=64)
def numbers_of(model: str, revision: str | None = None) -> float:
    """Weights of a model in transformers' layout, by the headers of its files; nothing is fetched.

    Args:
        model: A folder, or a repository of the hub.
        revision: Of the repository.
    """
    folder = Path(model) if Path(model).is_dir() else _fetched(model, revision)
    if folder is None:
        return NUMBERS
    try:
        return float(read_weights(weight_files(folder)).n_elements)
    except ModelFolderError:
        return NUMBERS  # whoever opens it says what is wrong


def _fetched(repository: str, revision: str | None) -> Path | None:
    """Where the hub's library keeps a repository; None where it was not fetched."""
    name = f"models--{repository.replace('/', '--')}"
    snapshots = Path(constants.HF_HUB_CACHE) / name / "snapshots"
    if revision is not None and (snapshots / revision).is_dir():
        return snapshots / revision
    there = [path for path in snapshots.glob("*") if path.is_dir()]
    return max(there, key=lambda path: path.stat().st_mtime, default=None)
