"""More of the catalogue of edits: corpora, targets, models, and captions that come out equal.

Up to the mixes: what is trained on them follows from their pairs.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recap_assets_tests.defs.counting_kinds import POINTS
from recap_assets_tests.rebuilding.platform import Platform, Sample, write_tar
from recap_assets_tests.registering import registered
from recap_assets_tests.tiny import TOWER
from recap_assets_tests.undrawn import charts_undrawn

Computed = dict[str, set[str]]

N = 4
ALL = {f"{number:05d}" for number in range(N)}
HALF = {"00000", "00001"}
WHOLE = {""}
STAGES = {"pool", "models", "captions", "scores", "diversity", "mixes"}


def settings(folder: Path) -> dict[str, Any]:
    learned = {"kind": "clip", "samples_seen": 16, "batch_size": 8, "tower": TOWER, "corpus": "c"}
    near = {"kind": "norm_sim", "scorer": "clip", "target": {"images": str(folder / "target")}}
    return {
        "report": {}, "diversity": {"sample": 8}, "sources": {"a": {"kind": "counting"}},
        "pool": {"kind": "webdataset", "shards": str(folder / "pool")},
        "corpora": {"c": {"kind": "webdataset", "shards": str(folder / "corpus")}},
        "models": {"m": learned},
        "scorers": {"clip": {"kind": "counting"}, "own": {"kind": "embedded", "model": "m"}},
        "image_scorers": {"near": near},
        "mixes": {
            "best": {"scorer": "clip", "rules": [{"use": {"best_of": ["raw", "a"]}}]},
            "raw": {"scorer": "clip", "rules": [{"use": "raw"}]},
        },
    }  # fmt: skip


def built(platform: Platform, **changes: Any) -> Computed:
    with charts_undrawn():
        platform.build(STAGES, **changes)
    found: Computed = {}
    for asset, partition in platform.computed:
        found.setdefault(asset, set()).add(partition)
    return found


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    families = [f"[recap.{family}]\n" + "\n".join(points) for family, points in POINTS.items()]
    with registered(tmp_path_factory.mktemp("site"), "kinds", *families):
        yield


@pytest.fixture
def platform(tmp_path: Path, kinds: None) -> Platform:  # noqa: ARG001 - registers kinds
    found = Platform(tmp_path, tmp_path / "data", settings(tmp_path))
    shards = {
        f"{n:08d}": [Sample(100 * n + i, f"text {n} {i}", 100 * n + i) for i in range(3)]
        for n in range(N)
    }
    found.write(shards)
    (tmp_path / "corpus").mkdir()
    write_tar(tmp_path / "corpus" / "00000000.tar", [Sample(i, f"t {i}", i) for i in range(8)])
    (tmp_path / "target").mkdir()
    for name in "xy":
        write_picture(tmp_path / "target" / f"{name}.png", ord(name))
    built(found)
    return found


def write_picture(path: Path, number: int) -> None:
    members = dict(Sample(0, "", number).members())
    path.write_bytes(members["png"])


def test_the_limits_of_a_corpus(platform: Platform) -> None:
    assert built(platform) == {}
    corpus = platform.settings["corpora"]["c"]
    wide = {"c": {**corpus, "limits": {"max_pixels": 10_000}}}
    # No image is beyond either limit: the model is learned again, and comes out equal.
    assert built(platform, corpora=wide) == {"models/m": WHOLE}
    write_tar(platform.folder / "corpus" / "00000001.tar", [Sample(90, "another text", 90)])
    computed = built(platform, corpora=wide)
    assert computed["models/m"] == WHOLE
    assert computed["image_embeddings/own"] == ALL
    assert platform.computed[0] == ("models/m", "")
    assert not [asset for asset in computed if asset.startswith(("curated_mixes", "raw_pool"))]


def test_the_images_of_a_target(platform: Platform) -> None:
    write_picture(platform.folder / "target" / "x.png", 1_000)
    assert built(platform) == {"target_embeddings/near": WHOLE, "image_scores/near": ALL}
    shutil.copy(platform.folder / "target" / "x.png", platform.folder / "target" / "z.png")
    computed = built(platform)
    assert computed["target_embeddings/near"] == WHOLE


def test_a_file_of_a_model_that_was_taken_away(platform: Platform) -> None:
    file = next((platform.data / "tiny" / "models" / "m").rglob("*.safetensors"))
    file.unlink()
    assert built(platform) == {"models/m": WHOLE}


def test_captions_that_come_out_equal_in_half_of_the_partitions(platform: Platform) -> None:
    other = {"a": {"kind": "counting", "precision": "half"}}
    computed = built(platform, sources=other)
    assert computed.pop("synthetic_captions/a") == ALL
    mixes = computed.pop("curated_mixes/best")
    assert mixes <= HALF  # by whether one of the captions was the best
    assert computed == {
        "clip_scores/clip/a": HALF,
        "clip_scores/own/a": HALF,
        "diversity_statistics/a": HALF,
        "diversity_summary": WHOLE,
    }
