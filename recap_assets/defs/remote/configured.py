"""The workers that a dagster.yaml names, read without Dagster."""

import os
from pathlib import Path
from typing import cast

import yaml

from recap_assets.defs.remote.settings import RemoteSettingError, checked_address
from recap_assets.specs.yaml_text import MAX_BYTES
from recap_assets.untrusted.files import read_bounded

LAUNCHER = ("recap_assets.defs.remote.launcher", "WorkersRunLauncher")


def configured_workers(path: Path) -> str | None:
    """The address that a dagster.yaml gives to `WorkersRunLauncher`; None where it gives none.

    Raises:
        RemoteSettingError: The file cannot be read, or says no address.
    """
    if not path.exists():
        return None
    launcher = _mapping(_mapping(_content(path)).get("run_launcher"))
    if (launcher.get("module"), launcher.get("class")) != LAUNCHER:
        return None
    named = _mapping(launcher.get("config")).get("workers")
    variable = _mapping(named).get("env")
    address = named if variable is None else os.environ.get(str(variable))
    if isinstance(address, str):
        return checked_address(address, f"{path}: workers")
    what = "no text" if variable is None else f"of the variable {variable}, which is not set here"
    msg = f"{path}: the address of run_launcher.config.workers is {what}"
    raise RemoteSettingError(msg)


def _content(path: Path) -> object:
    try:
        return yaml.safe_load(read_bounded(path, MAX_BYTES))
    except (OSError, ValueError, yaml.YAMLError) as error:
        msg = f"{path}: it cannot be read, so that its workers are not known: {error}"
        raise RemoteSettingError(msg) from error


def _mapping(value: object) -> dict[object, object]:
    return cast("dict[object, object]", value) if isinstance(value, dict) else {}
