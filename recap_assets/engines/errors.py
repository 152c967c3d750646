"""What the engines raise when a model cannot be used."""

from collections.abc import Iterator
from contextlib import contextmanager

from recap_assets.specs.requirements import pip_install
from recap_assets.untrusted.errors import RecapError
from recap_assets.untrusted.showing import one_line


class ModelFileError(RecapError, RuntimeError):
    """A model is missing, damaged, or of another kind than the experiment says.

    The message names the model, what was tried and what to do about it.
    """


class ModelFolderError(ModelFileError):
    """A file of a model's folder is damaged, or asks for what no model is given.

    The message names the file, the key and its value; which model it is, the loader adds.
    """


class NotFetchedError(ModelFileError):
    """A model is not on this machine, and nothing is to be fetched now."""


class DeviceError(RecapError, RuntimeError):
    """The experiment asks for a device that this machine does not have."""


class CaptionServerError(RecapError, RuntimeError):
    """A captioning server cannot be used, or was lost: nothing that is asked would be answered.

    The message names the server, what it said and what to do about it; never the key.
    """

    may_pass = True


def install_filters() -> str:
    """What to do where a library of the filters is missing."""
    return f"Install the libraries of the filters: {pip_install('recap-assets[filters]')}"


@contextmanager
def explain_loading(model: str, advice: str) -> Iterator[None]:
    """Turn whatever a model library raises inside into a `ModelFileError`.

    Libraries answer a missing or damaged file with exceptions of a dozen unrelated types.

    Args:
        model: What the experiment file calls the model.
        advice: What the user can do.
    """
    try:
        yield
    except ModelFolderError as error:
        msg = f"cannot load {model}: {str(error).rstrip('.')}. {advice}"
        raise ModelFileError(msg) from error
    except (ModelFileError, DeviceError, MemoryError):
        raise
    except BaseException as error:
        # A panic in a library of Rust's is no `Exception`.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        if isinstance(error, ImportError) and not error.name:
            # No module was missing: the library says itself what it asks to be installed.
            raise ModelFileError(f"cannot load {model}: {one_line(str(error))}") from error
        lines = str(error).strip().splitlines() or [type(error).__name__]
        reason = one_line(lines[0].rstrip("."))
        msg = f"cannot load {model}: {reason} ({type(error).__name__}). {advice}"
        raise ModelFileError(msg) from error
