"""Every field decides something, or says by its mark why not; of files the bytes decide."""

import itertools
import json
import re
import tarfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from recap_assets.assembly.graph import build_graph
from recap_assets.graph import outside
from recap_assets.graph.project import Project
from recap_assets.sets.kinds.text_based.wordnet import wordnet_files
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.fields import Content
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.assembly.decisions import every_kind
from recap_assets_tests.assembly.fields import SNAPSHOT, Field, changed, fields_of, snapshot

pytestmark = pytest.mark.long(reason="the graph again for each field of each kind")

DECIDED_OTHERWISE = {
    r"automation: .*": "when something is built, and not what",
    r"name: Experiment\.name": "where the results lie",
    r"owners: Experiment\.owners": "whom the UI names",
    r"training: \w+Tracker\.\w+": "where runs are shown, and no model",
    r"sizes?: Experiment\.sizes?": "settings of other fields, and those decide",
    r"pool: \w+\.(samples|samples_per_shard|shards_per_partition)": "which partitions there are",
    r"pool: FolderPool\.(\w+_column|quoting)": "the rows of a shard, which are its version",
    r"pool: UrlPool\.(\w+_column\w*|save_additional_columns|quoting)": "the list's rows, likewise",
}
"""Fields that move no asset's own version, and what they decide instead."""

Seen = Mapping[str, tuple[str, str]]
"""Of each asset its code version and what it reads from outside."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return snapshot(tmp_path_factory.mktemp("fields"))


def test_each_field_decides_the_assets_that_it_did(found: dict[str, str]) -> None:
    differ = {name: what for name, what in found.items() if what != KNOWN.get(name)}
    assert not differ, "see fields.py on how to write the snapshot anew"
    assert not KNOWN.keys() - found.keys()


def test_a_field_that_decides_nothing_says_why() -> None:
    marked = {f"{f.path[0]}: {f.kind}" for f in CONTENTS}
    silent = {name for name, what in KNOWN.items() if not what} - marked
    unexplained = [n for n in silent if not any(re.fullmatch(r, n) for r in DECIDED_OTHERWISE)]
    assert not unexplained


KNOWN: dict[str, str] = json.loads(SNAPSHOT.read_text())
EVERY = every_kind()[0]
CONTENTS = [field for field in fields_of(EVERY) if isinstance(field.mark, Content)]


def _with_all_there(folder: Path) -> Experiment:
    """The experiment with files wherever it names any."""
    every = EVERY
    for number, field in enumerate(CONTENTS):
        if field.mark.place(getattr(field.spec, field.name)) is not None:  # type: ignore[union-attr]
            every = changed(every, field.path, _write(field, folder / str(number), 0))
    return every


def _write(field: Field, folder: Path, number: int) -> str:
    """A file or folder such as the field names, and how the field names it."""
    mark = field.mark
    assert isinstance(mark, Content)
    value = str(getattr(field.spec, field.name) or "")
    ending = Path(value).suffix if Path(value).suffix in FILE_ENDINGS else ""
    place = folder / f"place{ending}"
    if ending or field.name in ("nouns", "synsets"):
        folder.mkdir(parents=True)
        place.write_text(f"{number:032x}")
        if field.name == "uids" and ending == ".npy":
            np.save(place, np.array([(number, number)], dtype="u8,u8"))
    else:
        place.mkdir(parents=True)
        for path in (*wordnet_files(place), place / "model.safetensors", place / "config.json"):
            path.write_text(f"{number:032x}")
    return f"{mark.prefix}{place}"


FILE_ENDINGS = (".safetensors", ".bin", ".npy", ".txt")


READ_BESIDE = {
    ("corpora", "shards", "shards"): "corpus",
    ("evaluation", "tasks", "own", "path"): "tasks/own/test",
}
"""Folders of tars that others read beside the fields that name contents."""


@pytest.fixture
def each_look_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "_moment", itertools.count().__next__)


@pytest.mark.usefixtures("each_look_is_new")
@pytest.mark.parametrize("field", CONTENTS, ids=lambda field: ".".join(map(str, field.path)))
def test_the_bytes_of_what_a_field_names_decide_and_its_place_does_not(
    field: Field, tmp_path: Path
) -> None:
    every = _with_all_there(tmp_path / "beside")
    for path, place in READ_BESIDE.items():
        folder = tmp_path / place
        folder.mkdir(parents=True)
        with tarfile.open(folder / "0.tar", "w"):
            pass
        every = changed(every, path, str(folder.parent if folder.name == "test" else folder))
    here = changed(every, field.path, _write(field, tmp_path / "here", 1))
    there = changed(every, field.path, _write(field, tmp_path / "there" / "deep", 1))
    other = changed(every, field.path, _write(field, tmp_path / "other", 2))
    at_first = _seen(here, tmp_path)
    assert _seen(there, tmp_path) == at_first
    assert _seen(other, tmp_path) != at_first


def _seen(experiment: Experiment, folder: Path) -> Seen:
    project = Project(experiment, Workspace(folder / "data", experiment.name))
    seen: dict[str, tuple[str, str]] = {}
    for node in build_graph(project).nodes.values():
        read = ""
        if node.outside is not None:
            with suppress(Exception):  # files of other fields, which are not there
                read = node.outside("00000")
        seen[node.key] = (node.code_version, read)
    return seen
