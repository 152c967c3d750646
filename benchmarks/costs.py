"""What captioning, scoring and selecting a pool costs: hours and money, from measured rates.

Each rate names where it was measured. Rates of other GPUs and limits are arithmetic, and marked as
derived: a limit is the rate of one large matrix product over the operations of an image, another
GPU's rate is the measured one times the ratio of peaks. docs/scale.md has the tables as this prints
them, and a test compares them.

    python benchmarks/costs.py [--price 3.00]
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import comb

SIZES = (12_800_000, 128_000_000, 1_280_000_000)
"""DataComp's small, medium and large pools."""

PRICE = 3.00
"""Dollars for an hour of an H200. Assumed, not quoted: put in your own."""

_SIZES = "12.8 M | 128 M | 1.28 B"

HOUR = 3_600.0

A_HASH, A_PAIR = 20e-9, 2.5e-9
"""Processor seconds to put a hash in one order and to compare a pair, by duplicates.py."""

MATRIX_PRODUCT = 742e12
"""Operations a second of one bfloat16 product of 8,192 x 8,192 on an H200, 2026-11-27."""

PEAKS = {"H200": 989, "H100 SXM": 989, "A100": 312, "L4": 121}
"""Dense bfloat16 TFLOP/s of the makers' data sheets."""


@dataclass(frozen=True)
class Rate:
    """Images a second of one GPU.

    Attributes:
        work: Model and what it does.
        pixels: Of an image as the model sees it.
        tokens: Written for an image; 0 for none.
        per_second: Images a second, or None where it is derived from `operations`.
        source: A letter of the list below the table, for a measured rate.
        operations: Of an image.
        gpu: Which one; the measured rate is an H200's.
    """

    work: str
    pixels: str
    tokens: str
    per_second: float | None
    source: str
    operations: float | None = None
    gpu: str = "H200"

    @property
    def images(self) -> float:
        """Images a second on its GPU."""
        if self.per_second is None:
            assert self.operations
            return MATRIX_PRODUCT / self.operations
        return self.per_second * PEAKS[self.gpu] / PEAKS["H200"]

    @property
    def is_measured(self) -> bool:
        """Whether it is no arithmetic."""
        return self.per_second is not None and self.gpu == "H200"


BLIP2 = "BLIP-2 OPT-2.7b, captions"
QWEN = "Qwen2.5-VL-3B, captions"
L14, B32 = "CLIP ViT-L-14, images", "CLIP ViT-B-32, images"
RATES = (
    Rate(BLIP2, "224 x 224", "40", 144.5, "a"),
    Rate(BLIP2, "224 x 224", "20", 263, "b"),
    Rate(BLIP2 + ", prototype", "224 x 224", "40", 358, "c"),
    Rate(BLIP2, "224 x 224", "40", None, "limit", operations=907e9),
    Rate(BLIP2, "224 x 224", "40", 144.5, "peaks", gpu="A100"),
    Rate(BLIP2, "224 x 224", "40", 144.5, "peaks", gpu="L4"),
    Rate(QWEN, "512 x 384", "40", 8.2, "d"),
    Rate(QWEN + ", by `generate`", "512 x 384", "40", 20.5, "e"),
    Rate(QWEN, "512 x 384", "40", None, "limit", operations=3.1e12),
    Rate(L14, "224 x 224", "", 1_028, "f"),
    Rate(L14 + ", bare forward", "224 x 224", "", 2_720, "g"),
    Rate(L14, "224 x 224", "", 1_028, "peaks", gpu="A100"),
    Rate(B32, "224 x 224", "", 1_155, "h"),
    Rate(B32 + ", bare forward", "224 x 224", "", 31_839, "i"),
)


@dataclass(frozen=True)
class Selecting:
    """What selecting takes of one core; it needs no GPU.

    Attributes:
        work: What is done.
        seconds: Of one core, by the number of rows.
        source: How they are known.
    """

    work: str
    seconds: Callable[[float], float]
    source: str


def linear(seconds: float, rows: float) -> Callable[[float], float]:
    """Processor seconds that grow with the rows, from a measured number of both."""
    return lambda n: seconds * n / rows


def of_hashes(n: float, bits: int = 6) -> float:
    """Processor seconds of near pairs among n hashes, with the blocks that cost least.

    Each choice of blocks puts every hash in order, and compares those that agree by chance.
    """

    def seconds(blocks: int) -> float:
        agreeing = n**2 / 2 / 2 ** (64 * (blocks - bits) / blocks)
        return comb(blocks, bits) * (n * A_HASH + agreeing * A_PAIR)

    return min(map(seconds, range(bits + 1, bits + 13)))


SELECTING = (
    Selecting("a cut-off edited: thresholds, mix", linear(39, 12.8e6), "39 s on 12.8 M rows (j)"),
    Selecting("`recap mix try`, five mixes", linear(51, 12.8e6), "51 s on 12.8 M rows (k)"),
    Selecting("near duplicates by hash, 6 bits", of_hashes, "derived (orders)"),
)


def table(price: float) -> Iterator[str]:
    """The costs of captions and scores, in markdown."""
    yield f"| model | pixels | tokens | GPU | images/s | {_SIZES} | 1.28 B on 1,000 GPUs | |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for rate in RATES:
        hours = [size / rate.images / HOUR for size in SIZES]
        costs = " | ".join(
            f"{_round(one)} h, ${_round(one * price)}" if rate.gpu == "H200" else f"{_round(one)} h"
            for one in hours
        )
        source = f"measured ({rate.source})" if rate.is_measured else f"derived ({rate.source})"
        yield (
            f"| {rate.work} | {rate.pixels} | {rate.tokens or 'none'} | {rate.gpu} | "
            f"{_round(rate.images)} | {costs} | {_round(hours[-1] / 1_000)} h | {source} |"
        )


def selecting_table() -> Iterator[str]:
    """The costs of selecting, in markdown."""
    yield f"| on one core | {_SIZES} | |"
    yield "| --- | --- | --- | --- | --- |"
    for one in SELECTING:
        hours = [one.seconds(size) / HOUR for size in SIZES]
        costs = " | ".join(f"{_round(h)} h" for h in hours)
        yield f"| {one.work} | {costs} | {one.source} |"


def _round(value: float) -> str:
    """Three digits, and two where it is below one."""
    if value >= 100:
        digits = len(str(int(value))) - 3
        return f"{round(value / 10**digits) * 10**digits:,}"
    return f"{value:.3g}" if value >= 1 else f"{value:.2g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--price", type=float, default=PRICE, help="dollars an hour of an H200")
    args = parser.parse_args()
    print("\n".join((*table(args.price), "", *selecting_table())))


if __name__ == "__main__":
    main()
