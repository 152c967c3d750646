"""Small images and tars to read, the broken ones included."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from recap_assets.pool.kinds.webdataset import WebDatasetPool
from recap_assets.shards.manifest import Shard
from recap_assets.specs.pool import ImageLimits

LIMITS = ImageLimits()


def hamming(a: int, b: int) -> int:
    """Number of bits in which two hashes of 64 bits differ."""
    return f"{(a ^ b) & 2**64 - 1:b}".count("1")


def picture(seed: int = 0, size: tuple[int, int] = (96, 72)) -> Image.Image:
    """A smooth picture that differs from seed to seed; size is (width, height)."""
    coarse = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, image_format: str = "JPEG", **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, image_format, **options)
    return data.getvalue()


def jpeg(seed: int = 0, size: tuple[int, int] = (96, 72)) -> bytes:
    return encoded(picture(seed, size), quality=90)


def uid_of(seed: int) -> str:
    return hashlib.md5(str(seed).encode(), usedforsecurity=False).hexdigest()


def sample(key: str, seed: int = 0, text: str = "a text") -> list[tuple[str, bytes]]:
    """The three members that img2dataset writes."""
    facts = {"uid": uid_of(seed), "url": f"https://example.org/{seed}.jpg", "original_width": 640}
    return [
        (f"{key}.jpg", jpeg(seed)),
        (f"{key}.txt", text.encode()),
        (f"{key}.json", json.dumps(facts).encode()),
    ]


def tar_of(members: Iterable[tuple[str, bytes]], tar_format: int = tarfile.USTAR_FORMAT) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tar_format) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


def shard_at(path: Path, data: bytes, number: int = 0) -> Shard:
    path.write_bytes(data)
    return Shard(path.stem, str(path), len(data), "v", number)


def pool_at(folder: Path, **options: object) -> WebDatasetPool:
    return WebDatasetPool.model_validate({"kind": "webdataset", "shards": str(folder), **options})
