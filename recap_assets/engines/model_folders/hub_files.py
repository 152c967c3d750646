"""Where a model's files are on this machine; those of the hub are fetched by name."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

from recap_assets.engines.errors import ModelFileError, NotFetchedError
from recap_assets.engines.model_folders.staging import CONFIG_FILES
from recap_assets.engines.model_folders.weights import INDEX, weight_files


def fetched(repository: str, revision: str | None, names: Sequence[str]) -> Path:
    """The folder of a repository's files with these names or patterns, those that it has.

    Raises:
        Exception: Whatever the hub's library raises where it is not reached.
    """
    return Path(snapshot_download(repository, revision=revision, allow_patterns=list(names)))


def model_folder(
    model: str, revision: str | None, check: Callable[[Path], None] = lambda _folder: None
) -> Path:
    """The folder of a model in transformers' layout: configs, vocabularies and weights alone.

    Args:
        model: A folder, or a repository of the hub.
        revision: Of the repository.
        check: Looks at the configs, before any weights are fetched.

    Raises:
        ModelFileError: There is no such folder.
        ModelFolderError: It has no safetensors, or its index names other files.
        Exception: Whatever the hub's library raises where it is not reached.
    """
    if Path(model).is_dir():
        check(Path(model))
        return Path(model)
    if model.startswith((".", "/", "~")) or model.count("/") > 1:
        msg = f"cannot load {model}: there is no such folder. Correct the path, or put it there"
        raise ModelFileError(msg)
    folder = fetched(model, revision, (*CONFIG_FILES, "*tokenizer/*.json", INDEX))
    check(folder)
    names = ["model.safetensors"]
    if (folder / INDEX).exists():
        names = [path.name for path in weight_files(folder)]
    return fetched(model, revision, names)


@contextmanager
def offline() -> Iterator[None]:
    """Within it nothing is fetched.

    Raises:
        NotFetchedError: A model failed to load since its files are not on this machine.
    """
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    except ModelFileError as error:
        if isinstance(error, NotFetchedError) or not _is_for_lack_of_network(error):
            raise
        raise NotFetchedError(str(error)) from error
    finally:
        constants.HF_HUB_OFFLINE = before


def is_offline() -> bool:
    """Whether the hub is not to be asked, by the user's own setting (HF_HUB_OFFLINE)."""
    return constants.HF_HUB_OFFLINE


def _is_for_lack_of_network(error: BaseException | None) -> bool:
    if error is None:
        return False
    missing = isinstance(error, LocalEntryNotFoundError | OfflineModeIsEnabled)
    return missing or _is_for_lack_of_network(error.__cause__ or error.__context__)
