"""Embedding decoded images with the scorer against the bare forward of its model.

ViT-B-32 with random weights on 512 x 384 pixels. The bare side is the model's forward on tensors
that lie ready in memory, batch by batch; ours starts from decoded uint8 images: resize, crop,
normalise, forward, float32 embeddings of unit length. Texts are compared with the bare forward on
tokens that lie ready. Rounds alternate and the median of the rounds' ratios counts. A stage is
measured the same way by handing its function to `compare`.

    python benchmarks/scoring.py [--images 192] [--rounds 3] [--threads 0]
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import open_clip
import torch
from torch import Tensor
from verdicts import machine, verdict

from recap_assets.engines.open_clip.pixels import PixelTransform
from recap_assets.engines.open_clip.scorer import ClipScorer

TARGET = 0.8
MODEL = "ViT-B-32"
BATCH = 64
CAPTION = "a small brown dog sleeps on a red sofa beside the window"


def clocks() -> np.ndarray:
    """Wall and processor seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def compare(
    name: str, ours: Callable[[], object], bare: Callable[[], object], n: int, rounds: int
) -> float:
    """Print and return the share of the bare model's rate that `ours` reaches on `n` samples."""
    ours()
    bare()
    shares, rates = [], []
    for _ in range(rounds):
        start = clocks()
        bare()
        middle = clocks()
        ours()
        end = clocks()
        shares.append((middle - start) / (end - middle))
        rates.append((n / (end - middle)[0], n / (middle - start)[0]))
    share, cpu_share = np.median(shares, axis=0)
    rate, bare_rate = np.median(rates, axis=0)
    print(
        f"{name}: {share:.2f} of the bare forward "
        f"({rate:.1f} against {bare_rate:.1f} a second; {cpu_share:.2f} in processor time)",
        flush=True,
    )
    verdict(f"scorer in memory, {name}", share, TARGET)
    return share


@torch.inference_mode()
def forward(encode: Callable[[Tensor], Tensor], inputs: Tensor) -> None:
    """The bare model, batch by batch."""
    for batch in inputs.split(BATCH):
        encode(batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: its own choice")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    print(f"{machine()}; torch with {torch.get_num_threads()} threads")
    torch.manual_seed(0)
    model = open_clip.create_model(MODEL).eval()
    tokenizer = open_clip.get_tokenizer(MODEL)
    scorer = ClipScorer(model, tokenizer, "float32", BATCH, torch.device("cpu"))
    noise = np.random.default_rng(0).integers(0, 256, (args.images, 384, 512, 3), dtype=np.uint8)
    images, texts = list(noise), [f"{CAPTION} {n}" for n in range(args.images)]
    pixels, tokens = PixelTransform(model.visual.preprocess_cfg)(images), tokenizer(texts)
    compare(
        f"images, {MODEL}",
        lambda: scorer.embed_images(images),
        lambda: forward(model.encode_image, pixels),
        args.images,
        args.rounds,
    )
    compare(
        f"texts of {int(tokens[0].argmax()) + 1} tokens, {MODEL}",
        lambda: scorer.embed_texts(texts),
        lambda: forward(model.encode_text, tokens),
        args.images,
        args.rounds,
    )

    def bare_pair() -> None:
        forward(model.encode_image, pixels)
        forward(model.encode_text, tokens)

    compare(
        f"pairs, {MODEL}",
        lambda: (scorer.embed_images(images), scorer.embed_texts(texts)),
        bare_pair,
        args.images,
        args.rounds,
    )


if __name__ == "__main__":
    main()
