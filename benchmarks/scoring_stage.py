"""The whole scoring stage against the bare forward of its model.

The stage: images read from tars and decoded, embedded, their embeddings written to Delta; texts and
embeddings read back, texts embedded, cosines written to Delta. It starts from an indexed pool and a
loaded model. The bare side is the model's forward of both towers, batch by batch, on tensors that
lie ready in memory. Two models with random weights: ViT-B-32 on JPEGs of 512 x 384, and the
embedded scorer on the embedded world's JPEGs of 64 x 64. Two bare sides:

- plain: open_clip's and the embedded scorer's modules as they are, all positions of the context;
- tuned: with what the scorers save, too: ViT-B-32's text tower at the length of the texts, the
  embedded image tower with its batch norms folded. The stricter one.

Torch has one thread on all sides. The stage also decodes in one background thread and resizes for
ViT-B-32 in others, so it takes part of a second core: processor time stands beside the clock's.
Rounds alternate, in an order that changes, and the median of the rounds' ratios counts.

    python benchmarks/scoring_stage.py [--images 96] [--samples 4096] [--rounds 5] [--profile]
"""

import argparse
import copy
import io
import json
import tarfile
import time
from collections.abc import Callable, Sequence
from cProfile import Profile
from pathlib import Path
from pstats import Stats
from tempfile import TemporaryDirectory

import numpy as np
import open_clip
import polars as pl
import torch
from partitions import write
from PIL import Image
from torch import Tensor
from verdicts import machine, verdict

from recap_assets.artefacts.captions import texts_of
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import CLIP_SCORES, IMAGE_EMBEDDINGS
from recap_assets.engines.open_clip.pixels import PixelTransform
from recap_assets.engines.open_clip.scorer import ClipScorer
from recap_assets.engines.open_clip.text_tower import bucket_of, text_encoder_of
from recap_assets.engines.small.files import read_tokenizer
from recap_assets.engines.small.images import to_square
from recap_assets.engines.small.inference import fold_batch_norm
from recap_assets.engines.small.loading import read_small_clip
from recap_assets.engines.small.tokenizer import encode
from recap_assets.engines.small.towers import pixels_to_input
from recap_assets.graph.node import Step
from recap_assets.graph.project import Project
from recap_assets.pool import assets as indexing
from recap_assets.scores import assets as scores
from recap_assets.scores.opened import embedder_of, embedding_scorer
from recap_assets.shards.reading import iterate_images
from recap_assets.specs.loading import parse_experiment
from recap_assets.specs.models import OpenClipTower, SmallTower
from recap_assets.specs.sources import RAW
from recap_assets.storage.workspace import Workspace
from recap_assets.training.engine.open_clip_trainee import OpenClipTrainee
from recap_assets.training.engine.small_trainee import SmallTrainee
from recap_assets.world.writing import write_pool

TARGET = 0.8
MODEL = "ViT-B-32"
SCORER = "clip"
SAMPLES_OF_A_SHARD = 1_000
CAPTION = "a small brown dog sleeps on a red sofa beside the window"

Sides = tuple[Callable[[], object], ...]
"""The stage, the plain forward, the tuned forward."""


