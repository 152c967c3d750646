"""open_clip's own trainer, started by torchrun on exported shards, as DataComp's train.py does.

The recipe is the scale's (`spec.py`); the flags are those that DataComp fixes: shards
drawn with replacement, local loss with gathered gradients, checkpointed activations, static graph.
"""

import json
import os
import pickle
import re
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from recap_assets.engines.gpus import HELD
from recap_assets.engines.threads import torch_threads
from recap_assets.engines.trained import image_side
from recap_assets.storage.files import write_atomically
from recap_assets.training.engine.curve import CURVE_POINTS, CurvePoint
from recap_assets.training.engine.open_clip_trainee import OpenClipTrainee
from recap_assets.training.kinds.torchrun.spec import ALONE, TorchrunSpec
from recap_assets.untrusted.errors import RecapError

RUN = "run"
LAST_LINES = 30
LOADERS, MOST_LOADERS = 5, 32
"""Loader processes of one process by default: without a GPU, and at most with one."""

# open_clip's own reporting stays off: `training.track` reports from this process, which knows which
# run it is.
_ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "WANDB_MODE": "disabled"}
_FAILED = "failed (exitcode: "
_CHATTER = re.compile(r"I\d{4} ")
"""torch's own log of compilation, which it prints when a process ends."""

_LINE = re.compile(
    r"Train Epoch: (?P<epoch>\d+) \[\s*(?P<done>\d+)/(?P<of>\d+) .*?"
    r"(?P<rate>[\d.e+]+)/s, .*?LR: (?P<rate_now>[\d.e+-]+) .*? Loss: (?P<loss>[\d.e+-]+|nan|inf) "
)


class TrainerError(RecapError, RuntimeError):
    """open_clip's trainer ended with an error."""


@dataclass(frozen=True)
class Point:
    """One line of the trainer's log.

    Attributes:
        samples_seen: Pairs seen since the start of the run.
        loss: Contrastive loss of the last step, nats.
        learning_rate: Of the last step.
        samples_per_second: Over all processes.
    """

    samples_seen: int
    loss: float
    learning_rate: float
    samples_per_second: float


