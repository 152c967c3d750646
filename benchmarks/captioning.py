"""Our captioners against a plain loop that captions one image at a time.

BLIP-base (the architecture of Salesforce/blip-image-captioning-base) and the embedded captioner,
both with random weights: the plain side is what a user writes, processor and `generate` with its
key-value cache for BLIP, cached steps and `torch.multinomial` for the embedded one. Both sides
write equally many tokens. Rounds alternate and the median of the rounds' ratios counts. The ratio
of processor seconds stands beside that of wall time: on a busy machine it is the steadier one.

    python benchmarks/captioning.py [--model both] [--tokens 20] [--rounds 3] [--threads 0]

In float32 an image costs BLIP-base's vision tower 98 billion operations in matrix products on
either side, so no way of decoding can reach 3 times where that is more than a third of the plain
loop: on AVX2 it is half. Where the processor multiplies bfloat16 matrices in hardware (AMX), the
same captioner is measured with `precision: bfloat16` too.
"""

import argparse
import copy
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer, models
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
    PreTrainedTokenizerFast,
)
from verdicts import machine, verdict

from recap_assets.captions.kinds.transformers.blip import Blip
from recap_assets.engines.decoding.captioner import SamplingCaptioner
from recap_assets.engines.protocols import Captioner
from recap_assets.engines.small.decoder import DecoderShape, SmallCaptionModel
from recap_assets.engines.small.images import to_square
from recap_assets.engines.small.inference import SmallCaptioner, pixels_to_input
from recap_assets.engines.small.tokenizer import BOS, EOS, train_tokenizer
from recap_assets.specs.decoding import Decoding
from recap_assets.specs.models import SmallTower

TARGET = 3.0
TEMPERATURE, TOP_K = 0.75, 50
CPU = torch.device("cpu")
Pixels = NDArray[np.uint8]


def decoding_of(tokens: int) -> Decoding:
    return Decoding(temperature=TEMPERATURE, top_k=TOP_K, min_tokens=0, max_tokens=tokens)


def blip_base() -> tuple[BlipForConditionalGeneration, BlipProcessor]:
    """The architecture of Salesforce/blip-image-captioning-base and a processor of its shape."""
    text = {
        "encoder_hidden_size": 768,
        "bos_token_id": 30522,
        "eos_token_id": 2,
        "sep_token_id": 102,
        "pad_token_id": 0,
    }
    vision = {"image_size": 384, "initializer_range": 0.02}
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision)).eval()
    words = {f"word{n}": n for n in range(model.config.text_config.vocab_size)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="word100")),
        unk_token="word100",
        pad_token="word0",
    )
    return model, BlipProcessor(BlipImageProcessor(), tokenizer)


def plain_blip(
    model: BlipForConditionalGeneration, processor: BlipProcessor, tokens: int
) -> Callable:
    def caption(images: list[Pixels]) -> list[str]:
        captions = []
        for image in images:
            inputs = processor(images=Image.fromarray(image), return_tensors="pt")
            with torch.inference_mode():
                written = model.generate(
                    **inputs,
                    do_sample=True,
                    top_k=TOP_K,
                    temperature=TEMPERATURE,
                    max_new_tokens=tokens,
                )
            captions.append(processor.decode(written[0], skip_special_tokens=True))
        return captions

    return caption


def small_captioner() -> tuple[SmallCaptionModel, Tokenizer]:
    """The embedded captioner, untrained, and a tokenizer of some words."""
    tokenizer = train_tokenizer([f"a number{n} thing" for n in range(3000)], 3000)
    vocabulary = tokenizer.get_vocab_size()
    shape = DecoderShape(width=128, layers=2, vocabulary=vocabulary)
    model = SmallCaptionModel(SmallTower(), shape).eval()
    torch.nn.init.normal_(model.decoder.head.weight, std=0.1)
    return model, tokenizer


