"""The notebook of the docs: every cell runs, its answers are right, and the site shows it."""

import json
import runpy
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets_tests.tiny import EXPERIMENT, Bench, tiny_experiment

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOK = DOCS / "notebooks" / "tables.ipynb"
STAGES = ("world", "models", "pool", "captions", "scores", "mixes")
ANSWERS = """
import json
print(json.dumps({
    "distribution": distribution.rows(), "holds": holds.rows(), "gains": gains["gain"].to_list(),
    "first": int(first), "change": change,
}))
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The tiny experiment after an edit of a threshold, so that there is a version before."""
    data = tmp_path_factory.mktemp("notebook")
    first = Bench(data, tiny_experiment())
    first.build(*STAGES)
    mixes = {**EXPERIMENT["mixes"], "raw_top30": [{"use": "raw", "where": {"top": 0.5}}]}
    edited = Bench(data, tiny_experiment(mixes=mixes), first.memory)
    edited.build(*STAGES)
    return edited


@pytest.fixture(scope="module")
def answers(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the notebook's variables are in the end, by the notebook itself."""
    nbformat = pytest.importorskip("nbformat", reason="needs the extra notebook")
    client = pytest.importorskip("nbclient", reason="needs the extra notebook")
    kernels = pytest.importorskip("jupyter_client", reason="needs the extra notebook")
    pytest.importorskip("ipykernel", reason="needs the extra notebook")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(ANSWERS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TABLES", str(bench.project.workspace.tables.uri(RAW_POOL)).rpartition("/")[0])
        # By files, not by ports, which somebody else may take before the kernel does.
        kernel = kernels.AsyncKernelManager(
            kernel_name="python3", transport="ipc",
            connection_file=str(tmp_path_factory.mktemp("kernel") / "kernel.json"),
        )  # fmt: skip
        client.NotebookClient(notebook, km=kernel, timeout=300, startup_timeout=300).execute()
    return json.loads(notebook.cells[-1].outputs[0]["text"])


def test_the_distribution_is_that_of_the_best_scores(bench: Bench, answers: dict[str, Any]) -> None:
    scores = bench.project.workspace.tables.read(CLIP_SCORES, scorer="clip").drop_nulls("score")
    for scorer, source, n, mean, *_ in answers["distribution"]:
        own = scores.filter(source=source).group_by("uid").agg(pl.col("score").max())
        assert scorer == "clip"
        assert n == own.height
        assert mean == pytest.approx(own["score"].mean(), rel=1e-5)
    assert [row[1] for row in answers["distribution"]] == ["a", "raw"]


def test_what_a_mix_holds_is_what_is_stored(bench: Bench, answers: dict[str, Any]) -> None:
    pairs = bench.project.workspace.tables.read(CURATED_MIXES)
    wanted = pairs.group_by("mix", "rule", "source").len().sort("mix", "rule", "source")
    assert [tuple(row[:4]) for row in answers["holds"]] == wanted.rows()
    assert sum(row[3] for row in answers["holds"]) == pairs.height


def test_gains_are_the_differences_of_scores(bench: Bench, answers: dict[str, Any]) -> None:
    scores = bench.project.workspace.tables.read(CLIP_SCORES, scorer="clip").drop_nulls("score")
    raw, a = (dict(scores.filter(source=s).select("uid", "score").rows()) for s in ("raw", "a"))
    wanted = sorted((a[uid] - raw[uid] for uid in raw.keys() & a.keys()), reverse=True)
    assert answers["gains"] == pytest.approx(wanted, abs=1e-6)


def test_history_finds_what_the_edit_added(bench: Bench, answers: dict[str, Any]) -> None:
    tables = bench.project.workspace.tables
    now = set(tables.read(CURATED_MIXES, mix="raw_top30")["uid"])
    frame = pl.read_delta(tables.uri(CURATED_MIXES), version=answers["first"])
    before = set(frame.filter(mix="raw_top30")["uid"])
    assert answers["change"] == {
        "kept": len(now & before), "added": len(now - before), "removed": len(before - now),
    }  # fmt: skip
    assert answers["change"]["added"] > 0
    assert answers["change"]["removed"] == 0


def test_the_page_has_every_cell_and_the_outputs_that_are_kept(tmp_path: Path) -> None:
    page = runpy.run_path(str(DOCS / "site" / "notebook.py"))["notebook_page"](NOTEBOOK, tmp_path)
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert all("".join(cell["source"]).strip() in page for cell in cells)
    kept = [output for cell in cells for output in cell.get("outputs", [])]
    assert [output for output in kept if output["output_type"] == "error"] == []
    assert page.count("```text\n") == len(kept) - 1
    (picture,) = tmp_path.glob("*.png")
    assert f'<img src="{picture.name}"' in page
    assert picture.read_bytes().startswith(b"\x89PNG")
