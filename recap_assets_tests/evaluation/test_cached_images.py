"""How often the images of evaluation sets are decoded, and that results do not depend on it."""

import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from recap_assets.artefacts.evaluation import EVALUATION_RESULTS
from recap_assets.evaluation import cached_images
from recap_assets.evaluation.assets import evaluate_mix
from recap_assets.graph.node import Step
from recap_assets.graph.project import Project
from recap_assets.shards.images import decode
from recap_assets.specs.pool import ImageLimits
from recap_assets_tests.evaluation.sets_on_disk import write_set
from recap_assets_tests.tiny import EXPERIMENT, Bench, tiny_experiment

N = 10
MIXES = ("raw", "mixed")
SEEDS = (0, 1)


def jpeg(number: int) -> bytes:
    """Noise in another size each, so that a part or another filter of it shows."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 256, (40 + 9 * number, 70 - 3 * number, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def experiment(folder: Path, tasks: dict[str, Any], cache_gib: float) -> Any:
    return tiny_experiment(
        mixes={name: EXPERIMENT["mixes"][name] for name in MIXES},
        training={**EXPERIMENT["training"], "seeds": list(SEEDS)},
        evaluation={
            "tasks": {"own": {"kind": "webdataset", "path": str(folder / "own")}, **tasks},
            "image_cache_gib": cache_gib,
            "batch_size": 4,
        },
        report={"raw": "raw", "examples": 0},
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Path]:
    """CLIPs of two mixes with two seeds each, and a set of JPEG files."""
    folder = tmp_path_factory.mktemp("cached")
    members = [
        member
        for i in range(N)
        for member in ((f"s{i}.jpg", jpeg(i)), (f"s{i}.cls", str(i % 3).encode()))
    ]
    write_set(folder / "own", "classification", [members], "cat\ndog\nball\n")
    bench = Bench(folder / "data", experiment(folder, {}, 0))
    bench.build("world", "pool", "models", "captions", "scores", "mixes", "training")
    return bench, folder


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[bytes]:
    """How often each file was decoded."""
    counts: Counter[bytes] = Counter()

    def counting(content: bytes) -> np.ndarray:
        counts[content] += 1
        return decode(content, ImageLimits())

    monkeypatch.setattr(cached_images, "decode_whole", counting)
    return counts


def results(project: Project) -> pl.DataFrame:
    """Of all four models, one after the other."""
    frames = [
        evaluate_mix(project, mix, Step(str(seed))).frame.with_columns(
            mix=pl.lit(mix), seed=pl.lit(seed)
        )
        for mix in MIXES
        for seed in SEEDS
    ]
    return pl.concat(frames)


def evaluated(
    trained: tuple[Bench, Path], tasks: dict[str, Any], cache_gib: float, data: Path
) -> tuple[pl.DataFrame, Path]:
    bench, folder = trained
    copy = bench.copied(data, experiment(folder, tasks, cache_gib))
    return results(copy.project), copy.project.workspace.evaluation_images


ALIKE = {"alike": {"kind": "neighbours", "of": "own"}}


def test_each_image_is_decoded_once_for_all_models(
    trained: tuple[Bench, Path], decoded: Counter[bytes], tmp_path: Path
) -> None:
    without, nothing = evaluated(trained, {}, 0, tmp_path / "without")
    assert not nothing.exists()
    assert decoded == dict.fromkeys(map(jpeg, range(N)), len(MIXES) * len(SEEDS))
    decoded.clear()
    cached, folder = evaluated(trained, {}, 1, tmp_path / "cached")
    assert decoded == dict.fromkeys(map(jpeg, range(N)), 1)
    assert cached.equals(without)
    assert cached.filter("is_main")["value"].n_unique() > 1, "the models differ"
    assert len(list(folder.rglob("*.images"))) == 1


def test_tasks_of_one_set_share_its_images(
    trained: tuple[Bench, Path], decoded: Counter[bytes], tmp_path: Path
) -> None:
    without, _ = evaluated(trained, ALIKE, 0, tmp_path / "without")
    assert decoded == dict.fromkeys(map(jpeg, range(N)), 2 * len(MIXES) * len(SEEDS))
    decoded.clear()
    cached, _ = evaluated(trained, ALIKE, 1, tmp_path / "cached")
    assert decoded == dict.fromkeys(map(jpeg, range(N)), 1)
    assert cached.equals(without)


def test_another_version_of_a_library_finds_nothing(
    trained: tuple[Bench, Path],
    decoded: Counter[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, _ = evaluated(trained, {}, 1, tmp_path / "cached")
    decoded.clear()
    other = Bench(tmp_path / "cached", experiment(trained[1], {}, 1))
    monkeypatch.setattr(cached_images.PIL, "__version__", "99.0")
    cached_images._program.cache_clear()
    assert results(other.project).equals(before)
    cached_images._program.cache_clear()
    assert decoded == dict.fromkeys(map(jpeg, range(N)), 1)


def test_a_task_that_shows_images_to_another_model_gets_them_whole(
    trained: tuple[Bench, Path], tmp_path: Path
) -> None:
    _, folder = trained
    members = [
        member
        for i in range(N)
        for member in ((f"s{i}.jpg", jpeg(i)), (f"s{i}.txt", f"a cat, number {i}".encode()))
    ]
    write_set(folder / "pairs", "retrieval", [members])
    tasks = {
        "pairs": {"kind": "webdataset", "path": str(folder / "pairs")},
        "bagged": {"kind": "bags", "of": "pairs", "size": 3},
    }
    without, _ = evaluated(trained, tasks, 0, tmp_path / "without")
    cached, kept = evaluated(trained, tasks, 1, tmp_path / "cached")
    assert cached.equals(without)
    assert {path.parent.name for path in kept.rglob("*.images")} == {"own"}


def test_the_cache_is_of_no_version(trained: tuple[Bench, Path]) -> None:
    bench, folder = trained
    other = Bench(folder / "data", experiment(folder, {}, 3))
    assert {k: n.code_version for k, n in bench.graph.nodes.items()} == {
        k: n.code_version for k, n in other.graph.nodes.items()
    }
    assert EVALUATION_RESULTS.key("raw") in bench.graph.nodes
