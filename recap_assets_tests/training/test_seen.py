"""A CLIP is trained again when an image, a text or a weight changed, and not otherwise."""

import dataclasses
import io
import json
import shutil
import tarfile
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.training.loading import mix_pairs
from recap_assets_tests.tiny import EXPERIMENT, Bench, Memory, tiny_experiment

UNTIL_TRAINED = ("world", "pool", "models", "scores", "mixes", "training")
SCORER = EXPERIMENT["models"]["scorer"]
PER_SHARD = 8
SIDE = 32
MIXES: Mapping[str, Any] = {
    "all": [{"use": "raw"}],
    "best": {
        "rules": [
            {
                "use": "raw",
                "where": {"all": [{"at_least": -1.0}, {"any": [{"top": 0.5}, {"top": 0.1}]}]},
            }
        ],
    },
}


@dataclasses.dataclass(frozen=True)
class Sample:
    """One sample of a shard; noise of this strength is its image."""

    uid: int
    noise: int
    text: str


def samples_of(shard: int) -> list[Sample]:
    first = 10 * shard
    return [Sample(i, 10 + i, f"a thing {i}") for i in range(first, first + PER_SHARD)]


def jpeg(noise: int) -> bytes:
    # Gradients and not real noise, which would be another image at every call.
    image = (
        Image.linear_gradient("L").resize((40, 40)).point([(i * noise) % 256 for i in range(256)])
    )
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


