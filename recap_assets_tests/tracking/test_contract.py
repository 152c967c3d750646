"""The contract of trackers, kept by every kind whose library is installed, on real local stores."""

import json
import re
import struct
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from typing import Any

import pytest

from recap_assets.specs.kinds import kinds_of
from recap_assets.testing.trackers import TrackerContract
from recap_assets.tracking import kind
from recap_assets.tracking.kinds.mlflow import MlflowTracker
from recap_assets.tracking.kinds.trackio import TrackioTracker
from recap_assets.tracking.kinds.wandb import WandbTracker

LOG_BLOCK = 32_768
HELD = {"mlflow": "TestMlflow", "wandb": "TestWandb", "trackio": "TestTrackio"}


def test_no_kind_is_left_out() -> None:
    assert HELD.keys() == kinds_of("trackers").keys()
    assert set(HELD.values()) <= globals().keys()


def test_doctor_says_what_pip_would_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind.util, "find_spec", lambda _name: None)
    ((good, said),) = TrackioTracker(kind="trackio").doctor("training.track")
    assert not good
    assert re.search(r"pip install 'trackio[<>][^`]*`\. It asks for a pillow below 13", said)
    # Where the pinned pillow is another one, the sentence is no longer true.
    pins = (Path(__file__).parents[2] / "constraints.txt").read_text().splitlines()
    assert "pillow==13.0.0" in pins
    ((_, other),) = MlflowTracker(kind="mlflow", folder="runs").doctor("training.track")
    assert re.search(r"pip install 'mlflow-skinny[<>][^`]*`$", other)


def needs(library: str) -> Any:
    return pytest.mark.skipif(util.find_spec(library) is None, reason=f"{library} is not installed")


def log_records(content: bytes) -> Iterator[bytes]:
    """Records in LevelDB's log format, which W&B's files have after seven bytes of their own."""
    parts, at = [], 7
    while at + 7 <= len(content):
        left = LOG_BLOCK - at % LOG_BLOCK
        if left < 7:
            at += left
            continue
        size, kind = struct.unpack_from("<HB", content, at + 4)
        parts.append(content[at + 7 : at + 7 + size])
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield b"".join(parts)
            parts = []


@needs("mlflow")
class TestMlflow(TrackerContract):
    @pytest.fixture(autouse=True)
    def given(self, tmp_path: Path) -> None:
        self.folder = tmp_path
        self.tracker = MlflowTracker(kind="mlflow", folder=str(tmp_path / "runs"))

    def _run(self, project: str, key: str) -> Any:
        client = self.tracker._client()
        experiment = client.get_experiment_by_name(project).experiment_id
        (run,) = client.search_runs([experiment], f"tags.`recap.run` = '{key}'")
        return run

    def curve(self, project: str, key: str) -> list[tuple[int, float]]:
        run = self._run(project, key)
        history = self.tracker._client().get_metric_history(run.info.run_id, "loss")
        return [(point.step, point.value) for point in history]

    def result(self, project: str, key: str, name: str) -> float:
        run = self._run(project, key)
        assert run.info.status == "FINISHED"
        assert run.data.params == {"mix": "best"}
        assert run.data.tags["recap.commit"] == "abc"
        assert len(list((self.folder / "runs" / "artifacts").rglob("board.csv"))) == 1
        return run.data.metrics[name]


@needs("wandb")
class TestWandb(TrackerContract):
    """Offline: each opening is a file of its own, and all carry one id, which W&B puts together."""

    @pytest.fixture(autouse=True)
    def given(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
        monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
        monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
        self.folder = tmp_path
        self.tracker = WandbTracker(kind="wandb", mode="offline")

    def _records(self, key: str) -> Iterator[Any]:
        import wandb  # noqa: PLC0415 - where it is installed
        from wandb.proto import wandb_internal_pb2  # noqa: PLC0415 - as above

        wandb.teardown()  # the last records are written when its service ends
        for path in sorted(self.folder.rglob(f"run-{key}.wandb"), key=lambda p: p.stat().st_mtime):
            for data in log_records(path.read_bytes()):
                record = wandb_internal_pb2.Record()
                record.ParseFromString(data)
                yield record

    def curve(self, project: str, key: str) -> list[tuple[int, float]]:  # noqa: ARG002 - in the records
        found = []
        for record in self._records(key):
            items = {
                item.key or "/".join(item.nested_key): json.loads(item.value_json)
                for item in record.history.item
            }
            if "train/loss" in items:
                found.append((items["step"], items["train/loss"]))
        return found

    def result(self, project: str, key: str, name: str) -> float:
        records = list(self._records(key))
        runs = [record.run for record in records if record.HasField("run")]
        assert {(run.run_id, run.project, run.run_group) for run in runs} == {
            (key, project, "demo")
        }
        updates = [item for record in records for item in record.summary.update]
        values = {item.key or item.nested_key[0]: item.value_json for item in updates}
        return json.loads(values[name])


@needs("trackio")
class TestTrackio(TrackerContract):
    @pytest.fixture(autouse=True)
    def given(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = tmp_path
        monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
        self.tracker = TrackioTracker(kind="trackio", folder=str(tmp_path))

    def _logs(self, project: str, key: str) -> list[dict[str, Any]]:
        from trackio.sqlite_storage import SQLiteStorage  # noqa: PLC0415 - where it is installed

        (run,) = SQLiteStorage.get_runs(project)
        assert run == f"demo/best/seed-0-{key[:8]}"
        return SQLiteStorage.get_logs(project, run)

    def curve(self, project: str, key: str) -> list[tuple[int, float]]:
        return [(log["step"], log["loss"]) for log in self._logs(project, key) if "loss" in log]

    def result(self, project: str, key: str, name: str) -> float:
        (value,) = [log[name] for log in self._logs(project, key) if name in log]
        return value
