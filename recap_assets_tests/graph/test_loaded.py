"""What importing kinds costs, and what of those that were opened stays in memory."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from recap_assets.captions.kinds.trained import EmbeddedSource
from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.protocols import Places
from recap_assets.graph.loaded import KeptOpen
from recap_assets.graph.project import Project
from recap_assets.scores.kinds.trained import EmbeddedScorer
from recap_assets.specs.base import Spec
from recap_assets.storage.workspace import Workspace
from recap_assets.testing.inputs import Nothing
from recap_assets_tests.captions.opening import load_captioner
from recap_assets_tests.tiny import tiny_experiment


def test_no_kind_imports_torch_before_it_is_used():
    code = (
        "import sys; from recap_assets.specs.kinds import FAMILIES, kinds_of; "
        "[kinds_of(family) for family in FAMILIES]; "
        "sys.exit(', '.join({'torch', 'transformers', 'open_clip'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter
    assert done.returncode == 0, done.stderr


def test_no_kind_is_imported_before_a_file_is_checked():
    code = (
        "import sys, recap_assets.cli.main, recap_assets.specs.loading; "
        "sys.exit(', '.join(name for name in sys.modules if '.kinds.' in name) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter
    assert done.returncode == 0, done.stderr


def test_embedded_models_are_looked_for_in_the_folder_of_models(tmp_path):
    source = EmbeddedSource(kind="embedded", model="captioner_a")
    with pytest.raises(ModelFileError, match=str(tmp_path / "captioner_a")):
        load_captioner(source, tmp_path)
    with pytest.raises(ModelFileError, match=str(tmp_path / "clip_a")):
        EmbeddedScorer(kind="embedded", model="clip_a").open(Nothing(tmp_path))


@dataclass(eq=False)
class Opened:
    """A model; two of them are never equal."""


class Kind(Spec):
    kind: Literal["any"] = "any"
    headers: dict[str, str] = Field(default={})
    trained_model: str | None = None

    def open(self, places: Places) -> Opened:  # noqa: ARG002
        return Opened()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tiny_experiment(), Workspace(tmp_path, "tiny"))


def test_a_model_is_opened_once_for_all_partitions(project: Project) -> None:
    kept = KeptOpen()
    first = kept.opened(project, Kind(headers={"a": "b"}))
    assert kept.opened(project, Kind(headers={"a": "b"})) is first
    assert kept.opened(project, Kind(headers={"a": "c"})) is not first
    assert kept.opened(project, Kind(headers={"a": "b"})) is not first


def test_two_stay_where_two_may(project: Project) -> None:
    kept = KeptOpen(2)
    one, two = (kept.opened(project, Kind(headers={"a": name})) for name in "bc")
    assert kept.opened(project, Kind(headers={"a": "b"})) is one
    kept.opened(project, Kind(headers={"a": "d"}))
    assert kept.opened(project, Kind(headers={"a": "b"})) is one
    assert kept.opened(project, Kind(headers={"a": "c"})) is not two


def test_a_model_that_was_trained_anew_does_not_come_from_memory(project: Project) -> None:
    kept, spec = KeptOpen(), Kind(trained_model="scorer")
    first = kept.opened(project, spec)
    project.workspace.model("scorer").mkdir(parents=True)
    second = kept.opened(project, spec)
    assert second is not first
    assert kept.opened(project, spec) is second
