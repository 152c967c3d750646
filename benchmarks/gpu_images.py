"""Scoring decoded images on a GPU against the bare forward of the model, and preparation alone.

Random weights, noise of 512 x 384. The bare side is the model's forward on pixels that lie on the
device. Ours starts from decoded images, as the stage calls it: batch after batch, each prepared
while the one before is computed. On a machine without a GPU it runs on the CPU with a small batch,
to see that it works.

    python benchmarks/gpu_images.py [--models ViT-L-14 ViT-B-32] [--batch 256] [--batches 8]
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import open_clip
import torch
from verdicts import machine, verdict

from recap_assets.engines.open_clip.pixels import PixelTransform
from recap_assets.engines.open_clip.preparation import InThreads, preparation_of
from recap_assets.engines.open_clip.scorer import ClipScorer

TARGETS = {"ViT-L-14": 0.85}
"""Of the bare forward. ViT-B-32 is held to images a second."""
B32_IMAGES = 6_000
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def rate(n: int, compute: Callable[[], object]) -> float:
    """Images a second, after a first time that warms up."""
    compute()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    compute()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return n / (time.perf_counter() - start)


def as_the_stage(scorer: ClipScorer, batches: list[list[np.ndarray]]) -> None:
    """Each batch is begun before the one before it is waited for."""
    waiting = scorer.begin_images(batches[0])
    for batch in batches[1:]:
        begun = scorer.begin_images(batch)
        waiting()
        waiting = begun
    waiting()


def prepared(scorer: ClipScorer, batches: list[list[np.ndarray]]) -> None:
    """Preparation alone, a batch ahead."""
    for ready in [scorer.preparation.begin(batch) for batch in batches]:
        ready()


def measure(name: str, size: int, n_batches: int) -> None:
    """Print the rates of one model, and whether the pixels are the CPU's."""
    model = open_clip.create_model(name, precision="pure_bf16").eval().to(DEVICE)
    scorer = ClipScorer(model, open_clip.get_tokenizer(name), "bfloat16", size, DEVICE)
    rng = np.random.default_rng(0)
    images = list(rng.integers(0, 256, (size, 384, 512, 3), dtype=np.uint8))
    batches, n = [images] * n_batches, size * n_batches
    pixels = torch.zeros(size, 3, 224, 224, dtype=torch.bfloat16, device=DEVICE)

    @torch.inference_mode()
    def bare() -> None:
        for _ in range(n_batches):
            model.encode_image(pixels)

    some = images[: min(16, size)]
    found = scorer.preparation.begin(some)().cpu()
    is_equal = torch.equal(found, PixelTransform(model.visual.preprocess_cfg)(some).to(found.dtype))
    figures = {
        "bare forward": rate(n, bare),
        "as the stage": rate(n, lambda: as_the_stage(scorer, batches)),
        "one call": rate(n, lambda: scorer.embed_images(images * n_batches)),
        "preparation alone": rate(n, lambda: prepared(scorer, batches)),
    }
    told = ", ".join(f"{what} {found:,.0f}" for what, found in figures.items())
    print(f"{name}, batches of {size}: {told} images/s; pixels equal: {is_equal}", flush=True)
    share = figures["as the stage"] / figures["bare forward"]
    if name in TARGETS:
        verdict(f"{name}, of the bare forward", share, TARGETS[name])
    else:
        verdict(f"{name}, of {B32_IMAGES:,} images/s", figures["as the stage"] / B32_IMAGES, 1.0)


def threads(n: int = 128) -> None:
    """Pillow's rate in this machine's threads, for comparison."""
    transform = PixelTransform(vars(open_clip.transform.PreprocessCfg()))
    images = list(np.random.default_rng(0).integers(0, 256, (n, 384, 512, 3), dtype=np.uint8))
    preparation = preparation_of(transform, torch.device("cpu"), torch.float32)
    assert isinstance(preparation, InThreads)

    def resize() -> None:
        preparation.begin(images)()

    print(f"Pillow in threads: {rate(n, resize):,.0f} images/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["ViT-L-14", "ViT-B-32"])
    parser.add_argument("--batch", type=int, default=256 if DEVICE.type == "cuda" else 4)
    parser.add_argument("--batches", type=int, default=8 if DEVICE.type == "cuda" else 2)
    args = parser.parse_args()
    named = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "no GPU"
    print(f"{machine()}, {named}")
    threads()
    for name in args.models:
        measure(name, args.batch, args.batches)


if __name__ == "__main__":
    main()
