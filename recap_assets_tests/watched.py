"""A captioner that writes down which process opened it, on which GPUs, and what it captioned."""

import json
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

POINT = "watched = recap_assets_tests.watched:WatchedSource"


class WatchedSource(Captioning):
    """Captions by the mean of an image's pixels, after a while."""

    kind: Literal["watched"]
    log: Annotated[str, Speed]
    device: Annotated[str, Speed] = "auto"
    seconds: Annotated[float, Speed] = 0.0
    deadly: Annotated[str, Speed] = ""

    @property
    def called(self) -> str:
        return "watched"

    def open(self, places: Places) -> "Watched":
        write(self.log, "opened", of=str(places.models))
        return Watched(self.log, self.seconds, self.deadly)


@dataclass
class Watched:
    log: str
    seconds: float
    deadly: str

    def caption(self, images: Sequence[Image], uids: Sequence[bytes]) -> list[list[Caption]]:
        write(self.log, "began", n=len(images), first=uids[0].hex())
        if self.deadly and any(uid.hex().endswith(self.deadly) for uid in uids):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.seconds * len(images))
        write(self.log, "captioned", n=len(images), first=uids[0].hex())
        return [
            [Caption(f"mean {image.mean():.3f} of {uid.hex()[-4:]}")]
            for image, uid in zip(images, uids, strict=True)
        ]


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
