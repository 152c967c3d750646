"""The doctor names each library that an experiment needs and that is not installed, with a cure."""

import os
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packaging.requirements import Requirement

from recap_assets_tests.cli.running import REPOSITORY, Recap
from recap_assets_tests.cli.test_doctor import wrong
from recap_assets_tests.tiny import EXPERIMENT
from recap_assets_tests.waiting import SECONDS

Written = Callable[..., Path]

BALANCED = {"kind": "balanced", "scorer": "clip", "clusters": 4, "per_cluster": 2}
UNIQUE = {"kind": "unique", "by": "embedding", "scorer": "clip"}
NEAR = {"kind": "image_based", "scorer": "clip", "clusters": 4, "target": {"task": "coarse"}}
TORCHRUN = {"launcher": "torchrun", "scale": "debug", "processes": "auto"}
HUB = {"kind": "transformers", "model": "some/captioner", "revision": "0123abc"}
SETS = {
    "balanced": BALANCED,
    "near": {**NEAR, "captions": None},
    "unique": {**UNIQUE, "clusters": 4},
    "basic": {"kind": "basic"},
    "laion": {"kind": "laion2b", "scorer": "clip"},
}
SOURCES = {
    **EXPERIMENT["sources"],
    "spread": {**HUB, "device_map": "auto"},
    "engine": {"kind": "vllm", "model": "some/captioner"},
}
EXPORTS = {
    "s3": {"to": "webdataset", "mix": "raw", "folder": "s3://bucket/x"},
    "gs": {"to": "webdataset", "mix": "raw", "folder": "gs://bucket/x"},
}

NEEDED: Mapping[str, tuple[str, str]] = {
    "training": ("pandas and webdataset", "training"),
    "training.track": ("mlflow", "mlflow"),
    "sets.balanced": ("faiss", "filters"),
    "sets.near": ("faiss", "filters"),
    "sets.unique": ("faiss", "filters"),
    "languages.fasttext": ("fasttext", "filters"),
    "languages.cld3": ("gcld3", "filters"),
    "exports.s3.folder": ("s3fs", "s3"),
    "exports.gs.folder": ("gcsfs", ""),
    "sources.spread": ("accelerate", ""),
    "sources.engine": ("vLLM", ""),
    "tables s3": ("extra s3", "s3"),
    "claims": ("extra s3", "s3"),
    "workers auto": ("ray", "ray"),
}
"""What doctor says of a part where nothing optional is installed: the library, and the extra."""

HIDDEN = (
    "pandas", "webdataset", "mlflow", "faiss", "fasttext", "gcld3", "s3fs", "gcsfs", "accelerate",
    "vllm", "botocore", "ray",
)  # fmt: skip
WITHOUT = """
import sys
sys.modules.update(dict.fromkeys({hidden!r}))
from recap_assets.cli.main import main
sys.argv[1:] = ["-e", {path!r}, "doctor"]
main()
"""


def test_what_is_not_installed_is_named_with_what_installs_it(
    written: Written, tmp_path: Path
) -> None:
    path = written(
        training={**TORCHRUN, "track": {"kind": "mlflow"}},
        sets=SETS, sources=SOURCES, exports=EXPORTS,
    )  # fmt: skip
    environment = {
        "RECAP_DATA": str(tmp_path), "RECAP_TABLES": "s3://bucket/x", "RECAP_WORKERS": "auto",
        "HF_HUB_CACHE": str(tmp_path / "hub"), "COLUMNS": "400", "PYTHONPATH": str(REPOSITORY),
    }  # fmt: skip
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", WITHOUT.format(hidden=HIDDEN, path=str(path))],
        env={**os.environ, **environment},
        capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    told = dict(line.split(":", 1) for line in wrong(done.stdout))
    assert told.keys() == NEEDED.keys()
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    for part, (library, extra) in NEEDED.items():
        assert library in told[part]
        command = told[part].partition("pip install ")[2].partition("`")[0]
        wanted = {Requirement(one).name for one in shlex.split(command)}
        if extra:
            named = {Requirement(one).name for one in extras["optional-dependencies"][extra]}
            assert wanted == named
        else:
            assert wanted == {library.lower()}


