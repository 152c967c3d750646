"""What importing kinds costs, and what of those that were opened stays in memory."""

import gc
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal
from weakref import ReferenceType, ref

import polars as pl
import pytest
import torch
from pydantic import Field

from recap_assets.captions.kinds.trained import EmbeddedSource
from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.protocols import Places
from recap_assets.graph import computing_on
from recap_assets.graph.computing_on import hold_gpus
from recap_assets.graph.loaded import KeptOpen
from recap_assets.graph.node import Node, Rows, Step
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


class Circle(Opened):
    """A model that refers to itself by way of a part, as some of libraries do."""

    def __init__(self) -> None:
        self.part = self.whole

    def whole(self) -> "Circle":
        return self


class Watched(Kind):
    """Notes which models of those before are still in memory when another is opened."""

    opened: ClassVar[list[ReferenceType[Circle]]] = []
    alive: ClassVar[list[int]] = []
    events: ClassVar[list[str]] = []

    def open(self, places: Places) -> Circle:  # noqa: ARG002
        self.alive.append(sum(one() is not None for one in self.opened))
        self.events.append("opened")
        model = Circle()
        self.opened.append(ref(model))
        return model


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Watched]]:
    """No garbage is looked for in between, and a GPU is said to be in use."""
    for name in ("opened", "alive", "events"):
        monkeypatch.setattr(Watched, name, [])
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: Watched.events.append("given back"))
    gc.disable()
    yield Watched
    gc.enable()


def test_a_model_is_gone_before_the_next_is_opened(
    project: Project, watched: type[Watched]
) -> None:
    kept = KeptOpen()
    for name in "abc":
        kept.opened(project, watched(headers={"a": name}))
    assert watched.alive == [0, 0, 0]
    assert watched.events == ["opened", "given back", "opened", "given back", "opened"]


def test_one_too_many_is_gone_where_two_may_stay(project: Project, watched: type[Watched]) -> None:
    kept = KeptOpen(2)
    for name in "abc":
        kept.opened(project, watched(headers={"a": name}))
    assert watched.alive == [0, 1, 1]


def test_another_stage_frees_a_gpu_without_a_lease(
    project: Project, watched: type[Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nvidia-smi is not there, nothing is leased, and torch finds the GPU all the same."""
    monkeypatch.setattr(computing_on, "_last", [])
    kept = KeptOpen()
    captions, scores = (_on_a_gpu(stage) for stage in ("captions", "scores"))
    hold_gpus(captions, Step("0", ""))
    kept.opened(project, watched())
    hold_gpus(captions, Step("1", ""))
    assert watched.opened[0]() is not None
    hold_gpus(scores, Step("0", ""))
    assert watched.opened[0]() is None


def _on_a_gpu(stage: str) -> Node:
    return Node(
        key=stage, stage=stage, dimension="pool", dependencies=(), implementation=1, decides="{}",
        compute=lambda _: Rows(pl.DataFrame()), description="", pool="gpu",
    )  # fmt: skip
