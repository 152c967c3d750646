"""A removal that is killed at any moment: tables can be read, and the next call completes it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from recap_assets.defs.session import Session
from recap_assets.storage.locks import JOURNAL
from recap_assets_tests.assembly.forgetting.scene import Scene
from recap_assets_tests.assembly.forgetting.searched import found_in
from recap_assets_tests.cli.running import REPOSITORY, Recap

MOMENTS = 20


def run(scene: Scene, moment: int, *words: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "recap_assets_tests.assembly.forgetting.killed", str(moment),
        "--data", str(scene.data), "forget", "--yes", *words,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    environment |= {"DAGSTER_HOME": str(REPOSITORY), "RECAP_TABLES": "", "RECAP_DATA": ""}
    environment.pop("RECAP_TABLES")
    return subprocess.run(  # noqa: S603 - our own words
        command, cwd=scene.folder, env=environment, capture_output=True, text=True, check=False
    )


def tables_can_be_read(scene: Scene) -> None:
    for log in sorted((scene.data / scene.name / "tables").glob("*/_delta_log")):
        pl.read_delta(str(log.parent))


@pytest.mark.long(reason="twenty removals in processes of their own, each killed and completed")
def test_a_removal_is_completed_wherever_it_was_killed(
    recap: Recap, scene: Scene, tmp_path: Path
) -> None:
    row = scene.samples().sort("text").row(-1, named=True)
    wanted = scene.wanted(row, Session(scene.file).project)
    uid = row["uid"].hex()
    counted = run(scene.copied(tmp_path / "counted"), 0, "--uid", uid)
    n_changes = int(re.findall(r"changes: (\d+)", counted.stdout)[0])
    assert n_changes >= MOMENTS, counted.stdout + counted.stderr
    n_unfinished = 0
    for number in range(MOMENTS):
        one = scene.copied(tmp_path / str(number))
        killed = run(one, 1 + number * n_changes // MOMENTS, "--uid", uid)
        assert killed.returncode == -9, killed.stdout + killed.stderr
        tables_can_be_read(one)
        is_begun = (one.data / JOURNAL).exists()
        n_unfinished += is_begun
        # Of one that had not begun nothing is known; one that had needs no words.
        done = recap("--data", one.data, "forget", "--yes", *(() if is_begun else ("--uid", uid)),
                     "--certificate", tmp_path / f"{number}.json")  # fmt: skip
        assert done.exit_code == 0, (number, done.output, done.exception)
        assert found_in(one.data, wanted) == set(), number
        for asset in ("raw_pool", "curated_mixes/top"):
            verified = recap("--data", one.data, "-e", one.file, "verify", asset)
            assert "all equal" in verified.output, (number, verified.output)
        shutil.rmtree(one.folder)
    assert n_unfinished >= MOMENTS // 2
