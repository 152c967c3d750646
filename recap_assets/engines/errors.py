"""What the engines raise when a model cannot be used."""

from collections.abc import Iterator
from contextlib import contextmanager

from recap_assets.untrusted.errors import RecapError

INSTALL_FILTERS = "Install the libraries of the filters: pip install 'recap-assets[filters]'"


class ModelFileError(RecapError, RuntimeError):
    """A model is missing, damaged, or of another kind than the experiment says.

    The message names the model, what was tried and what to do about it.
    """


class DeviceError(RecapError, RuntimeError):
    """The experiment asks for a device that this machine does not have."""


class CaptionServerError(RecapError, RuntimeError):
    """A captioning server cannot be used, or was lost: nothing that is asked would be answered.

    The message names the server, what it said and what to do about it; never the key.
    """


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
    except (ModelFileError, DeviceError, MemoryError):
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        reason = lines[0].rstrip(".")
        msg = f"cannot load {model}: {reason} ({type(error).__name__}). {advice}"
        raise ModelFileError(msg) from error
