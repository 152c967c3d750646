"""A tar that is indexed once more: of its images only those are decoded that were not known."""

from pathlib import Path

import pytest

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.shards import sample_rows
from recap_assets_tests.rebuilding.platform import Platform, Sample, Shards

POOL = {"pool"}
Decoded = list[bytes]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Decoded:
    """The images that are decoded from now on."""
    found: Decoded = []
    decode = sample_rows.perceptual_hash_of

    def counted(data: bytes, *rest: object) -> int:
        found.append(data)
        return decode(data, *rest)  # type: ignore[arg-type] - as they were given

    monkeypatch.setattr(sample_rows, "perceptual_hash_of", counted)
    return found


@pytest.fixture
def pool() -> Shards:
    return {
        f"{n:08d}": [Sample(10 * n + i, f"text {n} {i}", 10 * n + i) for i in range(3)]
        for n in range(2)
    }


@pytest.fixture
def platform(tmp_path: Path, pool: Shards) -> Platform:
    settings = {"corpora": {}, "models": {}, "sources": {}, "report": {}, "mixes": {}}
    at = {"kind": "webdataset", "shards": str(tmp_path / "pool")}
    scorers = {"clip": {"kind": "open_clip", "model": "ViT-B-32", "pretrained": "openai"}}
    mixes = {"raw": [{"use": "raw"}]}
    platform = Platform(
        tmp_path, tmp_path / "data", {**settings, "pool": at, "scorers": scorers, "mixes": mixes}
    )
    platform.write(pool)
    platform.build(POOL)
    return platform


def of_index(platform: Platform) -> tuple[int, int]:
    facts = platform.facts("raw_pool")
    return facts["rows_computed"], facts["rows_reused"]


def test_a_tar_that_was_written_again_decodes_nothing(
    platform: Platform, pool: Shards, decoded: Decoded
) -> None:
    before = dict(platform.memory.records["raw_pool"])
    platform.write(pool)
    platform.build(POOL)
    assert platform.computed == [("raw_pool", "00000"), ("raw_pool", "00001")]
    now = platform.memory.records["raw_pool"]
    assert {k: r.data_version for k, r in now.items()} == {
        k: r.data_version for k, r in before.items()
    }
    assert decoded == []
    assert of_index(platform) == (0, 3)


def test_only_an_image_that_is_new_is_decoded(
    platform: Platform, pool: Shards, decoded: Decoded
) -> None:
    pool["00000001"][0] = Sample(10, "another text", 99)
    pool["00000001"][2] = Sample(12, "another text", 12)
    platform.write(pool)
    platform.build(POOL)
    assert len(decoded) == 1
    assert of_index(platform) == (1, 2)
    stored = rows(platform)
    alone = Platform(platform.folder, platform.folder / "undisturbed", platform.settings)
    alone.build(POOL)
    assert rows(alone) == stored


def test_other_partitions_of_the_same_shards_decode_nothing(
    platform: Platform, decoded: Decoded
) -> None:
    platform.build(POOL, pool={**platform.settings["pool"], "shards_per_partition": 2})
    assert decoded == []
    assert of_index(platform) == (0, 6)


def test_other_limits_decode_everything(platform: Platform, decoded: Decoded) -> None:
    platform.build(POOL, pool={**platform.settings["pool"], "limits": {"max_pixels": 500}})
    assert len(decoded) == 6


def rows(platform: Platform) -> list[tuple[object, ...]]:
    found = platform.project.workspace.tables.read(RAW_POOL)
    return found.sort("shard", "uid").rows()
