"""What all prompts of a chat model begin with, read once, against reading every prompt as a whole.

LLaVA's architecture with random weights: a language model of 4 layers, 256 wide, and images of 16
tokens. The template begins with a system message, of which there is a short and a long one. Both
sides are the platform's captioner on one processor; on one of them prompts are read as wholes.
Rounds alternate, on images of their own; the median of the ratios of processor time counts, and the
captions must be equal.

    python benchmarks/prompt_prefix.py [--images 48] [--rounds 5] [--tokens 8] [--system 32 256]
"""

import argparse
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from transformers import (
    CLIPImageProcessor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)
from verdicts import machine, verdict

sys.path.insert(0, str(Path(__file__).parents[1]))  # tokenizer and template are those of the tests

from recap_assets.captions.kinds.transformers import TransformersSource
from recap_assets.captions.kinds.transformers.engine import load_transformers_captioner
from recap_assets.engines.decoding.batching import BatchingCaptioner
from recap_assets_tests.captions.kinds.transformers.families import (
    LLAMA,
    MARKS,
    SIDE,
    TEMPLATE,
    TOWER,
    WORDS,
    shuffle_weights,
    tokenizer_of,
)

TARGET = 1.0
"""Reading less should never cost more."""
SIZE = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 4}
IMAGE_TOKENS = 16
PATCH = 8


def write_model(folder: Path, n_system: int) -> Path:
    """A model whose template begins with a system message of that many tokens."""
    tokenizer = tokenizer_of(MARKS, ("<image>", "user", "assistant"))
    ids = {
        f"{name}_id": tokenizer.convert_tokens_to_ids(MARKS[name])
        for name in ("bos_token", "eos_token", "pad_token")
    }
    text = {**LLAMA, **SIZE, "max_position_embeddings": 2048, "vocab_size": len(tokenizer), **ids}
    config = LlavaConfig(
        vision_config={"model_type": "clip_vision_model", "projection_dim": 16, **TOWER},
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=IMAGE_TOKENS,
    )
    system = " ".join(WORDS[n % len(WORDS)] for n in range(n_system))
    template = f"{{{{ '{system} ' }}}}{TEMPLATE.replace('IMAGE', '<image>')}"
    processor = LlavaProcessor(
        CLIPImageProcessor(size=SIDE, crop_size=SIDE, do_center_crop=False),
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    )
    model = LlavaForConditionalGeneration(config)
    shuffle_weights(model, seed=15, scale=0.05)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def captioner_of(folder: Path, tokens: int, *, shares: bool) -> BatchingCaptioner:
    """The platform's, on one processor."""
    source = TransformersSource.model_validate(
        {
            "kind": "transformers", "model": str(folder), "device": "cpu", "batch_size": 16,
            "prompt": " ".join(WORDS[:8]),
            "decoding": {"min_tokens": tokens, "max_tokens": tokens, "temperature": 1.5},
        }
    )  # fmt: skip
    found = load_transformers_captioner(source)
    assert isinstance(found, BatchingCaptioner)
    found.reader.prefix.is_given_up = not shares
    return found


def images(n: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(n)]


def captioned(captioner: BatchingCaptioner, n: int, seed: int) -> tuple[float, list[str]]:
    """Processor time of captioning images of a seed, and the captions."""
    uids = [number.to_bytes(16, "big") for number in range(n)]
    start = time.process_time()
    found = captioner.caption(images(n, seed), uids)
    return time.process_time() - start, [one.text for (one,) in found]


def compare(folder: Path, n_system: int, args: argparse.Namespace) -> float:
    """The median ratio of processor time."""
    write_model(folder, n_system)
    sharing, plain = (captioner_of(folder, args.tokens, shares=one) for one in (True, False))
    ratios = []
    for number in range(args.rounds + 1):
        short, ours = captioned(sharing, args.images, number)
        whole, theirs = captioned(plain, args.images, number)
        if ours != theirs:
            raise SystemExit("the captions differ")
        if number:  # the first round loads kernels, and shows what is shared
            ratios.append(whole / short)
    (prepared, *_) = [plain.reader.prepare(one) for one in images(1, 0)]
    n_tokens = plain.reader.length(prepared)
    is_shared = not sharing.reader.prefix.is_given_up
    print(
        f"{n_system} tokens of a system message in prompts of {n_tokens}, {args.tokens} written: "
        f"{whole:.2f} s as wholes, {short:.2f} s behind what {'is' if is_shared else 'was not'} "
        f"shared; {len(set(ours))} different captions of {args.images}",
        flush=True,
    )
    return statistics.median(ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=8, help="of a caption")
    parser.add_argument("--system", type=int, nargs="+", default=[32, 256])
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    for n_system in args.system:
        with TemporaryDirectory() as name:
            ratio = compare(Path(name), n_system, args)
        verdict(f"captions of a chat model, system message of {n_system} tokens", ratio, TARGET)


if __name__ == "__main__":
    main()
