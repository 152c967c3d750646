"""What a model that nothing was computed with is expected to take, by its size alone."""

import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from recap_assets.assembly.graph import build_graph
from recap_assets.captions.kinds.transformers import TransformersSource
from recap_assets.captions.rewriters.kinds.transformers import TransformersRewriter
from recap_assets.engines import guesses
from recap_assets.engines.guesses import NUMBERS, image_tower, numbers_of, seconds_of
from recap_assets.graph.project import Project
from recap_assets.scores.kinds.open_clip import OpenClipScorer
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.tiny import tiny_experiment

MILLIONS = 39


@pytest.fixture(autouse=True)
def on_one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECAP_THREADS", "1")
    monkeypatch.setattr(guesses, "gpus_here", tuple)
    numbers_of.cache_clear()


def write_weights(path: Path, millions: int) -> None:
    """A safetensors file of zeros, which take no place on the disk."""
    n_bytes = 2 * millions * 1_000_000
    tensor = {"dtype": "F16", "shape": [millions, 1_000_000], "data_offsets": [0, n_bytes]}
    header = json.dumps({"w": tensor}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + n_bytes)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_weights(tmp_path / "model" / "model.safetensors", MILLIONS)
    return tmp_path / "model"


def test_weights_are_counted_by_headers(model: Path, tmp_path: Path) -> None:
    assert numbers_of(str(model)) == MILLIONS * 1e6
    parts = tmp_path / "parts"
    for name, millions in (("a.safetensors", 2), ("b.safetensors", 3)):
        write_weights(parts / name, millions)
    index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    (parts / "model.safetensors.index.json").write_text(json.dumps(index))
    assert numbers_of(str(parts)) == 5e6


def test_what_is_not_here_or_damaged_has_a_typical_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "none"))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"\xff" * 100)
    for name in ("someone/blip2", str(tmp_path / "model"), str(tmp_path)):
        assert numbers_of(name) == NUMBERS


def test_a_repository_that_was_fetched_is_counted_at_its_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    snapshots = tmp_path / "models--someone--blip2" / "snapshots"
    write_weights(snapshots / "old" / "model.safetensors", 2)
    assert numbers_of("someone/blip2") == 2e6
    write_weights(snapshots / "new" / "model.safetensors", 4)
    assert numbers_of("someone/blip2", "old") == 2e6
    assert numbers_of("someone/blip2", "new") == 4e6


def test_a_gpu_is_expected_to_be_quicker_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    on_cpu = seconds_of(1e15, "auto")
    monkeypatch.setattr(guesses, "gpus_here", lambda: ("GPU-1",))
    assert seconds_of(1e15, "cpu") == on_cpu
    assert seconds_of(1e15, "auto") == seconds_of(1e15, "cuda:0") < on_cpu / 100
    monkeypatch.setenv("RECAP_THREADS", "4")
    assert seconds_of(1e15, "cpu") == on_cpu / 4


def test_a_captioner_s_first_guess_grows_with_its_model(model: Path) -> None:
    one = TransformersSource(kind="transformers", model=str(model))
    two = one.model_copy(update={"candidates": 2})
    assert one.seconds_per_image == pytest.approx(0.003 + 300 * MILLIONS * 1e6 / 25e9)
    assert two.seconds_per_image == pytest.approx(2 * one.seconds_per_image)
    rewriter = TransformersRewriter(kind="transformers", model=str(model))
    assert rewriter.seconds_per_text > 0.1


def test_a_clip_s_first_guess_is_by_its_name_or_its_files(model: Path) -> None:
    small, large = (
        OpenClipScorer(kind="open_clip", model=name, pretrained="openai").seconds_per_image
        for name in ("ViT-B-32", "ViT-L-14")
    )
    assert 10 * small < large
    assert image_tower(f"local-dir:{model}") == pytest.approx(100 * 2e6 * MILLIONS, rel=0.01)
    assert image_tower("ViT-L-14-336") > image_tower("ViT-L-14") > image_tower("unheard-of")


def test_a_plan_expects_hours_of_a_large_model_on_a_core(model: Path, tmp_path: Path) -> None:
    source = {"kind": "transformers", "model": str(model)}
    mixes = {"blip": [{"use": "blip"}]}
    experiment = tiny_experiment(sources={"blip": source}, mixes=mixes, report={})
    graph = build_graph(Project(experiment, Workspace(tmp_path / "data", "tiny")))
    node = graph.nodes["synthetic_captions/blip"]
    assert node.seconds == pytest.approx(471, abs=1)
    assert node.seconds_are_of == 1_000
