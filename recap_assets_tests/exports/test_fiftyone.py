"""FiftyOne's format: read as its importer demands, and by FiftyOne itself where it is installed."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import is_usable
from recap_assets.exports import assets
from recap_assets.exports.declared import own_folder
from recap_assets.exports.kinds.fiftyone.fields import fields_of
from recap_assets.exports.kinds.fiftyone.samples import document_of
from recap_assets.exports.reading import dependencies
from recap_assets.exports.samples import Sample
from recap_assets.graph.building import compute_and_write
from recap_assets.graph.node import Step
from recap_assets.graph.project import Project
from recap_assets.specs.exports import parse_export
from recap_assets.testing.exports import MIX as ONE
from recap_assets.testing.exports import exported_pool
from recap_assets_tests.exports.exported_pools import MIXES, exported, pairs_of

MIX = "shared"
DEADLINE_SECONDS = 300
OBJECT_ID = re.compile(r"[0-9a-f]{24}")
KINDS = {
    "fiftyone.core.fields.StringField": str,
    "fiftyone.core.fields.IntField": int,
    "fiftyone.core.fields.FloatField": float,
    "fiftyone.core.fields.ListField": list,
    "fiftyone.core.fields.EmbeddedDocumentField": dict,
    "fiftyone.core.fields.ObjectIdField": dict,
}

IN_FIFTYONE = """
import json, sys
import fiftyone
dataset = fiftyone.Dataset.from_dir(sys.argv[1], fiftyone.types.FiftyOneDataset)
dataset.compute_metadata(overwrite=False)
assert not dataset.exists("metadata", False)
again = sys.argv[2]
dataset.export(again, fiftyone.types.FiftyOneDataset)
found = {one.uid: {
    "id": one.id, "path": one.filepath, "size": [one.metadata.width, one.metadata.height],
    "chosen": [one.chosen.label, one.chosen.confidence], "mixes": one.mixes, "source": one.source,
    "raw": one.caption_raw.label if one.caption_raw else None, "score_raw": one.score_raw,
    "candidates": [c.label for c in one.candidates_blip2.classifications]
    if one.candidates_blip2 else None,
} for one in dataset}
from fiftyone import ViewField as F
view = dataset.match(F("mixes").contains("each")).sort_by("score_raw", reverse=True)
print(json.dumps({"samples": found, "n_view": len(view), "version": dataset.version,
                  "schema": list(dataset.get_field_schema())}))
dataset.delete()
"""


def fiftyone_python() -> str:
    """An interpreter with FiftyOne: this one, or, since its pins clash with ours, another."""
    named = os.environ.get("RECAP_FIFTYONE_PYTHON")
    if named is None and find_spec("fiftyone") is None:
        pytest.skip("FiftyOne is not installed; RECAP_FIFTYONE_PYTHON names a Python that has it")
    return named or sys.executable


def answer_of(python: str, folder: Path, *words: Path) -> Any:
    """What `IN_FIFTYONE` prints, in a session of its own that ends with it.

    FiftyOne starts a wrapper of MongoDB, which outlives it for as long as it has clients and writes
    where FiftyOne does: a pipe would have no end, and a deadline would end FiftyOne alone.
    """
    own = {"FIFTYONE_DATABASE_DIR": str(folder / "db"), "FIFTYONE_DO_NOT_TRACK": "true"}
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with (folder / "said").open("wb") as said, (folder / "errors").open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 - an interpreter that the tester names
            [python, "-c", IN_FIFTYONE, *map(str, words)],
            env={**kept, **own}, stdin=subprocess.DEVNULL, stdout=said, stderr=errors,
            start_new_session=True,
        )  # fmt: skip
    try:
        ended = process.wait(DEADLINE_SECONDS)
    finally:
        end_session(process.pid)
    assert ended == 0, (folder / "errors").read_text()
    return json.loads((folder / "said").read_text().splitlines()[-1])


def end_session(session: int) -> None:
    """Kill what is left of a session, and wait until it is gone."""
    for pid in psutil.pids():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getsid(pid) == session:
                process = psutil.Process(pid)
                process.kill()
                process.wait(DEADLINE_SECONDS)


def test_nothing_that_a_session_started_is_left() -> None:
    script = ["sh", "-c", "sleep 600 > /dev/null & echo $!"]
    with subprocess.Popen(  # noqa: S603 - our own words
        script, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        left = int(process.stdout.readline())
    assert psutil.pid_exists(left)
    end_session(process.pid)
    assert not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE


def imported(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The documents, held to what FiftyOne's importer demands of them."""
    dataset = json.loads((folder / "metadata.json").read_text())
    samples = json.loads((folder / "samples.json").read_text())["samples"]
    assert dataset["media_type"] == "image"
    assert re.fullmatch(r"1\.\d+\.\d+", dataset["version"])
    fields = {one["db_field"]: one for one in dataset["sample_fields"]}
    assert len(fields) == len(dataset["sample_fields"])
    assert {"_id", "filepath", "tags", "metadata", "created_at", "last_modified_at"} <= set(fields)
    for sample in samples:
        assert OBJECT_ID.fullmatch(sample["_id"]["$oid"])
        assert not Path(sample["filepath"]).is_absolute()
        assert (folder / sample["filepath"]).is_file()
        assert 0 <= sample["_rand"] < 1
        held_to(sample, fields)
    assert len({sample["_id"]["$oid"] for sample in samples}) == len(samples)
    return dataset, samples