def write_photographs(folder: Path, n: int) -> None:
    """One shard as img2dataset writes them, with smooth random JPEGs of 512 x 384 pixels."""
    random = np.random.default_rng(0)
    folder.mkdir()
    with tarfile.open(folder / "00000000.tar", "w") as tar:
        for i in range(n):
            coarse = Image.fromarray(random.integers(0, 255, (48, 64, 3), dtype=np.uint8))
            encoded = io.BytesIO()
            coarse.resize((512, 384), Image.Resampling.BICUBIC).save(encoded, "JPEG", quality=90)
            members = {
                "jpg": encoded.getvalue(),
                "txt": f"{CAPTION} {i}".encode(),
                "json": json.dumps({"uid": random.bytes(16).hex()}).encode(),
            }
            for extension, data in members.items():
                info = tarfile.TarInfo(f"{i:09d}.{extension}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def open_setting(root: Path, pool: Path, scorer: dict[str, object]) -> Project:
    """An experiment of one scorer on the shards in `pool`, indexed as one partition."""
    tower = {"kind": "clip", "corpus": "pairs", "samples_seen": 1}
    experiment = parse_experiment(
        {
            "name": "bench",
            "pool": {"kind": "webdataset", "shards": str(pool), "shards_per_partition": 1_000},
            "corpora": {
                "pairs": {
                    "kind": "embedded", "style": "scorer", "samples": 1, "captions_per_image": 1,
                }
            },
            "models": {SCORER: tower},
            "scorers": {SCORER: scorer},
            "mixes": {"raw": [{"use": "raw"}]},
            "training": {"samples_seen": 1},
            "evaluation": {"tasks": {"coarse": {"kind": "embedded", "task": "coarse"}}},
        }
    )  # fmt: skip
    project = Project(experiment, Workspace(root, experiment.name))
    project.scan()
    write(indexing.nodes(project), RAW_POOL.key(), Step(only_partition(project)))
    return project


def only_partition(project: Project) -> str:
    (partition,) = project.partitions
    return partition


def stage(project: Project) -> None:
    step = Step(only_partition(project), fingerprint="bench")
    nodes = scores.nodes(project)
    write(nodes, IMAGE_EMBEDDINGS.key(SCORER), step)
    write(nodes, CLIP_SCORES.key(SCORER, RAW), step)


def check(project: Project, n: int) -> None:
    """Refuse to compare where the stage left samples out."""
    tables = project.workspace.tables
    scored = tables.read(CLIP_SCORES)["score"].drop_nulls().len()
    embedded = tables.read(IMAGE_EMBEDDINGS).height
    usable = project.usable_images(only_partition(project)).height
    texts = texts_of(tables, RAW, only_partition(project))["text"].drop_nulls().len()
    if (embedded, scored, usable) != (n, texts, n):
        raise SystemExit(f"{n} samples, {usable} usable, {embedded} embedded, {scored} scored")


def decoded(project: Project) -> list[np.ndarray]:
    rows = project.usable_images(only_partition(project))
    batches = iterate_images(rows, project.shards, project.pool, batch_size=64)
    return [image for _, images in batches for image in images if image is not None]


def distinct_texts(project: Project) -> list[str]:
    texts = texts_of(project.workspace.tables, RAW, only_partition(project))["text"]
    return texts.drop_nulls().unique(maintain_order=True).to_list()


@torch.inference_mode()
def forward(encode_one: Callable[[Tensor], Tensor], inputs: Sequence[Tensor], batch: int) -> None:
    """The bare tower over all inputs, batch by batch."""
    for rows in inputs:
        for part in rows.split(batch):
            encode_one(part)


def open_clip_sides(root: Path, n: int) -> Sides:
    torch.manual_seed(0)
    folder = root / "vit"
    OpenClipTrainee(OpenClipTower(kind="open_clip", name=MODEL), (224, 224)).save(folder)
    write_photographs(root / "photographs", n)
    spec = {"kind": "open_clip", "model": f"local-dir:{folder}", "device": "cpu"}
    project = open_setting(root, root / "photographs", spec)
    stage(project)
    check(project, n)
    scorer = embedder_of(project, SCORER)
    assert isinstance(scorer, ClipScorer)
    model, batch = scorer.model, scorer.batch_size
    pixels = PixelTransform(model.visual.preprocess_cfg)(decoded(project))
    tokens = open_clip.get_tokenizer(MODEL)(distinct_texts(project))
    encoder = text_encoder_of(model)
    buckets = bucket_of(encoder, tokens)
    trimmed = [tokens[buckets == length, :length] for length in buckets.unique().tolist()]

    def plain() -> None:
        forward(model.encode_image, [pixels], batch)
        forward(model.encode_text, [tokens], batch)

    def tuned() -> None:
        forward(model.encode_image, [pixels], batch)
        forward(encoder, trimmed, batch)

    return lambda: stage(project), plain, tuned


def embedded_sides(root: Path, n: int) -> Sides:
    torch.manual_seed(0)
    pool = root / "drawn"
    write_pool(pool, 5, n, min(n, SAMPLES_OF_A_SHARD))
    spec = {"kind": "embedded", "model": SCORER, "device": "cpu"}
    project = open_setting(root / "embedded", pool, spec)
    texts, folder, tower = distinct_texts(project), project.workspace.model(SCORER), SmallTower()
    SmallTrainee(tower, texts, (tower.image_size, tower.image_size)).save(folder)
    stage(project)
    check(project, n)
    model = read_small_clip(folder)
    folded = copy.deepcopy(model)
    fold_batch_norm(folded.visual)
    batch = embedding_scorer(project, SCORER).at_once
    squares = to_square(decoded(project), tower.image_size)
    pixels = pixels_to_input(torch.from_numpy(squares))
    tokens = torch.from_numpy(encode(read_tokenizer(folder), texts, tower.context_length)).long()

    def plain() -> None:
        forward(model.encode_image, [pixels], batch)
        forward(model.encode_text, [tokens], batch)

    def tuned() -> None:
        forward(folded.encode_image, [pixels], batch)
        forward(folded.encode_text, [tokens], batch)

    return lambda: stage(project), plain, tuned


def clocks() -> np.ndarray:
    """Wall and processor seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def compare(name: str, sides: Sides, n: int, rounds: int) -> None:
    """Print which share of the bare rates the stage reaches on `n` samples."""
    for side in sides:
        side()
    spent = np.empty((rounds, len(sides), 2))
    for i in range(rounds):
        for at in np.roll(range(len(sides)), i):
            start = clocks()
            sides[at]()
            spent[i, at] = clocks() - start
    ours, *bare = spent.transpose(1, 0, 2)
    rate = n / np.median(ours, axis=0)
    print(f"{name}: {n} samples, {rate[0]:.1f} a second ({rate[1]:.1f} in processor time)")
    for label, theirs in zip(("plain", "tuned"), bare, strict=True):
        share, cpu_share = np.median(theirs / ours, axis=0)
        their_rate = n / np.median(theirs, axis=0)[0]
        print(
            f"  {share:.2f} of the {label} forward ({their_rate:.1f} a second; "
            f"{cpu_share:.2f} in processor time)"
        )
        verdict(f"scoring stage of {name} : {label} forward, clock", share, TARGET)
        verdict(f"scoring stage of {name} : {label} forward, processor", cpu_share, TARGET)


def profile(side: Callable[[], object]) -> None:
    """Where the main thread's time goes; the background thread decodes beside it."""
    profiler = Profile()
    profiler.runcall(side)
    Stats(profiler).sort_stats("cumulative").print_stats(45)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=96, help="samples for ViT-B-32; 0: leave out")
    parser.add_argument(
        "--samples", type=int, default=4_096, help="samples for the embedded scorer; 0: leave out"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", action="store_true", help="profile the stage instead")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{machine()}; torch with 1 thread, polars with {pl.thread_pool_size()}")
    makers = ((MODEL, open_clip_sides, args.images), ("embedded", embedded_sides, args.samples))
    for name, make, n in makers:
        if not n:
            continue
        with TemporaryDirectory() as root:
            sides = make(Path(root), n)
            if args.profile:
                profile(sides[0])
            else:
                compare(name, sides, n, args.rounds)


if __name__ == "__main__":
    main()