def write_shard(folder: Path, number: int, samples: list[Sample]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / f"{number:08d}.tar", "w") as tar:
        for i, sample in enumerate(samples):
            members = {
                "jpg": jpeg(sample.noise),
                "json": json.dumps({"uid": f"{sample.uid:032x}"}).encode(),
                "txt": sample.text.encode(),
            }
            for extension, content in members.items():
                info = tarfile.TarInfo(f"{number:05d}{i:04d}.{extension}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


class Runs:
    """One experiment on one pool, edited and built again and again."""

    def __init__(self, folder: Path, memory: Memory | None = None) -> None:
        self.folder = folder
        self.pool = folder / "pool"
        self.memory = memory or Memory()

    def copied(self, folder: Path) -> "Runs":
        """The pool and what was built, in another folder."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return Runs(folder, deepcopy(self.memory))

    def bench(self, mixes: Mapping[str, Any] = MIXES, **changes: Any) -> Bench:
        pool = {"kind": "webdataset", "shards": str(self.pool)}
        plain = {"models": {"scorer": SCORER}, "sources": {}, "report": {}}
        experiment = tiny_experiment(**{"pool": pool, "mixes": mixes, **plain, **changes})
        bench = Bench(self.folder / "data", experiment, self.memory)
        bench.project.scan()
        return bench

    def build(self, mixes: Mapping[str, Any] = MIXES, **changes: Any) -> set[str]:
        """Build until all is trained; the assets of which something was computed."""
        return {asset for asset, _ in self.bench(mixes, **changes).build(*UNTIL_TRAINED)}

    def pairs(self, mix: str) -> pl.DataFrame:
        rows = self.bench().project.workspace.tables.read(CURATED_MIXES, mix=mix)
        return rows.sort(CURATED_MIXES.order)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    runs = Runs(tmp_path_factory.mktemp("pairs"))
    for number in range(2):
        write_shard(runs.pool, number, samples_of(number))
    runs.build()
    return runs


@pytest.fixture
def runs(built: Runs, tmp_path: Path) -> Runs:
    """A copy of what was built."""
    copy = built.copied(tmp_path / "runs")
    assert copy.build() == set()
    return copy


def trained(assets: set[str]) -> set[str]:
    return {asset for asset in assets if asset.startswith("trained_clip/")}


def best(**changes: Any) -> Mapping[str, Any]:
    return {**MIXES, "best": {**MIXES["best"], **changes}}


def where(condition: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [{"use": "raw", "where": condition}]


IN_OTHER_ORDER = {"all": [{"any": [{"top": 0.1}, {"top": 0.5}]}, {"at_least": -1.0}]}
NEVER = {"use": "raw", "where": {"at_least": 1.0}}


@pytest.mark.parametrize(
    "mixes",
    [
        best(rules=where(IN_OTHER_ORDER)),
        best(rules=where({"all": [{"at_least": -0.999}, {"top": 0.5}]})),
        best(rules=[NEVER, *MIXES["best"]["rules"]]),
        best(rules=[*MIXES["best"]["rules"], NEVER]),
        best(description="The better half"),
    ],
    ids=["other order", "cut-off in a gap", "idle rule first", "idle rule last", "description"],
)
def test_an_edit_that_leaves_the_pairs_alone_trains_nothing(
    runs: Runs, mixes: Mapping[str, Any]
) -> None:
    before = runs.pairs("best")
    assert trained(runs.build(mixes)) == set()
    assert runs.pairs("best").drop("rule").equals(before.drop("rule"))


def test_a_rule_that_is_renumbered_is_written_and_told_to_the_report_alone(runs: Runs) -> None:
    runs.bench().build()
    edited = runs.bench(best(rules=[NEVER, *MIXES["best"]["rules"]]))
    computed = {asset for asset, _ in edited.build()}
    assert runs.pairs("best")["rule"].unique().to_list() == [1]
    assert computed == {"thresholds/best", "curated_mixes/best", "report"}


def test_other_scores_of_the_same_pairs_train_nothing_that_they_do_not_select(runs: Runs) -> None:
    before = runs.pairs("all")
    computed = runs.build(models={"scorer": {**SCORER, "seed": 99}})
    after = runs.pairs("all")
    assert not after["score"].equals(before["score"])
    assert after.drop("score").equals(before.drop("score"))
    assert "curated_mixes/all" in computed
    assert not {"training_pairs/all", "trained_clip/all"} & computed


def test_another_weight_trains_again(runs: Runs) -> None:
    heavier = {**MIXES, "all": [{"use": "raw", "weight": 2.0}]}
    assert trained(runs.build(heavier)) == {"trained_clip/all"}


def test_another_image_under_the_same_uid_and_text_trains_again(runs: Runs) -> None:
    before = runs.pairs("all")
    first, *others = samples_of(0)
    write_shard(runs.pool, 0, [dataclasses.replace(first, noise=99), *others])
    computed = runs.build()
    after = runs.pairs("all")
    assert after.drop("score", "image_hash").equals(before.drop("score", "image_hash"))
    assert (after["image_hash"] != before["image_hash"]).sum() == 1
    assert "trained_clip/all" in computed


def test_a_new_image_trains_the_mixes_that_take_it_and_no_other(runs: Runs, tmp_path: Path) -> None:
    listed = tmp_path / "uids.txt"
    listed.write_text("".join(f"{s.uid:032x}\n" for s in samples_of(0)))
    mixes = {"all": MIXES["all"], "listed": where({"in_set": "listed"})}
    sets = {"listed": {"uids": str(listed)}}
    runs.build(mixes, sets=sets)
    write_shard(runs.pool, 2, samples_of(2)[:1])
    computed = runs.build(mixes, sets=sets)
    assert {"curated_mixes/listed", "training_pairs/listed"} <= computed
    assert trained(computed) == {"trained_clip/all"}


def test_the_same_samples_in_other_shards_and_order_train_nothing_and_give_the_same_pairs(
    runs: Runs,
) -> None:
    before = mix_pairs(runs.bench().project, "all", SIDE)
    both = [*samples_of(0), *samples_of(1)]
    for number in range(2):
        write_shard(runs.pool, number, both[::-1][number * PER_SHARD :][:PER_SHARD])
    computed = runs.build()
    assert "curated_mixes/all" in computed
    assert trained(computed) == set()
    assert mix_pairs(runs.bench().project, "all", SIDE).content_hash() == before.content_hash()


def test_what_left_the_pool_is_not_trained_on_before_it_is_removed(runs: Runs) -> None:
    (runs.pool / "00000001.tar").unlink()
    assert "trained_clip/all" in runs.build()
    project = runs.bench().project
    assert "00001" in set(runs.pairs("all")["partition"])
    assert mix_pairs(project, "all", SIDE).texts == [s.text for s in samples_of(0)]
