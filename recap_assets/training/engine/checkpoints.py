"""Checkpoints of a training run: one safetensors file, written whole or not at all."""

import json
import logging
import os
from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from recap_assets.engines.errors import ModelFolderError
from recap_assets.engines.model_folders.weights import read_weights
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_text import parse_json

MAX_PROGRESS_BYTES = 16 * 2**20
"""Of what a checkpoint says beside its tensors; a curve has about 40 points."""

_LOG = logging.getLogger(__name__)


def write_checkpoint(
    path: Path, tensors: dict[str, Tensor], progress: dict[str, Any], run: str
) -> None:
    """Replace the checkpoint at `path`; a crash leaves the old one or the new one.

    Args:
        path: The file.
        tensors: Everything that training continues from.
        progress: Plain values beside them, as JSON.
        run: Names the run; `read_checkpoint` takes no other run's checkpoint.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        content = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(content, temporary, {"run": run, "progress": json.dumps(progress)})
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_checkpoint(path: Path, run: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Tensors and progress, or None where there is nothing to resume from.

    A file that cannot be read is renamed to `<name>.corrupt` with a warning; another run's is left
    to be overwritten.
    """
    if not path.exists():
        return None
    try:
        read_weights([path])
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("run") != run:
                _LOG.warning("%s belongs to another run: training starts from zero", path)
                return None
            progress = _progress(metadata["progress"])
            return {name: file.get_tensor(name) for name in file.keys()}, progress  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, KeyError, ValueError, ModelFolderError) as error:
        aside = path.with_name(f"{path.name}.corrupt")
        path.replace(aside)
        _LOG.warning(
            "%s cannot be read (%s): set aside as %s, training starts from zero",
            path,
            error,
            aside.name,
        )
        return None


def _progress(text: str) -> dict[str, Any]:
    found = parse_json(text.encode(), MAX_PROGRESS_BYTES)
    if not isinstance(found, dict):
        msg = "it has no progress"
        raise UntrustedError(msg)
    return cast("dict[str, Any]", found)
