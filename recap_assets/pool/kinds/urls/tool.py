"""Where img2dataset is, and how it gets there.

Its pins (webdataset < 0.3, pandas < 3, opencv < 5, albumentations < 2) clash with this project's,
so it has an environment of its own.
"""

import os
import subprocess
import sys
from pathlib import Path

from recap_assets.shards.files import PoolError

VARIABLE = "RECAP_IMG2DATASET"
FOLDER = ".venv-img2dataset"
PINS = Path(__file__).with_name("constraints-img2dataset.txt")
COMMAND = "recap install-img2dataset"


class ToolMissingError(PoolError):
    """img2dataset is not installed where it is expected."""


def default_environment() -> Path:
    """Beside the environment that this Python runs in."""
    return Path(sys.prefix).parent / FOLDER


def find_python() -> Path:
    """The Python of img2dataset's environment.

    Raises:
        ToolMissingError: There is none.
    """
    named = os.environ.get(VARIABLE)
    executable = Path(named) if named else default_environment() / "bin" / "img2dataset"
    # An executable may be a link out of its environment (pipx); a Python is one into the system's.
    folder = (executable.resolve() if executable.is_file() else executable).parent
    python = next((folder / n for n in ("python", "python3") if (folder / n).exists()), None)
    if not executable.is_file() or python is None:
        where = f"{VARIABLE} names {executable}, and" if named else f"{executable}:"
        msg = (
            f"{where} there is no img2dataset with its Python beside it. `{COMMAND}` (or `make "
            f"tools`) installs it in an environment of its own; {VARIABLE} names another executable"
        )
        raise ToolMissingError(msg)
    return python


def install(folder: Path) -> None:
    """Make the environment from the pinned list, without wandb, and try it.

    Args:
        folder: The environment; one that is there is brought up to date.

    Raises:
        subprocess.CalledProcessError: pip or the trial failed; its words are on the terminal.
    """
    python = folder / "bin" / "python"
    if not _has_pip(python):
        # Over one that was interrupted while it was made, too.
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)  # noqa: S603 - fixed words
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip.append("--no-compile")  # most of it is never imported
    # The list is whole, and leaves out what img2dataset only needs for reporting to a service.
    subprocess.run([*pip, "--no-deps", "--requirement", str(PINS)], check=True)  # noqa: S603 - as above
    trial = [str(python), "-c", "import albumentations, cv2, pandas"]
    subprocess.run(trial, check=True, env=quiet())  # noqa: S603 - as above


def _has_pip(python: Path) -> bool:
    if not python.exists():
        return False
    words = [str(python), "-m", "pip", "--version"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0  # noqa: S603 - fixed words


def quiet() -> dict[str, str]:
    """The environment variables for img2dataset: nothing in it looks for news on the network."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "WANDB"))}
    return {**kept, "NO_ALBUMENTATIONS_UPDATE": "1", "WANDB_MODE": "disabled"}
