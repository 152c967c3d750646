"""Images of an evaluation set for the second model and those after it, against the first's.

The set is read from its tar, and each image decoded and resized, as without a cache; or found in
the cache. Then the same with the model behind it: the embedded CLIP, and ViT-B-32, both with random
weights. A second figure has what the first model pays for filling the cache. The set is caltech101
of the shared data where RECAP_SHARED_DATA names it, else JPEG files of smoothed noise. Rounds
alternate; the median of the ratios of processor time counts, and the pixels must be equal.

    python benchmarks/evaluation_sets.py [--images 512] [--rounds 5] [--without-models]
"""

import argparse
import io
import itertools
import os
import shutil
import statistics
import tarfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import open_clip
import torch
from PIL import Image
from verdicts import machine, verdict

from recap_assets.engines.open_clip.scorer import ClipScorer
from recap_assets.engines.protocols import Resizing
from recap_assets.engines.small.inference import SmallScorer
from recap_assets.engines.small.tokenizer import train_tokenizer
from recap_assets.engines.small.towers import SmallClip
from recap_assets.evalsets.image_cache import ImageCache
from recap_assets.evalsets.sets import ClassificationSet, load_set
from recap_assets.evalsets.webdatasets import Decode
from recap_assets.evaluation.cached_images import decode_whole
from recap_assets.evaluation.zero_shot import ahead
from recap_assets.specs.models import SmallTower

SECOND = 5.0
"""The set is decoded and resized no more, so it should cost a fraction."""
FIRST = 1.1
BATCH = 64
MODELS = ("the embedded CLIP", "ViT-B-32")

Use = Callable[[list[np.ndarray]], object]


def write_set(folder: Path, n: int) -> Path:
    """JPEG files of 500 x 375 pixels, about 50 kB each."""
    rng = np.random.default_rng(0)
    (folder / "test").mkdir(parents=True)
    (folder / "test" / "nshards.txt").write_text("1\n")
    (folder / "classnames.txt").write_text("one\n")
    (folder / "zeroshot_classification_templates.txt").write_text("a photo of {c}.\n")
    with tarfile.open(folder / "test" / "0.tar", "w") as tar:
        for number in range(n):
            small = rng.integers(0, 256, (94, 125, 3), np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(small).resize((500, 375)).save(buffer, "JPEG", quality=85)
            for ending, content in (("jpg", buffer.getvalue()), ("cls", b"0")):
                info = tarfile.TarInfo(f"{number:06}.{ending}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return folder


def models() -> Iterator[tuple[str, SmallScorer | ClipScorer]]:
    torch.manual_seed(0)
    cpu = torch.device("cpu")
    tokenizer = train_tokenizer(["a photo of a dog", "a drawing of a cat"], 300)
    small = SmallClip(SmallTower(), tokenizer.get_vocab_size()).eval()
    yield MODELS[0], SmallScorer(small, tokenizer, BATCH, cpu)
    large = open_clip.create_model(MODELS[1]).eval()
    yield MODELS[1], ClipScorer(large, open_clip.get_tokenizer(MODELS[1]), "float32", BATCH, cpu)


def read(place: Path, decode: Decode, n: int, use: Use) -> None:
    """Read the set as an evaluation does, a batch ahead of its use."""
    found = load_set(str(place), "test", decode)
    assert isinstance(found, ClassificationSet)
    batches = -(-n // BATCH)
    for images in itertools.islice(ahead(lambda: found.images(BATCH)), batches):
        use(images)


def resized(resizing: Resizing, content: bytes) -> np.ndarray:
    return resizing.resize(decode_whole(content))


def resize_all(resizing: Resizing, images: list[np.ndarray]) -> None:
    for image in images:
        resizing.resize(image)


def unused(images: list[np.ndarray]) -> None:
    """The images, which need nothing more."""


def seconds(work: Callable[[], None]) -> float:
    """Processor time of all threads."""
    start = time.process_time()
    work()
    return time.process_time() - start


class Sides:
    """The three ways to have the images of one model."""

    def __init__(self, place: Path, root: Path, n: int, resizing: Resizing) -> None:
        self.place, self.n, self.resizing = place, n, resizing
        self.root, self.decode = root, partial(resized, resizing)

    def plain(self, use: Use) -> None:
        """As without a cache: whole images, which the model resizes."""
        read(self.place, decode_whole, self.n, use)

    def first(self, use: Use) -> None:
        """Into an empty cache."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.later(use)

    def later(self, use: Use) -> None:
        """From the cache."""
        cache = ImageCache(self.root, 2**34)
        with cache.of_set("size", "set", self.resizing.shape, self.decode) as decode:
            read(self.place, decode, self.n, use)


def compare(sides: Sides, plain: Use, cached: Use, rounds: int) -> tuple[float, float]:
    """What the second model saves, and what the first pays: ratios of processor time."""
    sides.first(cached)
    saved, paid = [], []
    for _ in range(rounds):
        decoded = seconds(lambda: sides.plain(plain))
        filled = seconds(lambda: sides.first(cached))
        found = seconds(lambda: sides.later(cached))
        saved.append(decoded / found)
        paid.append(filled / decoded)
        print(
            f"  {decoded:.2f} s decoded, {filled:.2f} s and kept, {found:.2f} s found", flush=True
        )
    return statistics.median(saved), statistics.median(paid)


def check(sides: Sides) -> None:
    """The pixels from the cache are those of decoding."""
    plain, cached = [], []
    sides.plain(lambda images: plain.extend(map(sides.resizing.resize, images)))
    sides.first(lambda _images: None)
    sides.later(cached.extend)
    if not all(map(np.array_equal, plain, cached)) or len(plain) != len(cached):
        raise SystemExit("the pixels differ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without-models", action="store_true", help="the images alone")
    args = parser.parse_args()
    torch.set_num_threads(1)
    shared = os.environ.get("RECAP_SHARED_DATA")
    print(f"{machine()}; {args.images} images of {'caltech101' if shared else 'noise'}")
    with TemporaryDirectory() as name:
        folder = Path(name)
        place = Path(shared, "eval", "caltech101") if shared else None
        place = place or write_set(folder / "set", args.images)
        for what, model in models():
            resizing = model.resizing
            assert resizing is not None
            sides = Sides(place, folder / "cache", args.images, resizing)
            check(sides)
            print(f"images for {what}, {resizing.shape[0]} pixels", flush=True)
            saved, _ = compare(sides, partial(resize_all, resizing), unused, args.rounds)
            verdict(f"images of a set for the second model, {what}", saved, SECOND)
            if not args.without_models:
                print(f"with {what}", flush=True)
                saved, paid = compare(sides, model.embed_images, model.embed_images, args.rounds)
                verdict(f"embedding a set by the second model, {what}", saved, 1.0)
                verdict("the same, what the first model pays", paid, FIRST, at_most=True)


if __name__ == "__main__":
    main()
