"""A model of transformers from what was checked of its folder; no code of the repository's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn
from transformers import AutoConfig
from transformers.utils import logging

from recap_assets.engines.devices import dtype_of
from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.model_folders.skeletons import check_skeleton
from recap_assets.engines.model_folders.staging import stage_model
from recap_assets.engines.model_folders.weights import read_weights, weight_files
from recap_assets.specs.running import Precision

OPTIONS: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
"""How every file of a model is read: from the folder here, and no code of it is ever run."""

ADVICE = (
    "On a machine with network: `hf download MODEL --local-dir FOLDER`, then give FOLDER as the "
    "model. Only safetensors are read."
)


@contextmanager
def quietly() -> Iterator[None]:
    """Within it transformers reads weights without a bar of its own, and without warnings.

    A bar would run through that of a build. What the library warns of is what the caller checks:
    tensors that are missing or of another shape.
    """
    verbosity, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if had_bars:
            logging.enable_progress_bar()


def read_staged(
    folder: Path,
    staged: Path,
    build: Callable[[Any], nn.Module],
    read: Callable[..., Any],
    precision: Precision,
    *,
    unused: str = "",
) -> Any:  # noqa: ANN401 - one of many classes of transformers
    """The model in eval mode, by way of a folder that then holds what was checked of its own.

    Args:
        folder: The model's own.
        staged: An empty one.
        build: Makes the model of a config, without weights.
        read: `from_pretrained` of its class.
        precision: Of the weights.
        unused: What names of tensors begin with that may be missing; "" for none.

    Raises:
        ModelFolderError: A file is damaged, or asks for what no model is given.
        ModelFileError: Tensors of its own config are missing.
    """
    files = weight_files(folder)
    weights = read_weights(files)
    raw = stage_model(folder, staged, files, weights.n_tensors)
    config = AutoConfig.from_pretrained(staged, **OPTIONS)
    is_packed = "quantization_config" in raw
    check_skeleton(folder / "config.json", lambda: build(config), weights, is_packed=is_packed)
    with quietly():
        model, report = read(
            staged,
            dtype=dtype_of(precision),
            use_safetensors=True,
            output_loading_info=True,
            **OPTIONS,
        )
    missing = sorted(
        name for name in report["missing_keys"] if not (unused and name.startswith(unused))
    )
    if missing:
        msg = f"{folder} lacks tensors of its own config: {', '.join(missing[:8])}. {ADVICE}"
        raise ModelFileError(msg)
    return model.eval()
