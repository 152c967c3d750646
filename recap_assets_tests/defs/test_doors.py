"""One experiment gives the same rows and weights from whatever door it is built.

The doors: `recap build` with one worker and with two, Dagster's own execution of the definitions
that its UI shows, and a rebuild from a receipt.
"""

import hashlib
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from recap_assets.cli import main
from recap_assets.defs.assets import asset_key
from recap_assets.defs.platform import definitions_of
from recap_assets.defs.ranges import range_tags
from recap_assets.engines.threads import THREADS_VARIABLE
from recap_assets.specs.loading import load_experiment
from recap_assets_tests.defs.test_killed_builds import SMALL
from recap_assets_tests.killed_builds import KilledBuild, contents_of
from recap_assets_tests.tiny import EXPERIMENT

pytestmark = pytest.mark.long(reason="the same build by three doors, with training")

LAST = "leaderboard"
MIX = {"description": "at $${HOME}", "rules": EXPERIMENT["mixes"]["raw_top30"]}
TRAINED = {**EXPERIMENT, **SMALL, "mixes": {"raw_top30": MIX}}
WORKERS = {"one": 1, "two": 2}

Builds = Mapping[str, KilledBuild]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    """The smallest experiment that trains, in a data folder for each door.

    No number of threads is asked for, and this process has another one than the workers.
    """
    folder = tmp_path_factory.mktemp("doors")
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(THREADS_VARIABLE, raising=False)
        builds = {name: KilledBuild(folder / name, TRAINED, jobs=n) for name, n in WORKERS.items()}
        for build in builds.values():
            recap(build, "build", "--yes", "--jobs", str(build.jobs), "--select", LAST)
        torch.set_num_threads(2)
        try:
            ui = KilledBuild(folder / "ui", TRAINED)
            build_by_dagster(ui)
        finally:
            torch.set_num_threads(threads)
    return {**builds, "ui": ui}


def recap(build: KilledBuild, *words: str) -> str:
    """What the command line prints, asked in this process; its workers are others."""
    with build.opened():
        given = ["--data", str(build.data), "-e", str(build.file), *words]
        done = CliRunner().invoke(main.recap, given)
    assert done.exit_code == 0, done.output
    return done.output


def build_by_dagster(build: KilledBuild) -> None:
    """Neighbours with the same partitions in a run each, as a backfill of the UI has them."""
    with build.opened() as (session, instance):
        session.create_tables()
        job = definitions_of(session).resolve_implicit_global_asset_job_def()
        wanted = session.graph.ancestors([LAST])
        nodes = [node for key, node in session.graph.nodes.items() if key in wanted]
        for by_seed, group in groupby(nodes, lambda node: node.dimension == "seed"):
            run = list(group)
            partitions = session.graph.partitions(run[0]) if by_seed else session.project.partitions
            done = job.execute_in_process(
                instance=instance,
                asset_selection=[asset_key(node.key) for node in run],
                tags=range_tags(tuple(partitions)),
                raise_on_error=False,
            )
            assert done.success, [node.key for node in run]


def weights_of(build: KilledBuild) -> Mapping[str, str]:
    """A hash of each file of weights, by its place below the data folder."""
    root = build.workspace.root
    found = [
        path
        for kind in ("models", "trained_clip")
        for path in root.glob(f"{kind}/**/*.safetensors")
    ]
    return {str(path.relative_to(root)): hash_of(path) for path in found}


def hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_each_door_gives_the_same_rows_and_weights(built: Builds) -> None:
    contents, weights = contents_of(built["one"].workspace), weights_of(built["one"])
    assert {"training_curves", "evaluation_results", LAST} <= contents.keys()
    assert len(weights) == 2, "the scorer's, and those trained on the mix"
    for door in ("two", "ui"):
        assert contents_of(built[door].workspace) == contents, door
        assert weights_of(built[door]) == weights, door


def test_a_receipt_of_two_workers_is_reproduced_by_one(built: Builds) -> None:
    build = built["two"]
    recap(build, "pin", LAST, "v1")
    assert f"{LAST} came out equal" in recap(build, "reproduce", f"{LAST}@v1", "-j", "1")
    again = build.workspace.root / "reproduced" / "v1"
    # What looks like a variable of the environment is the text that it was in the receipt.
    assert load_experiment(again / "experiment.yaml").mixes["raw_top30"].description == "at ${HOME}"
    rebuilt = {hash_of(path) for path in again.rglob("*.safetensors")}
    assert rebuilt == set(weights_of(build).values())
