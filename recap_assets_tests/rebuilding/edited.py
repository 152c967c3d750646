"""A whole experiment at its smallest over tars, whose edits are built in copies of it."""

import shutil
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recap_assets_tests.evaluation.sets_on_disk import labelled, write_set
from recap_assets_tests.rebuilding.platform import Platform, Sample, Shards, write_tar
from recap_assets_tests.tiny import TOWER
from recap_assets_tests.undrawn import charts_undrawn

Computed = dict[str, set[str]]
"""Partitions by asset."""

ALL = {f"{number:05d}" for number in range(4)}
WHOLE = {""}
SEED = {"0"}
SCORER = {"kind": "counting"}


def shards() -> Shards:
    """Four shards of three samples."""
    return {
        f"{n:08d}": [Sample(100 * n + i, f"text {n} {i} words", 100 * n + i) for i in range(3)]
        for n in range(4)
    }


def scored(rules: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
    return {"scorer": "clip", "rules": rules, **more}


def settings(folder: Path) -> dict[str, Any]:
    return {
        "corpora": {}, "models": {},
        "pool": {"kind": "webdataset", "shards": str(folder / "pool")},
        "sources": {
            "a": {"kind": "counting"},
            "b": {"kind": "counting", "candidates": 2, "by_uid": False},
            "drop": {"kind": "import", "files": str(folder / "drop.csv"), "caption": "caption"},
        },
        "scorers": {"clip": SCORER},
        "sets": {
            "listed": {"uids": str(folder / "listed.txt")},
            "wide": {"kind": "words", "columns": {"width": {"at_least": 4}}},
        },
        "mixes": {
            "raw": scored([{"use": "raw"}]),
            "top": scored([{"use": "raw", "where": {"top": 0.5}}, {"use": "a", "weight": 0.5}]),
            "best": scored([{"use": {"best_of": ["raw", "b"]}}]),
            "drawn": scored([{"use": {"random_of": {"raw": 1, "a": 2}}}]),
            "in_set": scored([{"use": "raw", "where": {"in_set": "listed"}}]),
            "dropped": scored([{"use": "drop", "where": {"in_set": "wide"}}]),
        },
        "exports": {"train": {"mix": "drawn", "to": "webdataset", "captions": []}},
        "training": {"samples_seen": 16, "batch_size": 8, "tower": TOWER, "seeds": [0]},
        "evaluation": {"tasks": {"own": {"kind": "webdataset", "path": str(folder / "set")}}},
        "report": {"raw": "raw", "examples": 2},
    }  # fmt: skip


def fill(folder: Path) -> None:
    """Write all files that the experiment names, but the pool."""
    write_drop(folder)
    write_listed(folder)
    members = [member for i in range(6) for member in labelled(f"s{i}", str(i % 2), 40 * i)]
    write_set(folder / "set", "classification", [members])


def uids() -> list[int]:
    return [sample.uid for samples in shards().values() for sample in samples]


def write_drop(folder: Path, texts: Mapping[int, str] = {}, *, backwards: bool = False) -> None:
    """The imported captions of all images but the first, with some of them others."""
    known = {uid: f"drop {uid}" for uid in uids()[1:]} | dict(texts)
    rows = [f"{uid:032x},{text}\n" for uid, text in known.items()]
    lines = reversed(rows) if backwards else rows
    (folder / "drop.csv").write_text("uid,caption\n" + "".join(lines))


def write_listed(folder: Path, *without: int) -> None:
    """The members of `listed`: all images but some."""
    members = [f"{uid:032x}\n" for uid in uids() if uid not in without]
    (folder / "listed.txt").write_text("".join(members))


@dataclass
class Edited(Platform):
    """The experiment, to be edited.

    Attributes:
        asked: What models were asked by the last `after`.
    """

    asked: dict[str, int] = field(default_factory=dict)

    def copied(self, folder: Path) -> "Edited":
        """The same with files and results of its own."""
        shutil.copytree(self.folder, folder)
        found = Edited(folder, folder / "data", settings(folder))
        found.memories = {(found.data, "tiny"): deepcopy(self.memory)}
        found.accounts = {(found.data, *key[1:]): one for key, one in self.accounts.items()}  # type: ignore[misc]
        return found

    def rewrite(self, number: int, *samples: Sample) -> Path:
        """Make these the samples of a shard."""
        path = self.folder / "pool" / f"{number:08d}.tar"
        write_tar(path, samples)
        return path

    def mixes(self, **changes: Any) -> Mapping[str, Any]:
        """The setting of mixes with some others."""
        return {"mixes": {**self.settings["mixes"], **changes}}

    def after(self, **changes: Any) -> Computed:
        """What the edited experiment computes. A tar that was copied is looked at, too, and left
        out where its rows came out as they were."""
        known = self.memories[self.data, "tiny"].records.get("raw_pool", {})
        before = {key: record.data_version for key, record in known.items()}
        with charts_undrawn():
            self.asked = self.build(**changes)
        found: dict[str, set[str]] = {}
        for asset, partition in self.computed:
            now = self.memory.records[asset][partition].data_version
            if asset != "raw_pool" or before.get(partition) != now:
                found.setdefault(asset, set()).add(partition)
        return found


def first_built(folder: Path) -> Edited:
    """The experiment, up to date."""
    folder.mkdir()
    fill(folder)
    built = Edited(folder, folder / "data", settings(folder))
    built.write(shards())
    with charts_undrawn():
        built.build()
    return built


def only_file(folder: Path) -> Path:
    (file,) = folder.rglob("*.parquet")
    return file
