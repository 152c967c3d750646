"""open_clip's own trainer, started by torchrun on exported shards, as DataComp's train.py does.

The recipe is the scale's (`spec.py`); the flags are those that DataComp fixes: shards
drawn with replacement, local loss with gathered gradients, checkpointed activations, static graph.
"""

import json
import pickle
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from recap_assets.engines.trained import image_side
from recap_assets.graph.machines import Machines
from recap_assets.storage.files import write_atomically
from recap_assets.training.engine.curve import CURVE_POINTS, CurvePoint
from recap_assets.training.engine.open_clip_trainee import OpenClipTrainee
from recap_assets.training.kinds.torchrun.spec import TorchrunSpec
from recap_assets.training.kinds.torchrun.starting import TrainerError, World, lines_of, world_of

RUN = "run"
LAST_LINES = 30
LOADERS, MOST_LOADERS = 5, 32
"""Loader processes of one process by default: without a GPU, and at most with one."""

_FAILED = "failed (exitcode: "
_CHATTER = re.compile(r"I\d{4} ")
"""torch's own log of compilation, which it prints when a process ends."""

_LINE = re.compile(
    r"Train Epoch: (?P<epoch>\d+) \[\s*(?P<done>\d+)/(?P<of>\d+) .*?"
    r"(?P<rate>[\d.e+]+)/s, .*?LR: (?P<rate_now>[\d.e+-]+) .*? Loss: (?P<loss>[\d.e+-]+|nan|inf) "
)


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
    training: TorchrunSpec, data: Sequence[str], seed: int, folder: Path, world: World
) -> list[str]:
    """The arguments of open_clip's trainer.

    Args:
        training: Recipe and machine.
        data: What is trained on, as open_clip is given it: --train-data and what goes with it.
        seed: Of this run.
        folder: Where it keeps its log and its checkpoints, and resumes from them.
        world: The processes of all machines.

    Raises:
        TrainerError: A batch that the processes cannot share.
    """
    per_process = _batch_of_one(training, world)
    samples = -(-training.samples_seen // training.checkpoints)
    steps = -(-samples // training.batch_size)
    options = {
        "train-num-samples": samples, "epochs": training.checkpoints,
        "model": training.model, "batch-size": per_process, "accum-freq": training.accumulation,
        "lr": training.learning_rate, "beta2": training.beta2, "warmup": training.warmup_steps,
        "precision": training.precision if world.on_gpu else "fp32",
        "device": "cuda" if world.on_gpu else "cpu",
        "workers": _workers(training, world, per_process, samples), "seed": seed,
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
    machines: Machines | None = None,
) -> None:
    """Train to the end; a run that was killed continues from its last checkpoint.

    Args:
        training: Recipe and machine.
        data: What is trained on, as open_clip is given it: --train-data and what goes with it.
        seed: Of this run.
        folder: Where the run keeps its log and checkpoints.
        on_point: Told every line of its log that has figures.
        machines: What it is spread over, where that is more than this machine. They reach the
            folder and the data by the same paths.

    Raises:
        TrainerError: The trainer ended with an error; its last lines are in the message.
        RecapError: A machine was lost.
    """
    world = world_of(training, machines)
    words = trainer_arguments(training, data, seed, folder, world)
    arguments = folder / "arguments.json"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(arguments, json.dumps(words).encode())
    last: deque[str] = deque(maxlen=LAST_LINES)
    failed = False
    for line in lines_of(training, world, arguments, machines):
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


def _batch_of_one(training: TorchrunSpec, world: World) -> int:
    """Pairs of one process's forward pass."""
    per_process, rest = divmod(training.batch_size, world.size * training.accumulation)
    if rest or not per_process:
        msg = (
            f"training.batch_size {training.batch_size} is not shared evenly by {world.size} "
            f"processes of {training.accumulation} forward passes: change batch_size, processes, "
            "the number of machines or accumulation"
        )
        raise TrainerError(msg)
    return per_process


def _workers(training: TorchrunSpec, world: World, per_process: int, samples: int) -> int:
    # open_clip gives each loader as many batches, rounded up: 5 for 4 loaders would become 8.
    batches = -(-samples // (per_process * world.size))
    most = _loaders(world) if training.workers == "auto" else training.workers
    return next(n for n in range(most, 0, -1) if batches % n == 0)


def _loaders(world: World) -> int:
    """Of one process: its share of the cores, one of which is left to the process itself."""
    if not world.on_gpu:
        return LOADERS
    return min(max(1, world.n_cores // world.n_processes - 1), MOST_LOADERS)


def _explain(last: Sequence[str]) -> str:
    tail = "\n".join(last)
    hint = ""
    if "out of memory" in tail.lower():
        hint = "The GPU is too small for this batch: raise training.accumulation. "
    return f"open_clip's trainer ended before its last checkpoint. {hint}Its last lines:\n{tail}"