@torch.inference_mode()
def plain_small_caption(
    model: SmallCaptionModel, tokenizer: Tokenizer, image: Pixels, tokens: int
) -> str:
    pixels = torch.from_numpy(to_square([image], model.tower_spec.image_size))
    cache = model.decoder.start(model.visual.tokens(pixels_to_input(pixels)), 1, tokens)
    current, written = torch.tensor([BOS]), []
    for position in range(tokens):
        values, ids = model.decoder.step(current, position, cache).topk(TOP_K)
        chosen = torch.multinomial((values / TEMPERATURE).softmax(-1), 1)
        current = ids.gather(1, chosen)[:, 0]
        if int(current) == EOS:
            break
        written.append(int(current))
    return tokenizer.decode(written)


def compare(
    name: str, ours: Captioner, plain: Callable, images: list[Pixels], n_plain: int, rounds: int
) -> None:
    """Print how many times faster `ours` is; it captions all, plain the first few."""
    uids = [n.to_bytes(16, "big") for n in range(len(images))]
    ours.caption(images[:8], uids[:8])
    plain(images[:1])
    pairs = []
    for _ in range(rounds):
        start = clocks()
        plain(images[:n_plain])
        middle = clocks()
        ours.caption(images, uids)
        ends = clocks()
        pairs.append((len(images) / (ends - middle), n_plain / (middle - start)))
    ratio, cpu_ratio = np.median([ours / plain for ours, plain in pairs], axis=0)
    rates = np.median(pairs, axis=0)[:, 0]
    print(
        f"{name}: {ratio:.2f} times a plain loop "
        f"({rates[0]:.2f} against {rates[1]:.2f} images a second; "
        f"{cpu_ratio:.2f} in processor time)",
        flush=True,
    )
    verdict(f"captioning, {name}", ratio, TARGET)
    verdict(f"captioning, {name}, processor time", cpu_ratio, TARGET)


def clocks() -> NDArray[np.float64]:
    """Wall and processor seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def random_images(n: int, height: int, width: int) -> list[Pixels]:
    return list(np.random.default_rng(0).integers(0, 256, (n, height, width, 3), dtype=np.uint8))


def measure_blip(tokens: int, rounds: int) -> None:
    torch.manual_seed(0)
    model, processor = blip_base()
    plain = plain_blip(copy.deepcopy(model), processor, tokens)
    images, decoding = random_images(16, 384, 512), decoding_of(tokens)
    ours = SamplingCaptioner(Blip(model, processor, CPU, None), decoding, 1, 16)
    compare(f"BLIP-base, {tokens} tokens, float32", ours, plain, images, 6, rounds)
    if torch.cpu._is_amx_tile_supported():  # noqa: SLF001 - torch offers no public test
        half = Blip(model.to(torch.bfloat16), processor, CPU, None)
        ours = SamplingCaptioner(half, decoding, 1, 16)
        compare(f"BLIP-base, {tokens} tokens, bfloat16", ours, plain, images, 6, rounds)


def measure_small(tokens: int, rounds: int) -> None:
    torch.manual_seed(0)
    model, tokenizer = small_captioner()
    twin = copy.deepcopy(model)
    images = random_images(1024, 64, 64)
    ours = SmallCaptioner(model, tokenizer, decoding_of(tokens), 1, 64, CPU)

    def plain(some: list[Pixels]) -> list[str]:
        return [plain_small_caption(twin, tokenizer, image, tokens) for image in some]

    compare(f"embedded captioner, {tokens} tokens", ours, plain, images, 64, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=["blip", "small", "both"], default="both")
    parser.add_argument("--tokens", type=int, default=20, help="most tokens of a caption of BLIP")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: its own choice")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    print(f"{machine()}; torch with {torch.get_num_threads()} threads")
    if args.model != "blip":
        measure_small(15, args.rounds)
    if args.model != "small":
        measure_blip(args.tokens, args.rounds)


if __name__ == "__main__":
    main()
