"""Which cluster computes, and how many workers it may have; from the environment."""

import os
from dataclasses import dataclass

from recap_assets.untrusted.errors import RecapError

WORKERS_VARIABLE = "RECAP_WORKERS"
MOST_VARIABLE = "RECAP_MOST_WORKERS"
IDLE_VARIABLE = "RECAP_WORKER_IDLE_SECONDS"
TRAINING_VARIABLE = "RECAP_TRAINING_NODES"
LOCAL = "local"


class RemoteSettingError(RecapError, ValueError):
    """A setting of the workers means nothing."""


@dataclass(frozen=True)
class RemoteSettings:
    """Where workers are, and how many.

    Attributes:
        address: Of the Ray cluster, as `ray.init` takes it: `auto`, HOST:PORT or ray://HOST:PORT.
        most: Actors of one asset, at most.
        idle_seconds: How long an actor without work keeps its model.
        training_nodes: Nodes that a training is spread over; 0: it stays with the build.
    """

    address: str
    most: int = 64
    idle_seconds: float = 600.0
    training_nodes: int = 0


def remote_settings(address: str | None = None) -> RemoteSettings | None:
    """What RECAP_WORKERS and its siblings say; None: this machine computes.

    Args:
        address: What is taken where RECAP_WORKERS is not set.

    Raises:
        RemoteSettingError: A setting means nothing.
    """
    address = checked_address(os.environ.get(WORKERS_VARIABLE) or address or LOCAL)
    if address == LOCAL:
        return None
    most, idle = _number(MOST_VARIABLE, 64), _number(IDLE_VARIABLE, 600)
    nodes = _number(TRAINING_VARIABLE, 0, least=0)
    return RemoteSettings(address, int(most), idle, int(nodes))


def checked_address(address: str, where: str = "workers") -> str:
    """An address as it is, where it may be one.

    Raises:
        RemoteSettingError: It is none; `where` names it.
    """
    if address not in (LOCAL, "auto") and ":" not in address:
        msg = f"{where} {address!r}: say {LOCAL}, auto, HOST:PORT or ray://HOST:PORT"
        raise RemoteSettingError(msg)
    return address


def _number(variable: str, default: float, least: float = 1) -> float:
    words = os.environ.get(variable, str(default))
    try:
        value = float(words)
    except ValueError:
        value = -1.0
    if not least <= value <= 1e6:
        msg = f"{variable} is {words!r}: it is a number from {least}"
        raise RemoteSettingError(msg)
    return value
