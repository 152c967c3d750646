"""Which experiment file is meant where none is named."""

import tomllib
from pathlib import Path
from typing import cast

from recap_assets.specs.loading import DEMO, OWN, SHIPPED, ExperimentError
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.files import read_bounded

PYPROJECT = Path("pyproject.toml")
MAX_PYPROJECT_BYTES = 2**20
WORDS = {"demo": DEMO, "smoke": SHIPPED / "smoke.yaml"}
"""Words that name what is shipped, as in `recap -e demo`, where no file is called so."""
DATA = "data"


def named_experiment(path: Path) -> Path:
    """The file that was named; `demo` and `smoke` are shipped."""
    return path if path.exists() else WORDS.get(str(path), path)


def default_experiment() -> Path:
    """The file that is taken where none is named, in the folder where one stands.

    `experiment.yaml`, else what `[tool.recap]` of pyproject.toml names, else the demo where there
    is nothing but data.

    Raises:
        ExperimentError: There is none, and the folder is not empty; or pyproject.toml is unusable.
    """
    if OWN.is_file():
        return OWN
    if PYPROJECT.is_file() and (own := _of_pyproject()) is not None:
        return own
    if all(one.name == DATA or one.name.startswith(".") for one in Path().iterdir()):
        return DEMO
    msg = (
        f"there is no experiment in {Path.cwd()}. Name one with -e FILE or RECAP_EXPERIMENT, or as "
        "`experiment` in [tool.recap] of pyproject.toml; `recap init` writes experiment.yaml; "
        "`-e demo` is the shipped demo"
    )
    raise ExperimentError(msg)


def _of_pyproject() -> Path | None:
    try:
        content = tomllib.loads(read_bounded(PYPROJECT, MAX_PYPROJECT_BYTES).decode())
    except (OSError, UntrustedError, ValueError) as error:
        msg = f"{PYPROJECT}: cannot be read: {error}"
        raise ExperimentError(msg) from error
    tools: object = content.get("tool")
    given: object = (
        cast("dict[str, object]", tools).get("recap") if isinstance(tools, dict) else None
    )
    if given is None:
        return None
    path = cast("dict[str, object]", given).get("experiment") if isinstance(given, dict) else None
    if not isinstance(path, str) or len(cast("dict[str, object]", given)) > 1:
        msg = f"{PYPROJECT}: [tool.recap] has one key, `experiment`, the path of a file"
        raise ExperimentError(msg)
    return named_experiment(Path(path))
