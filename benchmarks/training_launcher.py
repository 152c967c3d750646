"""open_clip's trainer as `launcher: torchrun` starts it, against a bare loop with one batch.

Both train a model, ViT-B-32, from scratch on the CPU, with gradient checkpointing, AdamW and
open_clip's own loss. The launcher reads JPEG files of 256 pixels from tars, as exports write them,
decodes and crops them in a process of its own, logs, and saves a checkpoint; the bare loop has its
batch in memory. Each side runs with few steps and with more: the difference is what steps take, and
what is left of the shorter run is what starting and ending takes. Measured is processor time of all
processes of a side, on as many threads each.

    python benchmarks/training_launcher.py [--model ViT-B-32] [--batch 8] [--steps 2 8] [--rounds 2]
"""

import argparse
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from verdicts import machine, verdict

from recap_assets.engines.threads import torch_threads
from recap_assets.training.kinds.torchrun import TorchrunTraining
from recap_assets.training.kinds.torchrun.engine import train

TARGET = 0.9
SIDE = 224
SAMPLES = 64


def write_shard(path: Path, n: int) -> None:
    """JPEG files with texts, as webdataset has them."""
    rng = np.random.default_rng(0)
    with tarfile.open(path, "w") as tar:
        for number in range(n):
            buffer = io.BytesIO()
            small = rng.integers(0, 256, (32, 32, 3), np.uint8)
            Image.fromarray(small).resize((256, 256)).save(buffer, "JPEG", quality=90)
            text = f"a photo of thing {number} on a table".encode()
            for ending, content in (("jpg", buffer.getvalue()), ("txt", text)):
                info = tarfile.TarInfo(f"{number:06}.{ending}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def by_launcher(model: str, folder: Path, shard: Path, batch: int, steps: int) -> None:
    """As the platform trains."""
    recipe = TorchrunTraining.model_validate(
        {
            "launcher": "torchrun", "scale": "debug", "model": model, "batch_size": batch,
            "checkpoints": 1, "samples_seen": batch * steps, "warmup_steps": 1, "workers": 1,
        }
    )  # fmt: skip
    data = ["--train-data", str(shard), "--dataset-type", "webdataset"]
    data += ["--train-num-samples", str(SAMPLES)]
    points = []
    train(recipe, data, 0, folder, points.append)
    if not points or points[-1].samples_seen < batch * (steps - 1):
        raise SystemExit(f"the launcher has trained on {points and points[-1]}")


def by_loop(name: str, batch: int, steps: int) -> None:
    """What a user writes, in this process."""
    import open_clip  # noqa: PLC0415 - each side loads what it needs
    import torch  # noqa: PLC0415

    torch.set_num_threads(torch_threads())
    model = open_clip.create_model(name)
    model.set_grad_checkpointing()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.98), eps=1e-6)
    loss_of = open_clip.ClipLoss()
    images = torch.randn(batch, 3, SIDE, SIDE)
    texts = open_clip.get_tokenizer(name)(["a photo of a thing on a table"] * batch)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(*model(images, texts)[:2], model.logit_scale.exp())
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, 4.6052)


def seconds_of(command: Sequence[str]) -> float:
    """Processor time of a command and of all that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    settings = {**os.environ, "OMP_NUM_THREADS": str(torch_threads())}
    subprocess.run(
        [sys.executable, __file__, *command], check=True, env=settings, stdout=subprocess.DEVNULL
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(getattr(after, n) - getattr(before, n) for n in ("ru_utime", "ru_stime"))


def per_step(side: str, shard: Path, args: argparse.Namespace) -> tuple[float, float]:
    """What a step takes, and all that is no step."""
    few, more = args.steps
    taken = []
    for n in args.steps:
        with TemporaryDirectory(dir=shard.parent) as folder:
            given = {
                "model": args.model, "batch": args.batch, "steps": n, "folder": folder,
                "shard": str(shard),
            }  # fmt: skip
            taken.append(seconds_of(["--side", side, "--given", json.dumps(given)]))
    step = (taken[1] - taken[0]) / (more - few)
    return step, taken[0] - few * step


def run(side: str, given: dict[str, object]) -> None:
    """One side in this process."""
    model, batch, steps = str(given["model"]), int(str(given["batch"])), int(str(given["steps"]))
    if side == "loop":
        by_loop(model, batch, steps)
    else:
        by_launcher(model, Path(str(given["folder"])), Path(str(given["shard"])), batch, steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="ViT-B-32", help="open_clip's, of 224 pixels")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, nargs=2, default=[2, 8])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--side", choices=["loop", "launcher"], help=argparse.SUPPRESS)
    parser.add_argument("--given", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        run(args.side, args.given)
        return
    print(
        f"{machine()}; {args.model}, batches of {args.batch}, {torch_threads()} threads", flush=True
    )
    ratios = []
    with TemporaryDirectory() as name:
        shard = Path(name) / "00000000.tar"
        write_shard(shard, SAMPLES)
        for _ in range(args.rounds):
            loop, around_loop = per_step("loop", shard, args)
            ours, around_ours = per_step("launcher", shard, args)
            ratios.append(loop / ours)
            print(
                f"a step {loop:.2f} s in a loop, {ours:.2f} s by the launcher; start and end "
                f"{around_loop:.1f} s and {around_ours:.1f} s of processor time",
                flush=True,
            )
    verdict(f"training {args.model} by the launcher, cpu", statistics.median(ratios), TARGET)


if __name__ == "__main__":
    main()
