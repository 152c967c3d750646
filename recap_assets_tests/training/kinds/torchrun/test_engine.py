"""open_clip's own trainer, started by torchrun: recipe, figures, resumption, the saved model."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from recap_assets.engines.trained import load_trained_clip
from recap_assets.training.kinds.torchrun import TorchrunTraining
from recap_assets.training.kinds.torchrun.engine import (
    RUN,
    Point,
    TrainerError,
    curve_of,
    final_checkpoint,
    read_point,
    save_trained,
    train,
)
from recap_assets.training.kinds.torchrun.engine import trainer_arguments as arguments_of
from recap_assets.training.kinds.torchrun.starting import TRAINER, World, words_here, world_of
from recap_assets_tests.training.kinds.torchrun.small import tiny, training, write_shards

LINE = (
    "2026-11-21,13:00:00 | INFO | Train Epoch: 1 [ 16/24 (67%)] Data (t): 0.001 Batch (t): 1.694, "
    "4.7224/s, 4.7224/s/gpu LR: 0.000050 Logit Scale: 14.282 "
    "Contrastive_loss: 2.3491 (2.2123) Loss: 2.3491 (2.2123)"
)


def trainer_arguments(
    recipe: TorchrunTraining, data: list[str], seed: int, folder: Path
) -> list[str]:
    return arguments_of(recipe, data, seed, folder, world_of(recipe))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return write_shards(tmp_path_factory.mktemp("shards"))


@pytest.mark.parametrize(
    ("scale", "model", "batch", "rate", "seen", "warmup", "beta2"),
    [  # DataComp's scale_configs.py
        ("debug", "ViT-B-32", 1_024, 1e-4, 128_000, 500, 0.98),
        ("small", "ViT-B-32", 4_096, 5e-4, 12_800_000, 500, 0.98),
        ("medium", "ViT-B-32", 4_096, 5e-4, 128_000_000, 500, 0.98),
        ("large", "ViT-B-16", 8_192, 5e-4, 1_280_000_000, 500, 0.98),
        ("xlarge", "ViT-L-14", 90_112, 1e-3, 12_800_000_000, 10_000, 0.95),
    ],
)
def test_the_recipe_of_each_scale(
    tmp_path: Path, scale: str, model: str, batch: int, rate: float, seen: int, warmup: int,
    beta2: float,
) -> None:  # fmt: skip
    data = ["--train-data", "/shards/a.tar", "--dataset-type", "webdataset"]
    words = trainer_arguments(training(scale=scale), data, 7, tmp_path)
    assert words[: len(data)] == data
    options = dict(word.removeprefix("--").split("=") for word in words if "=" in word)
    flags = {word for word in words[len(data) :] if "=" not in word}
    assert options.items() >= {
        "model": model, "batch-size": str(batch), "lr": str(rate), "warmup": str(warmup),
        "beta2": str(beta2), "train-num-samples": str(seen // 5), "epochs": "5", "seed": "7",
        "resume": "latest",
    }.items()  # fmt: skip
    assert flags == {
        "--dataset-resampled", "--local-loss", "--gather-with-grad", "--grad-checkpointing",
        "--ddp-static-graph", "--save-most-recent",
    }  # fmt: skip


def test_what_changes_the_speed_only_decides_nothing() -> None:
    quick = training(workers=9, processes=8, accumulation=2, torchrun_arguments=["--nnodes=2"])
    quick = quick.model_copy(update={"gradient_checkpointing": False})
    assert quick.decides() == training().decides()
    assert training(batch_size=512).decides() != training().decides()


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match=r"batch_size 1024 is not shared evenly by 1"):
        trainer_arguments(training(accumulation=3), ["--train-data", "a"], 0, tmp_path)


@pytest.mark.parametrize(
    ("asked", "samples", "given"),
    [
        (1, 40, "1"),
        (2, 40, "1"),
        (4, 40, "1"),
        (5, 40, "5"),
        (2, 48, "2"),
        (4, 48, "3"),
        (4, 46, "3"),
    ],
)
def test_loaders_divide_the_batches_so_that_none_is_added(
    tmp_path: Path, asked: int, samples: int, given: str
) -> None:
    """Two checkpoints of 5 or 6 batches of 4."""
    recipe = tiny(samples_seen=samples, workers=asked)
    words = trainer_arguments(recipe, ["--train-data", "a"], 0, tmp_path)
    assert f"--workers={given}" in words


def test_loaders_divide_the_parts_that_accumulation_makes(tmp_path: Path) -> None:
    recipe = tiny(samples_seen=40, workers=4, accumulation=2)
    assert "--workers=2" in trainer_arguments(recipe, ["--train-data", "a"], 0, tmp_path)


@pytest.mark.parametrize(
    ("cores", "gpus", "given"),
    [(16, 1, "15"), (16, 2, "7"), (2, 1, "1"), (1, 1, "1"), (96, 1, "30")],
)
def test_on_gpus_loaders_follow_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, gpus: int, given: str
) -> None:
    """420 batches, which all numbers of loaders here divide but 31 and 32."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    recipe = tiny(samples_seen=420 * 4, checkpoints=1, workers="auto")
    assert f"--workers={given}" in trainer_arguments(recipe, ["--train-data", "a"], 0, tmp_path)


