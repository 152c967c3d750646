"""`recap export`: killed and resumed, verified, refused, and what it tells."""

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import yaml
from open_clip_train.params import parse_args

from recap_assets_tests.cli.running import Recap
from recap_assets_tests.exports.exported_pools import KEPT, cut_shard, real_setting
from recap_assets_tests.exports.test_forms import croissant_rows
from recap_assets_tests.hub_server import hub_server

LONG = ["--to", "webdataset", "--samples-per-shard", "4"]


@pytest.fixture(scope="module")
def built(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an experiment's file, and its data with everything built up to the mixes."""
    folder = tmp_path_factory.mktemp("built")
    (folder / "pool").mkdir()
    source = shared_data / "pools" / "webalt" / "shards" / "00000000.tar"
    cut_shard(source, folder / "pool" / "00000000.tar")
    made = real_setting(folder / "data", folder / "pool").experiment
    (folder / "real.yaml").write_text(yaml.safe_dump(made.model_dump(mode="json")))
    return folder


@pytest.fixture
def experiment(built: Path, recap: Recap, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: ARG001 - sets the data folder, too
    monkeypatch.setenv("RECAP_DATA", str(built / "data"))
    return built / "real.yaml"


def tars(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.tar")}


# Of the first sample that is written when five shards are finished.
KILLED = """
import os, signal, sys
from pathlib import Path
from recap_assets.cli.main import main
from recap_assets.exports.kinds.webdataset.tars import Tars

members = Tars.members

def killed(self, sample):
    if len(list(Path(sys.argv[-1]).rglob("*_stats.json"))) >= 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return members(self, sample)

Tars.members = killed
main()
"""


def killed_midway(experiment: Path, out: Path) -> None:
    """An export of many small shards, killed when some are finished."""
    words = ["-e", str(experiment), "export", "each", *LONG, "--out", str(out)]
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", KILLED, *words], stdout=subprocess.DEVNULL, check=False
    )
    assert done.returncode == -signal.SIGKILL


def test_a_killed_export_goes_on_where_it_was(
    recap: Recap, experiment: Path, tmp_path: Path
) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    killed_midway(experiment, out)
    assert recap("export", "--verify", out).exit_code == 1
    finished = [Path(str(p).replace("_stats.json", ".tar")) for p in out.rglob("*_stats.json")]
    before = {path: path.stat().st_mtime_ns for path in finished}
    done = recap("-e", experiment, "export", "each", *LONG, "--out", out)
    assert done.exit_code == 0, done.output
    assert {path: path.stat().st_mtime_ns for path in finished} == before
    assert recap("-e", experiment, "export", "each", *LONG, "--out", whole).exit_code == 0
    assert tars(out) == tars(whole)
    assert len(tars(out)) > len(before) >= 5
    verified = recap("export", "--verify", out)
    assert (verified.exit_code, "as they were written" in verified.output) == (0, True)


def test_damage_is_found_and_named(recap: Recap, experiment: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    recap("-e", experiment, "export", "paper", "--to", "webdataset", "--out", out)
    tar = out / "00000000.tar"
    content = bytearray(tar.read_bytes())
    content[len(content) // 2] ^= 1
    tar.write_bytes(content)
    found = recap("export", "--verify", out)
    assert found.exit_code == 1
    assert "00000000.tar: other bytes than were written" in found.output


def test_it_says_what_was_written_what_was_left_out_and_how_it_is_read(
    recap: Recap, experiment: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out dir"
    words = ("--to", "text_to_image", "--min-side", "400", "--out", out)
    done = recap("-e", experiment, "export", "paper", *words)
    assert done.exit_code == 0, done.output
    assert "a side is shorter than min_side" in done.output
    assert f'load_dataset("imagefolder", data_dir="{out}")' in done.output
    assert "partitions of curated_mixes/paper are out of date" in done.output
    hub = tmp_path / "hub dir"
    told = recap("-e", experiment, "export", "paper", "--to", "huggingface", "--out", hub).output
    assert f"recap export '{hub}' --push-to hf://datasets/ORGANISATION/NAME" in told


def test_the_arguments_are_those_that_open_clip_parses(
    recap: Recap, experiment: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    recap("-e", experiment, "export", "each", *LONG[:2], "--out", out)
    printed = recap("export", "--arguments", out)
    args = parse_args(shlex.split(printed.output))
    assert args.dataset_resampled
    assert args.train_data.count("::") == args.train_data_upsampling_factors.count("::") == 1
    assert args.train_num_samples == sum(
        json.loads(path.read_text())["successes"] for path in out.rglob("*_stats.json")
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nix", "--to", "subset", "--out", "OUT"], "export.mix: there is no 'nix'"),
        (["paper", "--to", "subset"], "say where it goes: --out FOLDER"),
        (["paper"], "declares no export 'paper' (declared: none)"),
        (["paper", "--to", "webdataset", "--out", "OUT", "--captions", "git"], "no 'git'"),
        (["paper", "--to", "webdataset", "--out", "OUT", "--formats", "bmp"], "--formats"),
        (["paper", "--to", "subset", "--out", "OUT", "--shuffle", "1"], "--shuffle"),
        (["paper", "--to", "subset", "--out", "FOREIGN"], "is not empty (mine.txt"),
        (["--verify", "FOREIGN"], "no finished export"),
        (["--arguments", "FOREIGN"], "no finished export of shards"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(
    recap: Recap, experiment: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "mine.txt").write_text("mine")
    places: dict[str, Any] = {"OUT": tmp_path / "out", "FOREIGN": foreign}
    done = recap("-e", experiment, "export", *(places.get(word, word) for word in words))
    assert done.exit_code != 0
    assert said in done.output
    assert [path.name for path in foreign.iterdir()] == ["mine.txt"]
    assert not (tmp_path / "out").exists()


def test_subset_files_hold_the_uids_of_each_source(
    recap: Recap, experiment: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert recap("-e", experiment, "export", "paper", "--to", "subset", "--out", out).exit_code == 0
    n = sum(len(np.load(path)) for path in out.glob("sample_ids_*.npy"))
    assert 0 < n <= KEPT
    assert recap("export", "--verify", out).exit_code == 0


def test_what_is_exported_is_pushed_and_read_as_a_dataset(
    recap: Recap, experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, there = tmp_path / "out", tmp_path / "there"
    words = ("export", "paper", "--to", "huggingface", "--samples-per-shard", "20", "--out", out)
    with hub_server(monkeypatch) as hub:
        done = recap("-e", experiment, *words, "--push-to", "hf://datasets/a/b", "--json")
        assert done.exit_code == 0, done.output
        form = json.loads(done.stdout)
        contents = hub.datasets["a/b"].contents()
    assert form["pushed"]["sent"] == len(contents) > 5
    for name, content in contents.items():
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        (there / name).write_bytes(content)
    assert recap("export", "--verify", there).exit_code == 0
    cache = str(tmp_path / "cache")
    dataset = datasets.load_dataset(str(there), split="train", cache_dir=cache)
    assert len(dataset) == form["samples"] == len(croissant_rows(there / "croissant.json"))
