"""A model of transformers from what was checked of its folder; no code of the repository's."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, GenerationConfig
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import convert_and_load_state_dict_in_model
from transformers.modeling_utils import LoadStateDictConfig
from transformers.utils import GENERATION_CONFIG_NAME, logging

from recap_assets.engines.devices import dtype_of
from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.model_folders.skeletons import check_skeleton
from recap_assets.engines.model_folders.staging import stage_model
from recap_assets.engines.model_folders.weight_limits import is_beyond
from recap_assets.engines.model_folders.weights import read_shapes, read_weights, weight_files
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


class CheckedFolder:
    """A model's folder whose files were checked, and the one that the library reads in its place.

    Args:
        folder: The model's own.
        staged: An empty one, which then holds what was checked of its own.

    Raises:
        ModelFolderError: A file is damaged, or asks for what no model is given.
    """

    def __init__(self, folder: Path, staged: Path) -> None:
        self._folder, self._staged, self._files = folder, staged, weight_files(folder)
        self._weights = read_weights(self._files)
        raw = stage_model(folder, staged, self._files, self._weights.n_tensors)
        self._is_packed = "quantization_config" in raw

    def skeleton(self, build: Callable[[], nn.Module]) -> Any:  # noqa: ANN401 - one of many classes
        """The model that `build` makes of its config, without memory for weights.

        Raises:
            ModelFolderError: It is larger than its files.
        """
        config = self._folder / "config.json"
        return check_skeleton(config, build, self._weights, is_packed=self._is_packed)

    def model(
        self,
        skeleton: Any,  # noqa: ANN401
        read: Callable[..., Any],
        **options: Any,  # noqa: ANN401 - the library's own
    ) -> tuple[Any, list[str]]:
        """The model in eval mode, and what of its own config its files lack.

        Args:
            skeleton: What `skeleton` gave: it is the model where weights are beyond the limit.
            read: `from_pretrained` of its class, which would fill a gap with random numbers.
            options: For `read`.

        Returns:
            The model, and names of tensors that are missing or of another shape.
        """
        if is_beyond(self._weights):
            self._read_generation(skeleton)
            lacking = [] if self._is_packed else _lacking(skeleton, read_shapes(self._files))
            return skeleton.eval(), lacking
        with quietly():
            model, report = read(
                self._staged, use_safetensors=True, output_loading_info=True, **options, **OPTIONS
            )
        wrong = map(str, report["mismatched_keys"])
        return model.eval(), sorted(report["missing_keys"]) + sorted(wrong)

    def _read_generation(self, skeleton: Any) -> None:  # noqa: ANN401
        if (self._staged / GENERATION_CONFIG_NAME).exists() and skeleton.can_generate():
            config = GenerationConfig.from_pretrained(self._staged, local_files_only=True)
            skeleton.generation_config = config


def _lacking(skeleton: Any, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:  # noqa: ANN401
    """Names of the model's tensors that none of these fills, as the library itself renames them.

    `from_pretrained` reads no weights on the meta device either, but only where accelerate is
    installed; this is the part of it that matches names and shapes.
    """
    given = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    renamed: Any = get_model_conversion_mapping(skeleton)
    how = LoadStateDictConfig(device_map={"": "meta"}, dtype=skeleton.dtype, weight_mapping=renamed)
    with quietly():
        report, _ = convert_and_load_state_dict_in_model(skeleton, given, how)
    # A matrix that is used twice is in the files once.
    skeleton.tie_weights(missing_keys=report.missing_keys, recompute_mapping=False)
    skeleton._adjust_missing_and_unexpected_keys(report)  # noqa: SLF001 - it has no public name
    mismatched = map(str, report.mismatched_keys)
    return sorted(report.missing_keys) + sorted(mismatched) + sorted(report.conversion_errors)


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
    checked = CheckedFolder(folder, staged)
    config = AutoConfig.from_pretrained(staged, **OPTIONS)
    skeleton = checked.skeleton(lambda: build(config))
    model, lacking = checked.model(skeleton, read, dtype=dtype_of(precision))
    missing = [name for name in lacking if not (unused and name.startswith(unused))]
    if missing:
        msg = f"{folder} lacks tensors of its own config: {', '.join(missing[:8])}. {ADVICE}"
        raise ModelFileError(msg)
    return model
