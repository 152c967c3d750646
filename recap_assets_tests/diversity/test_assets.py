"""The statistics of a partition, from the tables that hold its captions."""

from pathlib import Path

import polars as pl
import pytest

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.diversity.assets import measure_partition
from recap_assets.graph.node import Step
from recap_assets.graph.project import Project
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.tiny import tiny_experiment

PARTITION = "00000"
N_IMAGES = 20


def caption(image: int, candidate: int, text: str | None, status: str) -> dict[str, object]:
    reason = None if status == "ok" else status
    at = {"shard": PARTITION, "uid": bytes([image]) * 16, "candidate": candidate}
    return {**at, "text": text, "status": status, "reject_reason": reason}


def written(folder: Path, rows: list[dict[str, object]]) -> Project:
    project = Project(tiny_experiment(), Workspace(folder, "tiny"))
    captions = pl.DataFrame(rows, schema=SYNTHETIC_CAPTIONS.schema).drop("source", "partition")
    at = {"source": "a", "partition": PARTITION}
    project.workspace.tables.replace(SYNTHETIC_CAPTIONS, at, captions)
    return project


@pytest.mark.parametrize("refused", [None, "I cannot describe this image"])
def test_an_image_counts_by_its_first_usable_candidate(tmp_path: Path, refused: str | None) -> None:
    rows = [
        row
        for image in range(N_IMAGES)
        for row in (
            # Half of the first candidates are refused; the third is never an image's text.
            caption(image, 0, "a red dog", "ok")
            if image % 2
            else caption(image, 0, refused, "refused"),
            caption(image, 1, f"two cats in house {image}", "ok"),
            caption(image, 2, "unwanted words here and there", "ok"),
        )
    ]
    project = written(tmp_path, rows[::-1])
    found = measure_partition(project, "a", Step(PARTITION)).frame.row(0, named=True)
    assert found["n_captions"] == N_IMAGES
    assert found["n_words"] == 10 * 3 + 10 * 5
    expected = ["a red dog"] * 10 + [f"two cats in house {i}" for i in range(0, N_IMAGES, 2)]
    assert sorted(found["sample_texts"]) == sorted(expected)
