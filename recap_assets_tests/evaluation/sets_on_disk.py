"""Writes small evaluation sets in CLIP_benchmark's layout."""

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

Members = Sequence[tuple[str, bytes]]


def png(value: int, size: int = 4) -> bytes:
    """A square of one grey value."""
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), (value, value, value)).save(buffer, "PNG")
    return buffer.getvalue()


def decode(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def write_tar(path: Path, members: Members) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def write_set(folder: Path, kind: str, shards: Sequence[Members], classes: str = "a\nb\n") -> Path:
    for number, members in enumerate(shards):
        write_tar(folder / "test" / f"{number}.tar", members)
    (folder / "test" / "nshards.txt").write_text(f"{len(shards)}\n")
    (folder / "dataset_type.txt").write_text(f"{kind}\n")
    if kind == "classification":
        (folder / "classnames.txt").write_text(classes)
        (folder / "zeroshot_classification_templates.txt").write_text("a photo of {c}.\n{c}\n")
    return folder


def labelled(key: str, label: str, value: int = 0) -> Members:
    return [(f"{key}.png", png(value)), (f"{key}.cls", label.encode())]


def captioned(key: str, captions: str, value: int = 0) -> Members:
    return [(f"{key}.png", png(value)), (f"{key}.txt", captions.encode())]
