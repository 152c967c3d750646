"""Killing a build at any moment loses nothing and changes nothing.

`benchmarks/kills.py` does the same with 50 kills of a larger experiment.
"""

from pathlib import Path
from random import Random

import pytest

from recap_assets.artefacts.catalogue import TABLES
from recap_assets.specs.loading import parse_experiment
from recap_assets_tests.killed_builds import KilledBuild, contents_of, kill_until_built
from recap_assets_tests.tiny import EXPERIMENT, Bench

pytestmark = pytest.mark.long(reason="dozens of builds that are killed")

SMALL = {
    "name": "small",
    "pool": {"kind": "embedded", "samples": 40, "samples_per_shard": 20},
    "corpora": {"pairs": EXPERIMENT["corpora"]["pairs"]},
    "models": {"scorer": EXPERIMENT["models"]["scorer"]},
    "sources": {},
    "mixes": {"raw_top30": EXPERIMENT["mixes"]["raw_top30"]},
    "evaluation": {"tasks": {"coarse": EXPERIMENT["evaluation"]["tasks"]["coarse"]}},
    "report": {"raw_filtered": "raw_top30", "examples": 0},
}


def test_killed_builds_end_as_an_undisturbed_one_does(tmp_path: Path) -> None:
    # The undisturbed one is built in this process, without Dagster: quicker, and just as strict.
    small = {**EXPERIMENT, **SMALL}
    undisturbed = Bench(tmp_path / "undisturbed", parse_experiment(small))
    for table in TABLES.values():
        undisturbed.project.workspace.tables.create(table)
    undisturbed.build(draws=True)
    versions = {
        (asset, partition): record.data_version
        for asset, by_partition in undisturbed.memory.records.items()
        for partition, record in by_partition.items()
    }
    moments = [Random(seed).uniform(3.0, 15.0) for seed in range(4)]  # noqa: S311 - no secret
    killed = kill_until_built(
        lambda number: KilledBuild(tmp_path / str(number), small),
        moments, versions, contents_of(undisturbed.project.workspace),
    )  # fmt: skip
    assert len(list(killed)) == 4