def held_to(document: Mapping[str, Any], fields: Mapping[str, Mapping[str, Any]]) -> None:
    """Every value is declared, and of the type that its declaration says."""
    for name, value in document.items():
        if name == "_cls" or value is None:
            continue
        declared = fields[name]
        assert isinstance(value, KINDS[declared["ftype"]]), name
        inner = {one["db_field"]: one for one in declared["fields"]}
        if isinstance(value, dict) and "_cls" in value:
            assert declared["embedded_doc_type"].endswith(f".{value['_cls']}")
            held_to(value, inner)
        for one in value if isinstance(value, list) else ():
            if isinstance(one, dict):
                assert declared["embedded_doc_type"].endswith(f".{one['_cls']}")
                held_to(one, inner)
            else:
                assert isinstance(one, KINDS[declared["subfield"]])


def test_each_image_is_a_sample_with_its_bytes_and_all_captions(
    project: Project, tmp_path: Path
) -> None:
    done = exported(project, tmp_path, MIX, "fiftyone", samples_per_shard=20)
    _, samples = imported(tmp_path)
    pairs = pairs_of(project, MIX)
    assert len(samples) == done.written.n_samples == pairs["uid"].n_unique()
    assert done.written.n_pairs == pairs.height
    pool = project.workspace.tables.read(RAW_POOL).filter(is_usable())
    rows = {row["uid"].hex(): row for row in pool.iter_rows(named=True)}
    assert len({Path(one["filepath"]).parent for one in samples}) > 2
    for sample in samples:
        row = rows[sample["uid"]]
        content = (tmp_path / sample["filepath"]).read_bytes()
        assert hashlib.sha256(content).digest() == row["sha256"]
        assert sample["sha256"] == row["sha256"].hex()
        assert sample["metadata"]["size_bytes"] == len(content)
        assert [sample["metadata"][n] for n in ("width", "height")] == [row["width"], row["height"]]
        assert sample.get("caption_raw", {}).get("label") == row["text"]
        if "candidates_blip2" in sample:
            ranked = sample["candidates_blip2"]["classifications"]
            scores = [one["confidence"] for one in ranked]
            assert scores == sorted(scores, reverse=True)
            assert sample["caption_blip2"]["label"] == ranked[0]["label"]
            assert sample["score_blip2"] == scores[0]
    assert any("candidates_blip2" in sample for sample in samples)


def test_each_image_names_the_mixes_that_take_it(project: Project, tmp_path: Path) -> None:
    exported(project, tmp_path, "raw_top", "fiftyone")
    _, samples = imported(tmp_path)
    wanted = {
        name: {uid.hex() for uid in pairs_of(project, name)["uid"]}
        for name in project.experiment.mixes
    }
    assert len(samples) == len(wanted["raw_top"])
    for sample in samples:
        assert sample["mixes"] == [name for name in wanted if sample["uid"] in wanted[name]]
    exported(project, tmp_path / "few", "raw_top", "fiftyone", mixes=["paper"])
    assert {tuple(one["mixes"]) for one in imported(tmp_path / "few")[1]} <= {(), ("paper",)}
    exported(project, tmp_path / "none", "raw_top", "fiftyone", mixes=[])
    assert {tuple(one["mixes"]) for one in imported(tmp_path / "none")[1]} == {()}