def test_activations_are_kept_where_memory_is_enough(tmp_path: Path) -> None:
    words = trainer_arguments(
        tiny(gradient_checkpointing=False), ["--train-data", "a"], 0, tmp_path
    )
    assert "--grad-checkpointing" not in words


def test_one_process_is_started_without_torchrun() -> None:
    trainer = [*TRAINER, "arguments.json"]
    assert words_here(tiny(), world_of(tiny()), trainer) == trainer
    several = tiny(torchrun_arguments=["--nnodes=2", "--rdzv-endpoint=host:29500"])
    assert words_here(several, world_of(several), trainer) == [
        "-m", "torch.distributed.run", "--nnodes=2", "--rdzv-endpoint=host:29500",
        "--nproc-per-node=1", *trainer,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "n"),
    [(["--nnodes=4"], 4), (["--nnodes", "2"], 2), (["--nnodes=2", "--nnodes=8"], 8), ([], 1)],
)
def test_all_machines_share_the_batch_of_the_recipe(
    tmp_path: Path, words: list[str], n: int
) -> None:
    """1,024 pairs a step, however many machines there are; each counted as this one."""
    recipe = training(torchrun_arguments=[*words, "--rdzv-endpoint=host:29500"])
    assert world_of(recipe).size == n
    given = trainer_arguments(recipe, ["--train-data", "a"], 0, tmp_path)
    assert f"--batch-size={1024 // n}" in given


def test_processes_of_all_machines_and_loaders_of_each(tmp_path: Path) -> None:
    recipe = training(samples_seen=1_024 * 420, checkpoints=1)
    world = World(n_machines=4, n_processes=8, n_cores=96, on_gpu=True)
    given = arguments_of(recipe, ["--train-data", "a"], 0, tmp_path, world)
    assert {"--batch-size=32", "--device=cuda", "--precision=amp", "--workers=10"} <= set(given)


def test_figures_of_a_line() -> None:
    assert read_point(LINE) == Point(40, 2.3491, 5e-5, 4.7224)
    assert read_point(LINE.replace("Loss: 2.3491 ", "Loss: nan ")).loss != 0  # type: ignore[union-attr]
    assert read_point("2026-11-21 | INFO | Start epoch 1") is None


@pytest.mark.long(reason="open_clip's trainer in a process of its own")
def test_a_trainer_that_fails_says_why_in_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match="no-such-model") as told:
        train(tiny(model="no-such-model"), ["--train-data", "/nowhere"], 0, tmp_path, print)
    assert "torch.distributed.elastic" not in str(told.value)


@pytest.mark.long(reason="open_clip's trainer, killed and started again")
def test_a_killed_run_goes_on_from_its_checkpoint_and_the_model_is_loaded(
    shards: list[str], tmp_path: Path
) -> None:
    folder, recipe = tmp_path / "run", tiny()
    kill_after_first_checkpoint(folder, recipe, shards)
    points: list[Point] = []
    train(recipe, shards, 0, folder, points.append)
    assert min(point.samples_seen for point in points) > 8
    log = (folder / RUN / "out.log").read_text()
    assert "=> resuming checkpoint" in log
    curve = curve_of(recipe, folder)
    assert [point.samples_seen for point in curve] == [4, 8, 12, 16]
    save_trained(recipe, folder, tmp_path / "model")
    scorer = load_trained_clip(tmp_path / "model", 4)
    unit = scorer.embed_texts(["a photo", "a drawing"])
    assert np.allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-5)
    assert json.loads((tmp_path / "model" / "open_clip_config.json").read_text())["model_cfg"]


def kill_after_first_checkpoint(folder: Path, recipe: TorchrunTraining, shards: list[str]) -> None:
    """Start a run in a process of its own and kill that: what it started ends as well."""
    code = (
        "from pathlib import Path\n"
        "from recap_assets.training.kinds.torchrun.engine import train\n"
        "from recap_assets.training.kinds.torchrun import TorchrunTraining\n"
        f"recipe = TorchrunTraining.model_validate_json({recipe.model_dump_json()!r})\n"
        f"train(recipe, {shards!r}, 0, Path({str(folder)!r}), print)\n"
    )
    process = subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, "-c", code], cwd=Path(__file__).parents[4]
    )
    latest = folder / RUN / "checkpoints" / "epoch_latest.pt"
    deadline = time.monotonic() + 300
    while not latest.exists():
        assert process.poll() is None, "it ended"
        assert time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.05)
    started = psutil.Process(process.pid).children(recursive=True)
    assert started
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(started, timeout=300)
    assert not alive
    assert not final_checkpoint(recipe, folder).exists()
