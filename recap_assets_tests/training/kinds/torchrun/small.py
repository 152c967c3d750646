"""A training small enough for a processor, and the shards that it reads."""

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from recap_assets.training.kinds.torchrun import TorchrunTraining


def training(**changes: object) -> TorchrunTraining:
    return TorchrunTraining.model_validate({"launcher": "torchrun", "scale": "debug", **changes})


def tiny(**changes: object) -> TorchrunTraining:
    small = {"model": "ViT-S-32-alt", "batch_size": 4, "samples_seen": 16, "warmup_steps": 1}
    return training(**{**small, "checkpoints": 2, "workers": 1, **changes})


def write_shards(folder: Path) -> list[str]:
    """Two of six pairs each; what open_clip's trainer is given to read them."""
    random = np.random.default_rng(0)
    for shard in range(2):
        with tarfile.open(folder / f"{shard:08d}.tar", "w") as tar:
            for sample in range(6):
                buffer = io.BytesIO()
                pixels = random.integers(0, 255, (40, 40, 3), np.uint8)
                Image.fromarray(pixels).save(buffer, "PNG")
                text = f"picture {shard} {sample}".encode()
                for suffix, data in (("png", buffer.getvalue()), ("txt", text)):
                    member = tarfile.TarInfo(f"{shard}{sample}.{suffix}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
    urls = f"{folder}/{{00000000..00000001}}.tar"
    return ["--train-data", urls, "--train-num-samples", "12", "--dataset-type", "webdataset"]