def test_the_chosen_text_is_that_of_the_heaviest_pair(project: Project, tmp_path: Path) -> None:
    exported(project, tmp_path, "each", "fiftyone")
    _, samples = imported(tmp_path)
    several = [one for one in samples if "texts" in one]
    assert several
    for sample in several:
        assert len(sample["texts"]["classifications"]) == 2
        assert sample["source"] == "blip2"
        assert sample["chosen"]["label"] == sample["texts"]["classifications"][0]["label"] or (
            sample["chosen"]["label"] == sample["texts"]["classifications"][1]["label"]
        )


def test_an_unknown_mix_is_refused(project: Project, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nosuch"):
        exported(project, tmp_path, MIX, "fiftyone", mixes=["nosuch"])


def test_a_declared_export_is_one_dataset_and_follows_other_mixes(tmp_path: Path) -> None:
    spec = parse_export({"to": "fiftyone", "mix": ONE})
    project = exported_pool(tmp_path, exports={"seen": spec})
    shards, whole = assets.nodes(project)
    assert CURATED_MIXES.key(ONE) in {one.asset for one in shards.dependencies}
    for partition in project.partitions:
        compute_and_write(shards, Step(partition, asset=shards.key))
    compute_and_write(whole, Step("", asset=whole.key))
    folder = Path(own_folder(project, "seen").url)
    _, samples = imported(folder)
    assert len(samples) == 15
    assert {sample["filepath"].split("/")[0] for sample in samples} == set(project.partitions)
    assert [one["mixes"] for one in samples] == [[ONE]] * 15


def test_other_mixes_decide_a_declared_export(project: Project) -> None:
    spec = parse_export({"to": "fiftyone", "mix": "raw_top"})
    read = {one.asset for one in dependencies(project, spec)}  # type: ignore[arg-type]
    assert {CURATED_MIXES.key(name) for name in MIXES} <= read
    webdataset = parse_export({"to": "webdataset", "mix": "raw_top"})
    of_mixes = {
        one.asset
        for one in dependencies(project, webdataset)  # type: ignore[arg-type]
        if one.asset.startswith("curated_mixes")
    }
    assert of_mixes == {CURATED_MIXES.key("raw_top")}


def test_fiftyone_reads_what_was_written(project: Project, tmp_path: Path) -> None:
    python = fiftyone_python()
    exported(project, tmp_path / "out", MIX, "fiftyone", samples_per_shard=50)
    _, samples = imported(tmp_path / "out")
    read = answer_of(python, tmp_path, tmp_path / "out", tmp_path / "again")
    assert len(read["samples"]) == len(samples)
    for sample in samples:
        found = read["samples"][sample["uid"]]
        assert found["id"] == sample["_id"]["$oid"]
        assert found["path"] == str(tmp_path / "out" / sample["filepath"])
        assert found["size"] == [sample["metadata"][name] for name in ("width", "height")]
        assert found["chosen"] == [sample["chosen"]["label"], sample["chosen"].get("confidence")]
        assert found["mixes"] == sample["mixes"]
        assert found["raw"] == sample.get("caption_raw", {}).get("label")
        assert found["score_raw"] == sample.get("score_raw")
        assert found["source"] == sample["source"]
    in_each = {uid.hex() for uid in pairs_of(project, "each")["uid"]}
    assert read["n_view"] == sum(sample["uid"] in in_each for sample in samples)
    # What FiftyOne exports of it again is the same, declarations included.
    before, after = (
        {
            one["name"]: (one["ftype"], one["subfield"], one["embedded_doc_type"])
            for one in json.loads((folder / "metadata.json").read_text())["sample_fields"]
        }
        for folder in (tmp_path / "out", tmp_path / "again")
    )
    assert before == after


def test_without_scores_there_is_no_confidence() -> None:
    row: dict[str, Any] = {
        **dict.fromkeys(("source", "candidate", "rule", "url", "original_width")),
        "original_height": None, "uid": b"\x01" * 16, "k": 0, "sha256": None, "score": None,
        "weight": 1.0, "text": "<b>\u202e{{7}}", "size": 3, "width": 2, "height": 1,
        "image_format": "PNG", "captions": None, "pairs": [], "mixes": None,
    }  # fmt: skip
    document = document_of(Sample(row, b"abc"), "data/a.png")
    assert document["chosen"]["label"] == row["text"]  # type: ignore[index]
    assert "confidence" not in document["chosen"]  # type: ignore[operator]
    assert document["mixes"] == []
    declared = {str(one["db_field"]): one for one in fields_of(document).values()}
    held_to(document, declared)
