"""`dg` scaffolds, checks and lists the component in a project of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recap_assets_tests.defs.test_component import COMPONENT, OWN, PYPROJECT

pytest.importorskip("dagster_dg_cli")
pytestmark = pytest.mark.long(reason="each command of dg is a process that loads definitions")

NAME = "teams_data"
LOADED = """
from pathlib import Path

import dagster as dg

@dg.definitions
def defs() -> dg.Definitions:
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
"""

Dg = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def dg_in_project(tmp_path: Path) -> Dg:
    """Runs `dg` in a project that has an asset and an executor of its own."""
    defs = tmp_path / NAME / "defs"
    defs.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT.format(name=NAME))
    for folder in (tmp_path / NAME, defs):
        (folder / "__init__.py").touch()
    (tmp_path / NAME / "definitions.py").write_text(LOADED)
    (defs / "own.py").write_text(OWN)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(tmp_path), *filter(None, sys.path))),
        "DG_CLI_CONFIG": str(tmp_path / "user" / "dg.toml"),
        "DAGSTER_HOME": str(tmp_path / "user"),  # Not ours, which `make` sets.
        "DAGSTER_DISABLE_TELEMETRY": "yes",
    }
    # What `dg` keeps of the user, which would otherwise be the developer's own.
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "dg.toml").write_text("[cli.telemetry]\nenabled = false\n")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own words
            [sys.executable, "-m", "dagster_dg_cli.cli", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_a_scaffolded_experiment_is_checked_and_listed(dg_in_project: Dg, tmp_path: Path) -> None:
    made = dg_in_project("scaffold", "defs", COMPONENT, "images")
    assert made.returncode == 0, made.stderr
    folder = tmp_path / NAME / "defs" / "images"
    assert {path.name for path in folder.iterdir()} == {"defs.yaml", "experiment.yaml"}
    checked = dg_in_project("check", "yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    listed = dg_in_project("list", "defs", "--json")
    assert listed.returncode == 0, listed.stderr
    keys = {asset["asset_key"] for asset in json.loads(listed.stdout)["assets"]}
    assert {"shipped_to_training", "curated_mixes/raw", "report"} <= keys


def test_an_attribute_that_there_is_not_is_refused(dg_in_project: Dg, tmp_path: Path) -> None:
    folder = tmp_path / NAME / "defs" / "images"
    folder.mkdir()
    (folder / "defs.yaml").write_text(f"type: {COMPONENT}\nattributes: {{experimnt: x.yaml}}\n")
    checked = dg_in_project("check", "yaml")
    assert checked.returncode == 1
    assert "experimnt" in checked.stdout + checked.stderr
