"""The embedded world as files: pool shards, caption corpora and evaluation sets.

Every sample is a function of (seed, its number) alone. Files appear under their name only when they
are whole, so that a crash leaves no half-written tar.
"""

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

from recap_assets.world import drawing, texts
from recap_assets.world.evaluation import TASKS, Drawn
from recap_assets.world.harder import HARDER, Harder
from recap_assets.world.scenes import FINE, Scene, World, draw_scene, stream, world_of
from recap_assets.world.views import AS_EVER, Drawing, pool_scene

CorpusStyle = Literal["broad", "narrow", "scorer", "broad_rot13"]
OnProgress = Callable[[int], None]
Member = tuple[str, bytes]

CORPUS_SHARD = 1_000
"""Samples in each tar of a corpus."""

_RICH_SHARE_OF_SCORER_CORPUS = 0.55
_ORIGINAL_SIDES = (256, 320, 480, 512, 600, 640, 800, 1024, 1200)
_PROGRESS_EVERY = 100


@dataclass(frozen=True)
class PoolSample:
    """One sample of the pool.

    Attributes:
        uid: 16 bytes, DataComp's 32 hex digits.
        scene: What was drawn: ground truth.
        image: JPEG.
        text: The raw alt-text.
        kind: What kind of text it is: ground truth, for evaluating scorers only.
    """

    uid: bytes
    scene: Scene
    image: bytes
    text: str
    kind: texts.RawKind
    original_side: int


