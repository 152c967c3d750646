"""Captioning on a GPU by a model of BLIP-2's shape: rates, shares of the limit, equal captions.

The architecture of Salesforce/blip2-opt-2.7b with random weights in bfloat16, which make captions
more sensitive to rounding than trained ones. `gpu.py --captions` runs all parts within its time,
the most important first; each writes a line of JSON at once. `--tiny` tries every line out on a
CPU.

A rate is of images that are decoded already, prepared as the stage does it: a batch ahead. The
limit is the rate of a large matrix product on the same device, measured first, over the products
with the weights that a caption takes (attention is left out, a few per cent).
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessor,
    GenerationConfig,
    PreTrainedTokenizerFast,
)

from recap_assets.captions.kinds.transformers.qformer import Blip2
from recap_assets.engines.batch_sizes import BatchSize, Load, free_memory
from recap_assets.engines.decoding.batching import BatchingCaptioner, FixedSizeReader
from recap_assets.engines.decoding.on_device import OnDevice
from recap_assets.engines.decoding.steady import Steady
from recap_assets.engines.devices import pinned_attention
from recap_assets.specs.decoding import Decoding

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
TEMPERATURE, TOP_K = 0.75, 50
END, IMAGE, WORDS = 50_118, 50_265, 50_304
FOUND = Path(mkdtemp()) / "row_classes.json"
"""Numbers of rows are found once for all parts."""

WARM_UP = 3
"""Batches until all steps are replayed: they are run, then recorded."""


@dataclass
class Bench:
    """The model, and what the parts found.

    Attributes:
        into: File of raw results, a line of JSON each.
        tiny: A toy of the same layout, on a CPU.
        until: When to begin no more parts, by `time.monotonic`.
        rows: The table's lines.
    """

    into: Path
    tiny: bool
    until: float
    rows: list[str] = field(default_factory=list)
    flops: float = 0.0
    peak: float = 0.0

    def __post_init__(self) -> None:
        self.into.write_text("")
        self.tokens = 8 if self.tiny else 40
        self.batch = 16 if self.tiny else 256
        self.sizes = (16, 32) if self.tiny else (256, 512, 1_024)

    def say(self, part: str, **found: object) -> None:
        """Keep a result, and show it."""
        line = json.dumps({"part": part, **found}, default=str)
        with self.into.open("a") as file:
            file.write(line + "\n")
        print(line, flush=True)

    def rate(self, name: str, n: int, seconds: float, **found: object) -> None:
        """Keep a rate, with its share of the limit."""
        share = n / seconds * self.flops / self.peak
        self.rows.append(f"| {name} | {n / seconds:.0f} | {share:.2f} |")
        self.say(name, images_s=round(n / seconds, 1), of_limit=round(share, 3), **found)

    def decoding(self, **changes: object) -> Decoding:
        """Captions that all have the full length, unless it is changed."""
        bounds = {"min_tokens": self.tokens, "max_tokens": self.tokens}
        return Decoding(**{"temperature": TEMPERATURE, "top_k": TOP_K, **bounds, **changes})


def shape(*, tiny: bool) -> tuple[Blip2Config, Blip2Processor]:
    """Config and processor of BLIP-2 with OPT of 2.7 billion weights."""
    words, end, image, side = (304, 118, 265, 28) if tiny else (WORDS, END, IMAGE, 224)
    marks = {"pad_token": 1, "bos_token": 2, "unk_token": 3, "eos_token": end}
    named = {f"<{name}>": n for name, n in marks.items()} | {"<image>": image}
    taken = set(named.values())
    vocabulary = {f"w{n}": n for n in range(words) if n not in taken} | named
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk_token>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, extra_special_tokens=["<image>"],
        **{name: f"<{name}>" for name in marks},
    )  # fmt: skip
    pixels = BlipImageProcessor(size={"height": side, "width": side})
    text = {"model_type": "opt", "vocab_size": words, "hidden_size": 2_560, "ffn_dim": 10_240,
            "word_embed_proj_dim": 2_560, "num_hidden_layers": 32, "num_attention_heads": 32,
            "bos_token_id": 2, "eos_token_id": end, "pad_token_id": 1}  # fmt: skip
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    towers: dict[str, Any] = {"vision_config": {}, "qformer_config": {}}
    if tiny:
        text |= small | {"ffn_dim": 64, "word_embed_proj_dim": 32}
        towers["vision_config"] = small | {"intermediate_size": 64, "image_size": side}
        towers["qformer_config"] = small | {"intermediate_size": 64, "encoder_hidden_size": 32}
    config = Blip2Config(**towers, text_config=text, num_query_tokens=32, image_token_index=image)
    return config, Blip2Processor(pixels, fast, num_query_tokens=32)


def model_of(config: Blip2Config) -> Blip2ForConditionalGeneration:
    """The model with random weights, made on the device."""
    with torch.device("meta"):
        model = Blip2ForConditionalGeneration(config)
    model = model.to(torch.bfloat16).to_empty(device=DEVICE)
    model.tie_weights()
    torch.manual_seed(0)
    for name, weight in model.named_parameters():
        is_norm = "norm" in name.lower() and name.endswith("weight")
        weight.data.fill_(1.0) if is_norm else nn.init.normal_(weight, std=0.02)
    end = config.text_config.eos_token_id
    model.generation_config = GenerationConfig(bos_token_id=2, pad_token_id=1, eos_token_id=end)
    return model.eval()


def flops_of(model: Blip2ForConditionalGeneration, tokens: int) -> float:
    """Of the products with the weights, for one image's caption."""

    def weights(part: nn.Module) -> int:
        return sum(one.numel() for one in part.parameters() if one.dim() > 1)

    vision = model.config.vision_config
    places = (vision.image_size // vision.patch_size) ** 2 + 1
    queries = model.config.num_query_tokens
    of_text = weights(model.language_model) * (queries + 1 + tokens - 1)
    return 2.0 * (weights(model.vision_model) * places + weights(model.qformer) * queries + of_text)


def measured_peak() -> float:
    """Operations a second of a large product in bfloat16."""
    n, rounds = (8_192, 20) if CUDA else (512, 2)
    one = torch.randn(n, n, device=DEVICE, dtype=torch.bfloat16)
    one @ one
    seconds, _ = timed(lambda: [one @ one for _ in range(rounds)])
    return rounds * 2.0 * n**3 / seconds


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds by the clock, the device idle before and after, and the result."""
    if CUDA:
        torch.cuda.synchronize()
    start = time.perf_counter()
    result = work()
    if CUDA:
        torch.cuda.synchronize()
    return time.perf_counter() - start, result


@lru_cache
def unique_noise() -> list[np.ndarray]:
    """Images of 512 by 384, large squares under fine noise, all different."""
    rng = np.random.default_rng(0)
    fine = rng.integers(0, 128, (384, 512, 3), dtype=np.uint8)
    large = rng.integers(0, 256, (256, 48, 64, 3), dtype=np.uint8)
    return [one.repeat(8, 0).repeat(8, 1) // 2 + fine for one in large]


def noise(n: int) -> list[np.ndarray]:
    """`n` of them, again and again."""
    unique = unique_noise()
    return [unique[i % len(unique)] for i in range(n)]


def uids_of(n: int) -> list[bytes]:
    return [(7919 * (i + 1)).to_bytes(16, "big") for i in range(n)]


def captioner_of(
    adapter: Blip2, decoding: Decoding, rows: int, *, in_place: bool = True
) -> BatchingCaptioner[Any, Any]:
    """A captioner as the engine makes it, but that it may be made to wait for the device."""
    load = Load("BLIP-2's shape", None, "bfloat16", decoding.max_tokens, DEVICE.type)
    on_device = OnDevice(DEVICE, load, 1, FOUND)
    on_device.steady = Steady(DEVICE) if in_place else None
    reader = FixedSizeReader(adapter)
    return BatchingCaptioner(reader, decoding, 1, BatchSize(rows), on_device)


def captions_of(captioner: BatchingCaptioner[Any, Any], n: int, rows: int) -> list[str]:
    """Captions of `n` images, batch by batch, the next one begun before each."""
    images, uids, found = noise(n), uids_of(n), []
    parts = [slice(first, first + rows) for first in range(0, n, rows)]
    under_way = [captioner.begin(images[parts[0]], uids[parts[0]])]
    for part in [*parts[1:], None]:
        if part is not None:
            under_way.append(captioner.begin(images[part], uids[part]))
        found += [caption.text for (caption,) in under_way.pop(0)()]
    return found


def rates(bench: Bench, adapter: Blip2) -> None:
    """In place, by number of rows; and the loop that waits, with the same captions."""
    waiting = captioner_of(adapter, bench.decoding(), bench.batch, in_place=False)
    captions_of(waiting, bench.batch, bench.batch)
    seconds, expected = timed(lambda: captions_of(waiting, 2 * bench.batch, bench.batch))
    bench.rate(f"waiting for the device, {bench.batch} rows", 2 * bench.batch, seconds)
    for rows in bench.sizes:
        captioner = captioner_of(adapter, bench.decoding(), rows)
        first, _ = timed(lambda c=captioner, r=rows: captions_of(c, WARM_UP * r, r))
        n = 3 * rows
        seconds, found = timed(lambda c=captioner, n=n, r=rows: captions_of(c, n, r))
        same = sum(a == b for a, b in zip(found, expected, strict=False))
        bench.rate(f"in place, {rows} rows", n, seconds, warm_up_s=round(first, 1),
                   same_captions=same, of=min(len(found), len(expected)),
                   **captioner.made_on().machine, gpu_gb=peak_gb())  # fmt: skip


def generate(bench: Bench, adapter: Blip2) -> None:
    """What a user of transformers writes: the processor, and `generate`, in batches."""
    images = noise(bench.batch)
    options = {"do_sample": True, "top_k": TOP_K, "temperature": TEMPERATURE,
               "min_new_tokens": bench.tokens, "max_new_tokens": bench.tokens}  # fmt: skip

    def write() -> torch.Tensor:
        inputs = adapter.processor(images=images, text=["w9"] * len(images), return_tensors="pt")
        inputs = inputs.to(DEVICE, torch.bfloat16)
        return adapter.model.generate(**inputs, **options)

    with torch.inference_mode():
        write()
        seconds, _ = timed(write)
    bench.rate(f"transformers' generate, {bench.batch} rows", bench.batch, seconds)


def promise(bench: Bench, adapter: Blip2) -> None:
    """The same captions for every batch size, and in another order."""
    n = bench.batch
    expected = captions_of(captioner_of(adapter, bench.decoding(), n), n, n)
    for rows in (8, n // 4, n // 2, 4 * n):
        captioner = captioner_of(adapter, bench.decoding(), rows)
        found = captions_of(captioner, n, n)
        same = sum(a == b for a, b in zip(found, expected, strict=True))
        bench.say("promise", batch_size=rows, same_captions=same, of=n,
                  **captioner.made_on().facts)  # fmt: skip
        bench.rows.append(f"| batch size {rows}: captions as with {n} | {same} of {n} | |")
    order = np.random.default_rng(0).permutation(n)
    images, uids = noise(n), uids_of(n)
    captioner = captioner_of(adapter, bench.decoding(), n)
    found = captioner.caption([images[i] for i in order], [uids[i] for i in order])
    same = sum(one[0].text == expected[i] for one, i in zip(found, order, strict=True))
    bench.say("promise", shuffled=True, same_captions=same, of=n)


def early_end(bench: Bench, adapter: Blip2) -> None:
    """Captions of about ten tokens, as real ones: finished rows are dropped."""
    eos, words = adapter.eos, adapter.vocabulary
    adapter.eos = list(range(words // 4, words // 4 + words // 9))
    decoding = bench.decoding(min_tokens=min(5, bench.tokens))
    try:
        for in_place in (False, True):
            captioner = captioner_of(adapter, decoding, bench.batch, in_place=in_place)
            captions_of(captioner, WARM_UP * bench.batch, bench.batch)
            n = 2 * bench.batch
            seconds, found = timed(lambda c=captioner, n=n: captions_of(c, n, bench.batch))
            words_each = sum(len(one.split()) for one in found) / n
            kind = "in place" if in_place else "waiting"
            bench.rows.append(f"| {kind}, {words_each:.1f} tokens | {n / seconds:.0f} | |")
            bench.say("early end", in_place=in_place, images_s=n / seconds, tokens=words_each,
                      digest=hash(tuple(found)))  # fmt: skip
    finally:
        adapter.eos = eos


def out_of_memory(bench: Bench, adapter: Blip2) -> None:
    """With little memory beside the weights: nothing is lost, and captions are the same."""
    n = bench.batch
    expected = captions_of(captioner_of(adapter, bench.decoding(), n), n, n)
    captioner = captioner_of(adapter, bench.decoding(), n)
    captions_of(captioner, 8, n)
    captioner.on_device.release()
    free_memory()
    total = torch.cuda.get_device_properties(DEVICE).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_allocated() + 5e9) / total)
    try:
        found = captions_of(captioner, n, n)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    same = sum(a == b for a, b in zip(found, expected, strict=True))
    bench.say("out of memory", same_captions=same, of=n, rows=captioner.size.rows,
              **captioner.made_on().facts)  # fmt: skip
    bench.rows.append(f"| 5 GB beside the weights: captions as before | {same} of {n} | |")


def peak_gb() -> float:
    return round(torch.cuda.max_memory_allocated() / 1e9, 1) if CUDA else 0.0


def run(seconds: float, into: Path, *, tiny: bool) -> int:
    """Run all parts that the time allows; how many failed."""
    bench = Bench(into, tiny, time.monotonic() + seconds)
    config, processor = shape(tiny=tiny)
    model = model_of(config)
    adapter = Blip2(model, processor, DEVICE, None)
    bench.flops, bench.peak = flops_of(model, bench.tokens), measured_peak()
    bench.say("limit", gflop_an_image=bench.flops / 1e9, tflops=bench.peak / 1e12,
              images_s=bench.peak / bench.flops)  # fmt: skip
    failed = 0
    for part in (rates, promise, generate, early_end, *([out_of_memory] if CUDA else [])):
        if time.monotonic() > bench.until:
            bench.say(part.__name__, skipped="no time left")
            continue
        try:
            with pinned_attention(DEVICE):
                part(bench, adapter)
        except Exception as error:
            # The other parts are measured all the same.
            failed += 1
            bench.say(part.__name__, failed=f"{type(error).__name__}: {error}"[:600])
        free_memory()
        if CUDA:
            torch.cuda.reset_peak_memory_stats()
    header = ["| captioning | images/s | of the limit |", "| --- | --- | --- |"]
    print("\n".join([*header, *bench.rows]))
    return failed
