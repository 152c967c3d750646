"""A captioner that writes down which process opened it, on which GPUs, and what it captioned."""

import json
import math
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from recap_assets.captions.kind import Captioning
from recap_assets.engines.protocols import Caption, Image, Places
from recap_assets.specs.fields import Speed
from recap_assets_tests.waiting import wait_for

POINT = "watched = recap_assets_tests.watched:WatchedSource"


class WatchedSource(Captioning):
    """Captions by the mean of an image's pixels, after a while.

    Attributes:
        log: What is written down, and by whom.
        seconds: What each image takes.
        gate: A file with the number of batches that may be captioned; those begun later wait until
            it allows more, or is deleted.
        n_cards: Whoever captions on a GPU waits until models are open on that many.
        deadly: The end of a uid whose image ends the process.
    """

    kind: Literal["watched"]
    log: Annotated[str, Speed]
    device: Annotated[str, Speed] = "auto"
    seconds: Annotated[float, Speed] = 0.0
    gate: Annotated[str, Speed] = ""
    n_cards: Annotated[int, Speed] = 0
    deadly: Annotated[str, Speed] = ""

    @property
    def called(self) -> str:
        return "watched"

    def open(self, places: Places) -> "Watched":
        write(self.log, "opened", of=str(places.models))
        return Watched(self)


@dataclass
class Watched:
    source: WatchedSource

    def caption(self, images: Sequence[Image], uids: Sequence[bytes]) -> list[list[Caption]]:
        log, deadly = self.source.log, self.source.deadly
        write(log, "began", n=len(images), first=uids[0].hex())
        if deadly and any(uid.hex().endswith(deadly) for uid in uids):
            os.kill(os.getpid(), signal.SIGKILL)
        self._wait()
        time.sleep(self.source.seconds * len(images))
        write(log, "captioned", n=len(images), first=uids[0].hex())
        return [
            [Caption(f"mean {image.mean():.3f} of {uid.hex()[-4:]}")]
            for image, uid in zip(images, uids, strict=True)
        ]

    def _wait(self) -> None:
        log, gate = Path(self.source.log), Path(self.source.gate)
        if self.source.n_cards and os.environ.get("CUDA_VISIBLE_DEVICES"):
            wait_for(lambda: len(cards_in(log)) >= self.source.n_cards, "models on all cards")
        if self.source.gate:
            ours = [line["pid"] == os.getpid() for line in read(log, "began")]
            place = max(i for i, is_ours in enumerate(ours) if is_ours)
            wait_for(lambda: place < allowed(gate), "the gate opens")


def cards_in(log: Path) -> set[str]:
    """The cards that models were opened on."""
    return {line["gpus"] for line in read(log, "opened") if line["gpus"]}


def allowed(gate: Path) -> float:
    """How many batches may be captioned."""
    try:
        return float(gate.read_text())
    except FileNotFoundError:
        return math.inf


def allow(gate: Path, n: int) -> None:
    """Allow that many, for readers who see the old number or the new one."""
    new = gate.with_suffix(".new")
    new.write_text(str(n))
    new.replace(gate)


def write(log: str, what: str, **more: Any) -> None:
    """A line of the log; each is written at once, by whichever process."""
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES")
    line = {"what": what, "pid": os.getpid(), "gpus": gpus, "at": time.time(), **more}
    with Path(log).open("a") as file:
        file.write(json.dumps(line) + "\n")


def read(log: Path, what: str) -> list[Mapping[str, Any]]:
    """The lines of one sort."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [line for line in map(json.loads, lines) if line["what"] == what]