def trainer_arguments(
    training: TorchrunSpec, data: Sequence[str], seed: int, folder: Path
) -> list[str]:
    """The arguments of open_clip's trainer.

    Args:
        training: Recipe and machine.
        data: What is trained on, as open_clip is given it: --train-data and what goes with it.
        seed: Of this run.
        folder: Where it keeps its log and its checkpoints, and resumes from them.

    Raises:
        TrainerError: Several processes without GPUs, or a batch that they cannot share.
    """
    processes, device = _processes(training), "cuda" if torch.cuda.is_available() else "cpu"
    per_process, rest = divmod(training.batch_size, processes * training.accumulation)
    if rest or not per_process:
        msg = (
            f"training.batch_size {training.batch_size} is not shared evenly by {processes} "
            f"processes of {training.accumulation} forward passes: change batch_size, processes "
            "or accumulation"
        )
        raise TrainerError(msg)
    samples = -(-training.samples_seen // training.checkpoints)
    steps = -(-samples // training.batch_size)
    options = {
        "train-num-samples": samples, "epochs": training.checkpoints,
        "model": training.model, "batch-size": per_process, "accum-freq": training.accumulation,
        "lr": training.learning_rate, "beta2": training.beta2, "warmup": training.warmup_steps,
        "precision": training.precision if device == "cuda" else "fp32", "device": device,
        "workers": _workers(training, per_process * processes, samples), "seed": seed,
        "logs": folder, "name": RUN,
        "save-frequency": 0, "resume": "latest",
        "log-every-n-steps": max(1, steps * training.checkpoints // CURVE_POINTS),
    }  # fmt: skip
    flags = ["dataset-resampled", "save-most-recent", "local-loss", "gather-with-grad"]
    flags += ["grad-checkpointing"] * training.gradient_checkpointing + ["ddp-static-graph"]
    # What is said last counts: samples of one checkpoint, and not of the data.
    said = (f"--{name}={value}" for name, value in options.items())
    return [*data, *said, *(f"--{flag}" for flag in flags)]


def train(
    training: TorchrunSpec,
    data: Sequence[str],
    seed: int,
    folder: Path,
    on_point: Callable[[Point], None],
) -> None:
    """Train to the end; a run that was killed continues from its last checkpoint.

    Args:
        training: Recipe and machine.
        data: What is trained on, as open_clip is given it: --train-data and what goes with it.
        seed: Of this run.
        folder: Where the run keeps its log and checkpoints.
        on_point: Told every line of its log that has figures.

    Raises:
        TrainerError: The trainer ended with an error; its last lines are in the message.
    """
    arguments = folder / "arguments.json"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(
        arguments, json.dumps(trainer_arguments(training, data, seed, folder)).encode()
    )
    command = _command(training, arguments)
    last: deque[str] = deque(maxlen=LAST_LINES)
    failed = False
    for line in _lines_of(command):
        if not failed and not _CHATTER.match(line):
            last.append(line)
        # What follows is torchrun's own traceback.
        failed = failed or _FAILED in line
        if point := read_point(line):
            on_point(point)
    if not final_checkpoint(training, folder).exists():
        raise TrainerError(_explain(last))


def read_point(line: str) -> Point | None:
    """The figures of a line of the trainer's log; None where it has none."""
    if not (match := _LINE.search(line)):
        return None
    samples = int(match["epoch"]) * int(match["of"]) + int(match["done"])
    loss, rate = float(match["loss"]), float(match["rate_now"])
    return Point(samples, loss, rate, float(match["rate"]))


def curve_of(training: TorchrunSpec, folder: Path) -> list[CurvePoint]:
    """The whole run's curve by its log, also what was trained before it was resumed."""
    points: dict[int, Point] = {}
    for line in (folder / RUN / "out.log").read_text(errors="replace").splitlines():
        if point := read_point(line):
            # What was done again after a crash counts as it went then.
            points = {seen: old for seen, old in points.items() if seen < point.samples_seen}
            points[point.samples_seen] = point
    peak = training.learning_rate
    return [
        CurvePoint(seen // training.batch_size, seen, point.loss, point.learning_rate / peak)
        for seen, point in points.items()
    ]


def final_checkpoint(training: TorchrunSpec, folder: Path) -> Path:
    """Where the trainer leaves the model when it is done."""
    return folder / RUN / "checkpoints" / f"epoch_{training.checkpoints}.pt"


def save_trained(training: TorchrunSpec, folder: Path, directory: Path) -> None:
    """Write the trained model as open_clip's own folder, in safetensors.

    Args:
        training: The recipe.
        folder: The finished run's.
        directory: Where to write.
    """
    path = final_checkpoint(training, folder)
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        msg = f"{path}: the trained weights cannot be read ({error}): remove {folder}, train again"
        raise TrainerError(msg) from error
    side = image_side(training.tower)
    trainee = OpenClipTrainee(training.tower, (side, side))
    weights = checkpoint["state_dict"]
    trainee.model.load_state_dict({k.removeprefix("module."): v for k, v in weights.items()})
    trainee.save(directory)


def _workers(training: TorchrunSpec, batch: int, samples: int) -> int:
    # open_clip gives each loader as many batches, rounded up: 5 for 4 loaders would become 8.
    batches = -(-samples // batch)
    most = _loaders(training) if training.workers == "auto" else training.workers
    return next(n for n in range(most, 0, -1) if batches % n == 0)


def _loaders(training: TorchrunSpec) -> int:
    """Of one process: its share of the cores, one of which is left to the process itself."""
    if not torch.cuda.is_available():
        return LOADERS
    share = (os.cpu_count() or 1) // _processes(training)
    return min(max(1, share - 1), MOST_LOADERS)


def _command(training: TorchrunSpec, arguments: Path) -> list[str]:
    """Starts the trainer: one process on one machine needs no torchrun to start it."""
    trainer = ["-m", "recap_assets.training.kinds.torchrun.trainer", str(arguments)]
    processes = _processes(training)
    if processes == 1 and training.torchrun_arguments == ALONE:
        return [sys.executable, *trainer]
    torchrun = ["-m", "torch.distributed.run", *training.torchrun_arguments]
    return [sys.executable, *torchrun, f"--nproc-per-node={processes}", *trainer]


def _processes(training: TorchrunSpec) -> int:
    if torch.cuda.is_available():
        # torch counts what it saw at first, and this process may hold others by now.
        n_gpus = len(HELD.devices) or torch.cuda.device_count()
        return n_gpus if training.processes == "auto" else training.processes
    if training.processes not in ("auto", 1):
        msg = f"training.processes is {training.processes}: without a GPU open_clip trains in one"
        raise TrainerError(msg)
    return 1


def _lines_of(command: Sequence[str]) -> Iterator[str]:
    leash = [sys.executable, "-m", "recap_assets.training.kinds.torchrun.leash", str(os.getpid())]
    process = subprocess.Popen(  # noqa: S603 - our own words, no shell
        [*leash, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        pass_fds=HELD.files,
        env={**os.environ, **_ENVIRONMENT, "OMP_NUM_THREADS": str(torch_threads())},
    )
    try:
        yield from (line.rstrip() for line in process.stdout or ())
        process.wait()
    finally:
        process.terminate()
        process.wait()


def _explain(last: Sequence[str]) -> str:
    tail = "\n".join(last)
    hint = ""
    if "out of memory" in tail.lower():
        hint = "The GPU is too small for this batch: raise training.accumulation. "
    return f"open_clip's trainer ended before its last checkpoint. {hint}Its last lines:\n{tail}"
