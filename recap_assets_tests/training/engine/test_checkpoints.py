"""What training goes on from is read within bounds, and else put aside."""

from pathlib import Path

import pytest
import torch

from recap_assets.training.engine import checkpoints
from recap_assets.training.engine.checkpoints import read_checkpoint, write_checkpoint


def test_progress_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.safetensors"
    write_checkpoint(path, {"x": torch.ones(2)}, {"a": 1}, "run")
    monkeypatch.setattr(checkpoints, "MAX_PROGRESS_BYTES", 8)
    found = read_checkpoint(path, "run")
    assert found is not None
    assert found[1] == {"a": 1}
    monkeypatch.setattr(checkpoints, "MAX_PROGRESS_BYTES", 7)
    assert read_checkpoint(path, "run") is None
    assert [one.name for one in tmp_path.iterdir()] == ["checkpoint.safetensors.corrupt"]
