"""Tars of a few small images, for contracts of what reads or copies them.

Sample `n` is the same in whatever tar it is; every eleventh is a GIF.
"""

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from recap_assets.testing.stored_pool import uid_of

SIDES = ((64, 48), (90, 40), (33, 120), (50, 50))


def encoded_image(number: int) -> tuple[str, bytes]:
    """Extension and bytes of a sample's image."""
    colours = np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8)
    image = Image.fromarray(colours).resize(SIDES[number % len(SIDES)])
    extension, form = ("gif", "GIF") if number % 11 == 10 else ("jpg", "JPEG")
    data = io.BytesIO()
    image.save(data, form)
    return extension, data.getvalue()


def write_tars(folder: Path, parts: Sequence[Sequence[int]]) -> None:
    """One tar for each list of samples, `00000000.tar` and so on."""
    folder.mkdir(parents=True)
    for shard, numbers in enumerate(parts):
        with tarfile.open(folder / f"{shard:08d}.tar", "w") as tar:
            for number in numbers:
                extension, image = encoded_image(number)
                metadata = f'{{"uid": "{uid_of(number).hex()}"}}'.encode()
                _add(tar, f"{number:09d}.{extension}", image)
                _add(tar, f"{number:09d}.txt", f"text {number}: naïve 图 ../x".encode())
                _add(tar, f"{number:09d}.json", metadata)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