def write_pool(
    directory: Path,
    seed: int,
    samples: int,
    samples_per_shard: int,
    shards: Sequence[int] | None = None,
    on_progress: OnProgress | None = None,
    drawn: Drawing = AS_EVER,
) -> None:
    """Write shards as img2dataset does: `NNNNNNNN.tar` with .jpg, .txt, .json, and `_stats.json`.

    The bytes of a sample depend on the seed and its number in the pool only, never on how the pool
    is cut into shards; a shard written twice has the same bytes. Other files are left alone.

    Args:
        directory: Where the shards go; made if it is missing.
        seed: Of the world.
        samples: Size of the whole pool.
        samples_per_shard: Samples in each shard; the last may hold fewer.
        shards: Numbers of the shards to write; all of them by default.
        on_progress: Called with the number of samples written so far.
        drawn: How often a scene is seen, and whether its boxes are written.

    Raises:
        ValueError: If a size is not positive or a number names no shard of the pool.
    """
    if samples < 1 or samples_per_shard < 1:
        msg = f"a pool needs samples and shards: {samples} samples, {samples_per_shard} per shard"
        raise ValueError(msg)
    n_shards = -(-samples // samples_per_shard)
    wanted = range(n_shards) if shards is None else shards
    if unknown := [number for number in wanted if not 0 <= number < n_shards]:
        msg = f"no shards {unknown} in a pool of {n_shards}"
        raise ValueError(msg)
    directory.mkdir(parents=True, exist_ok=True)
    world = world_of(seed)
    progress = _Progress(on_progress)
    for shard in wanted:
        start = shard * samples_per_shard
        numbers = range(start, min(samples, start + samples_per_shard))
        stats = json.dumps({"count": len(numbers), "successes": len(numbers)})
        _write_file(directory / f"{shard:08d}_stats.json", stats.encode())
        samples_of = progress.through(numbers)
        members = (member for i in samples_of for member in _members(world, i, drawn))
        _write_tar(directory / f"{shard:08d}.tar", members)
    progress.end()


def pool_uid(seed: int, number: int) -> bytes:
    """Uid of a sample of the pool, 16 bytes."""
    return hashlib.blake2b(f"uid:{seed}:{number}".encode(), digest_size=16).digest()


def pool_sample(world: World, number: int, views: int = 1) -> PoolSample:
    """One sample of the pool by its number, from 0, where each scene is seen `views` times."""
    rng, scene = pool_scene(world, number, views)
    image = drawing.jpeg(drawing.draw(scene, world.seed), drawing.draw_quality(rng))
    kind, text = texts.raw_text(rng, scene, world)
    side = _ORIGINAL_SIDES[int(rng.random() * len(_ORIGINAL_SIDES))]
    return PoolSample(pool_uid(world.seed, number), scene, image, text, kind, side)


def write_corpus(
    directory: Path,
    seed: int,
    style: CorpusStyle,
    samples: int,
    captions_per_image: int,
    on_progress: OnProgress | None = None,
) -> None:
    """Write tars of .jpg and .txt with a caption a line, replacing the whole folder.

    `broad` and `narrow` hold clean captions (see `texts.name_probabilities`), `broad_rot13` those
    of `broad` in the world's second language, `scorer` 55 % rich alt-text and 45 % clean captions.
    The corpora of a world differ in their pictures from its pool, its evaluation sets and each
    other; `broad` and `narrow` share none.

    Args:
        directory: The folder of the corpus; whatever it held is replaced once all is written.
        seed: Of the world.
        style: What the captions are like.
        samples: Images.
        captions_per_image: Captions of each image.
        on_progress: Called with the number of samples written so far.
    """
    world = world_of(seed)
    progress = _Progress(on_progress)

    def members(numbers: Iterable[int]) -> Iterator[Member]:
        for number in progress.through(numbers):
            image, captions = corpus_sample(world, style, number, captions_per_image)
            yield f"{number:08d}.jpg", image
            yield f"{number:08d}.txt", "\n".join(captions).encode()

    with _Replaced(directory) as folder:
        for shard, start in enumerate(range(0, samples, CORPUS_SHARD)):
            numbers = range(start, min(samples, start + CORPUS_SHARD))
            _write_tar(folder / f"{shard:08d}.tar", members(numbers))
    progress.end()


def corpus_sample(
    world: World, style: CorpusStyle, number: int, captions_per_image: int
) -> tuple[bytes, list[str]]:
    """The JPEG and the captions of one sample of a corpus."""
    rng = stream(world.seed, f"corpus {style}", number)
    scene = draw_scene(rng, world)
    image = drawing.jpeg(drawing.draw(scene, world.seed), drawing.draw_quality(rng))
    return image, [_corpus_caption(rng, world, scene, style) for _ in range(captions_per_image)]


def _corpus_caption(rng: Random, world: World, scene: Scene, style: CorpusStyle) -> str:
    if style == "broad_rot13":
        names = texts.name_probabilities(world, "broad")
        return texts.ciphered(texts.clean_caption(rng, scene, names))
    if style != "scorer":
        return texts.clean_caption(rng, scene, texts.name_probabilities(world, style))
    if rng.random() < _RICH_SHARE_OF_SCORER_CORPUS:
        return texts.rich_text(rng, scene)
    return texts.clean_caption(rng, scene, texts.name_probabilities(world, "reference"))


def write_task(
    directory: Path,
    seed: int,
    task: str,
    samples: int,
    on_progress: OnProgress | None = None,
) -> None:
    """Write an evaluation set in the layout of its kind, replacing the whole folder.

    Args:
        directory: The folder of the set.
        seed: Of the world.
        task: One of the tasks of `EmbeddedTask`.
        samples: Images, or pairs of sentences; classes take turns, so that they are as even as can
            be.
        on_progress: Called with the number of samples written so far.

    Raises:
        ValueError: If the task is unknown.
    """
    if task not in TASKS and task not in HARDER:
        msg = f"no task {task!r} in the embedded world; there are {', '.join((*TASKS, *HARDER))}"
        raise ValueError(msg)
    world = world_of(seed)
    progress = _Progress(on_progress)
    if task in HARDER:
        _write_harder(directory, world, HARDER[task], samples, progress)
        return
    held_out = TASKS[task]

    def members() -> Iterator[Member]:
        for number in progress.through(range(samples)):
            yield from _task_members(held_out.draw(world, number), number)

    with _Replaced(directory) as folder:
        (folder / "test").mkdir()
        _write_tar(folder / "test" / "0.tar", members())
        _write_file(folder / "test" / "nshards.txt", b"1")
        _write_file(folder / "dataset_type.txt", held_out.kind.encode())
        if held_out.kind == "classification":
            _write_file(folder / "classnames.txt", "\n".join(held_out.classes).encode())
            templates = "\n".join(held_out.templates).encode()
            _write_file(folder / "zeroshot_classification_templates.txt", templates)
    progress.end()


def _write_harder(
    directory: Path, world: World, harder: Harder, samples: int, progress: "_Progress"
) -> None:
    numbers = range(max(1, samples // harder.per_number))
    members = (member for n in progress.through(numbers) for member in harder.members(world, n))
    with _Replaced(directory) as folder:
        (folder / "test").mkdir()
        _write_tar(folder / "test" / "0.tar", members)
        _write_file(folder / "test" / "nshards.txt", b"1")
        for name, content in harder.beside(world, samples).items():
            _write_file(folder / name, content)
    progress.end()


def nouns() -> list[str]:
    """The world's nouns, lower case, singular and plural: what `Diversity.nouns` calls embedded."""
    return list(texts.lexicon())


def _members(world: World, number: int, drawn: Drawing) -> Iterator[Member]:
    sample = pool_sample(world, number, drawn.views)
    key = f"{number:09d}"
    record = {
        "uid": sample.uid.hex(),
        "url": f"https://images.example/{world.seed}/{key}.jpg",
        "key": key,
        "caption": sample.text,
        "status": "success",
        "sha256": hashlib.sha256(sample.image).hexdigest(),
        "width": drawing.SIDE,
        "height": drawing.SIDE,
        "original_width": sample.original_side,
        "original_height": sample.original_side,
        "kind": sample.kind,
        "fine": FINE[sample.scene.things[0].fine].name,
        **drawn.beside(sample.scene, number),
    }
    yield f"{key}.jpg", sample.image
    yield f"{key}.txt", sample.text.encode()
    yield f"{key}.json", json.dumps(record, ensure_ascii=False).encode()


def _task_members(drawn: Drawn, number: int) -> Iterator[Member]:
    key = f"s{number:07d}"
    yield f"{key}.jpg", drawing.jpeg(drawn.pixels, drawn.quality)
    if drawn.label is None:
        yield f"{key}.txt", "\n".join(drawn.captions).encode()
    else:
        yield f"{key}.cls", str(drawn.label).encode()


class _Progress:
    """Counts samples and reports every hundredth."""

    def __init__(self, on_progress: OnProgress | None) -> None:
        self._on_progress = on_progress
        self._n_done = 0

    def through(self, numbers: Iterable[int]) -> Iterator[int]:
        for number in numbers:
            yield number
            self._n_done += 1
            if self._n_done % _PROGRESS_EVERY == 0:
                self.end()

    def end(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self._n_done)


class _Replaced:
    """A folder that takes the place of `target` when the block ends without an error."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._new = target.with_name(f".{target.name}.new")
        self._old = target.with_name(f".{target.name}.old")

    def __enter__(self) -> Path:
        for leftover in (self._new, self._old):
            shutil.rmtree(leftover, ignore_errors=True)
        self._new.mkdir(parents=True)
        return self._new

    def __exit__(self, error: type[BaseException] | None, *_rest: object) -> None:
        if error is None:
            if self._target.exists():
                self._target.rename(self._old)
            self._new.rename(self._target)
            shutil.rmtree(self._old, ignore_errors=True)
        else:
            shutil.rmtree(self._new, ignore_errors=True)


def _write_file(path: Path, content: bytes) -> None:
    unfinished = _unfinished(path)
    unfinished.write_bytes(content)
    unfinished.replace(path)


def _write_tar(path: Path, members: Iterable[Member]) -> None:
    unfinished = _unfinished(path)
    try:
        with tarfile.open(unfinished, "w", format=tarfile.USTAR_FORMAT) as tar:
            for name, content in members:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")
