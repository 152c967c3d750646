"""The folder that vLLM loads: what was checked of a model's own, and no code."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recap_assets.captions.kinds.vllm.spec import VllmSpec
from recap_assets.engines.errors import ModelFileError, explain_loading
from recap_assets.engines.model_folders.hub_files import model_folder
from recap_assets.engines.model_folders.staging import stage_model, staging
from recap_assets.engines.model_folders.weights import read_weights, weight_files

NOT_INSTALLED = (
    "vLLM is not installed in this environment. It needs Linux with a GPU, and pins torch: `pip "
    "install vllm` and see that `recap doctor` still passes, or keep it in an environment of its "
    "own and use `recap serve-captioner` with kind openai"
)
ADVICE = (
    "See what vLLM printed above. Only safetensors are read, and no code of a model is run: the "
    "model must be one that vLLM itself knows"
)


@contextmanager
def staged_folder(source: VllmSpec) -> Iterator[Path]:
    """A folder of the model's checked configs and links to its weights, while it is used.

    Raises:
        ModelFileError: A file is missing, damaged, or asks for what no model is given.
    """
    if source.model.startswith((".", "/", "~")) and not Path(source.model).is_dir():
        msg = f"cannot load {source.model}: there is no such folder"
        raise ModelFileError(msg)
    with explain_loading(source.model, ADVICE):
        folder = model_folder(source.model, source.revision)
        files = weight_files(folder)
        n_tensors = read_weights(files).n_tensors
    with staging(source.model) as staged:
        with explain_loading(source.model, ADVICE):
            stage_model(folder, staged, files, n_tensors)
        yield staged


def checked(source: VllmSpec) -> None:
    """Look through a model's files, and load nothing.

    Raises:
        ModelFileError: As `staged_folder`.
    """
    with staged_folder(source):
        pass
