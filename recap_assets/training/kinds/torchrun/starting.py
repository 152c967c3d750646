"""The trainer's processes: how many on how many machines, and how they are started."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from recap_assets.engines import leashed
from recap_assets.engines.gpus import HELD
from recap_assets.graph.machines import Machines, Meeting
from recap_assets.training.kinds.torchrun.options import value_of
from recap_assets.training.kinds.torchrun.spec import ALONE, TorchrunSpec
from recap_assets.untrusted.errors import RecapError

TRAINER = ("-m", "recap_assets.training.kinds.torchrun.trainer")
TORCHRUN = ("-m", "torch.distributed.run")


class TrainerError(RecapError, RuntimeError):
    """open_clip's trainer ended with an error, or cannot start."""


@dataclass(frozen=True)
class World:
    """The processes of one training.

    Attributes:
        n_machines: Machines that they are on.
        n_processes: Processes of each machine.
        n_cores: Cores of each machine.
        on_gpu: Whether each process has a GPU.
    """

    n_machines: int
    n_processes: int
    n_cores: int
    on_gpu: bool

    @property
    def size(self) -> int:
        """Processes of all machines: together they take a batch."""
        return self.n_machines * self.n_processes


def world_of(training: TorchrunSpec, machines: Machines | None = None) -> World:
    """The processes that train.

    Args:
        training: What the file says of them.
        machines: What the training is spread over; None: this machine, and those that
            `torchrun_arguments` count, each of which is as this one.

    Raises:
        TrainerError: Several processes of a machine without GPUs; machines that are named twice.
    """
    if machines is None:
        n_gpus, n_cores = _gpus_here(), os.cpu_count() or 1
        n = int(value_of(training.torchrun_arguments, "nnodes") or 1)
    else:
        n_gpus, n_cores, n = machines.n_gpus, machines.n_cores, machines.n
        _refuse_two_meetings(training, n)
    return World(n, _processes(training, n_gpus), n_cores, n_gpus > 0)


def lines_of(
    training: TorchrunSpec, world: World, arguments: Path, machines: Machines | None
) -> Iterator[str]:
    """Start the trainer, and give what it prints until it ends; it ends with this process.

    Raises:
        RecapError: A machine was lost.
    """
    trainer = [*TRAINER, str(arguments)]
    if machines is None:
        return leashed.lines_of(words_here(training, world, trainer))
    return machines.lines(_words_of(world, trainer))


def words_here(training: TorchrunSpec, world: World, trainer: Sequence[str]) -> list[str]:
    """What Python is given on this machine: one process of one machine needs no torchrun."""
    if world.n_processes == 1 and training.torchrun_arguments == ALONE:
        return list(trainer)
    processes = f"--nproc-per-node={world.n_processes}"
    return [*TORCHRUN, *training.torchrun_arguments, processes, *trainer]


def _words_of(world: World, trainer: Sequence[str]) -> Callable[[Meeting], list[str]]:
    def words(meeting: Meeting) -> list[str]:
        options = {
            "nnodes": world.n_machines, "nproc-per-node": world.n_processes,
            "rdzv-backend": "static", "node-rank": meeting.rank,
            "master-addr": meeting.host, "master-port": meeting.port,
        }  # fmt: skip
        return [*TORCHRUN, *(f"--{name}={value}" for name, value in options.items()), *trainer]

    return words


def _gpus_here() -> int:
    # torch counts what it saw at first, and this process may hold others by now.
    return (len(HELD.devices) or torch.cuda.device_count()) if torch.cuda.is_available() else 0


def _processes(training: TorchrunSpec, n_gpus: int) -> int:
    if n_gpus:
        return n_gpus if training.processes == "auto" else training.processes
    if training.processes not in ("auto", 1):
        msg = (
            f"training.processes is {training.processes}: without a GPU open_clip trains in one "
            "process of a machine"
        )
        raise TrainerError(msg)
    return 1


def _refuse_two_meetings(training: TorchrunSpec, n: int) -> None:
    if training.torchrun_arguments != ALONE:
        msg = (
            f"training.torchrun_arguments says how machines meet, and the training is spread over "
            f"{n} nodes of a cluster, which meet by themselves: leave torchrun_arguments out"
        )
        raise TrainerError(msg)
