"""Whether a model, a file or a library can be loaded, for `recap doctor`."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec

from recap_assets.engines.errors import DeviceError, ModelFileError, NotFetchedError
from recap_assets.specs.findings import Finding
from recap_assets.specs.requirements import pip_install


def tried(where: str, model: str, load: Callable[[], object], found: str = "loads") -> Finding:
    """Load a model that is on this machine; one that is not is left to the build to fetch.

    Args:
        where: Its part of the experiment.
        model: What it is called.
        load: Loads it, or as much of it as can be tried.
        found: What is known of the model where that goes well.
    """
    # The hub's library takes half a second, and kinds import this module.
    from recap_assets.engines.model_folders.hub_files import is_offline, offline  # noqa: PLC0415
    from recap_assets.engines.model_folders.weight_limits import bytes_beyond  # noqa: PLC0415

    before = bytes_beyond()
    try:
        with offline():
            load()
    except NotFetchedError as error:
        if is_offline():
            return False, f"{where}: {error}"
        why = "is not on this machine, and doctor fetches nothing: the build will"
        return True, f"{where}: {model} {why}"
    except (ModelFileError, DeviceError) as error:
        return False, f"{where}: {error}"
    if n_bytes := bytes_beyond() - before:
        weights = f"its {n_bytes / 2**30:,.1f} GiB of weights were checked by their headers"
        how = "and not loaded: `recap doctor --load` does"
        return True, f"{where}: {model} can be opened; {weights}, {how}"
    return True, f"{where}: {model} {found}"


def lacking(where: str, extra: str, *libraries: str) -> Iterator[Finding]:
    """Libraries of an extra that a build would import and that are not installed."""
    missing = [library for library in libraries if find_spec(library) is None]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        command = pip_install(f"recap-assets[{extra}]")
        yield False, f"{where}: {' and '.join(missing)} {are} not installed; run `{command}`"


def readable(
    where: str, what: str, load: Callable[[], object], refused: type[Exception]
) -> Finding:
    """Load what is in files; `refused` is what it raises where that is wrong."""
    try:
        load()
    except refused as error:
        return False, f"{where}: {error}"
    return True, f"{where}: {what} loads"