def test_what_is_installed_is_not_found_wrong(recap: Recap, written: Written) -> None:
    for library in ("pandas", "webdataset", "faiss", "s3fs"):
        pytest.importorskip(library)
    sets = {name: SETS[name] for name in ("balanced", "near", "unique")}
    exports = {"s3": EXPORTS["s3"]}
    done = recap("-e", written(training=TORCHRUN, sets=sets, exports=exports), "doctor")
    assert (done.exit_code, wrong(done.output)) == (0, [])


def test_k_means_is_asked_for_only_where_something_is_clustered(
    recap: Recap, written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    centroids = tmp_path / "centroids.npy"
    np.save(centroids, np.eye(4, dtype=np.float32))
    given = {"centroids": str(centroids)}
    sets: dict[str, Any] = {
        "balanced": {**BALANCED, **given},
        "near": {**NEAR, "captions": None, **given},
        "unique": UNIQUE,
        "bytes": {"kind": "unique", "by": "sha256"},
    }
    done = recap("-e", written(sets=sets), "doctor")
    assert (done.exit_code, wrong(done.output)) == (0, [])
    done = recap("-e", written(sets={**sets, "unique": SETS["unique"]}), "doctor")
    (line,) = wrong(done.output)
    assert line.startswith("sets.unique: faiss is not installed; run ")


def test_processes_that_cannot_train_here(recap: Recap, written: Written) -> None:
    pytest.importorskip("webdataset")
    training = {**TORCHRUN, "processes": 3}
    done = recap("-e", written(training=training), "doctor")
    (line,) = wrong(done.output)
    why = "without a GPU open_clip trains in one process of a machine"
    assert line == f"training.processes is 3: {why}"


def test_workers_that_mean_nothing(
    recap: Recap, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECAP_WORKERS", "many")
    done = recap("-e", written(), "doctor")
    (line,) = wrong(done.output)
    assert line == "workers 'many': say local, auto, HOST:PORT or ray://HOST:PORT"


LAUNCHER = """
run_launcher:
  module: recap_assets.defs.remote.launcher
  class: WorkersRunLauncher
  config:
    workers: {workers}
"""


@pytest.mark.parametrize(
    ("named", "written_down", "says"),
    [
        (None, "auto", "workers auto: {file} says so, and RECAP_WORKERS is not set"),
        ("head:6379", None, "workers head:6379: RECAP_WORKERS says so"),
        ("local", "local", None),
        (None, "local", None),
        (None, None, None),
        (
            "local", "{env: THE_HEAD}",
            "workers local: RECAP_WORKERS says so, which comes before ray://head:10001 of {file}",
        ),
        (
            None, "{env: THE_HEAD}",
            "workers ray://head:10001: {file} says so, and RECAP_WORKERS is not set",
        ),
    ],
)  # fmt: skip
def test_the_workers_that_hold_are_named_with_who_names_them(
    recap: Recap, written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    named: str | None, written_down: str | None, says: str | None,
) -> None:  # fmt: skip
    file = tmp_path / "dagster.yaml"
    file.write_text(LAUNCHER.format(workers=written_down) if written_down else "telemetry: {}")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("THE_HEAD", "ray://head:10001")
    monkeypatch.setenv("RECAP_WORKERS", named or "")
    done = recap("-e", written(), "doctor")
    lines = [line for line in done.output.splitlines() if "workers " in line]
    found = [line.removeprefix("ok").strip() for line in lines if line.startswith("ok")]
    assert found == ([says.format(file=file)] if says else [])


@pytest.mark.parametrize(
    ("written_down", "words"),
    [
        ("{env: NOT_SET_HERE}", "of the variable NOT_SET_HERE, which is not set"),
        ("[1]", "is no text"),
        ("'", "cannot be read"),
        ("many", "workers 'many': say local"),
    ],
)
def test_workers_of_dagster_yaml_that_mean_nothing(
    recap: Recap, written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    written_down: str, words: str,
) -> None:  # fmt: skip
    (tmp_path / "dagster.yaml").write_text(LAUNCHER.format(workers=written_down))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("RECAP_WORKERS", raising=False)
    (line,) = wrong(recap("-e", written(), "doctor").output)
    assert words in line
    assert str(tmp_path / "dagster.yaml") in line


def test_a_target_folder_that_cannot_be_looked_through(recap: Recap, written: Written) -> None:
    images = {"images": "/" + "x" * 300}
    done = recap(
        "-e", written(sets={"near": {**NEAR, "captions": None, "target": images}}), "doctor"
    )
    (line,) = wrong(done.output)
    assert "cannot be looked through: File name too long" in line
