"""safetensors by their headers: what they hold, and that they hold it."""

import json
import os
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import nn

from recap_assets.engines.errors import ModelFolderError
from recap_assets.engines.model_folders.skeletons import (
    FEW_PARTS,
    MAX_BUFFERS,
    PARTS,
    SLACK,
    check_skeleton,
)
from recap_assets.engines.model_folders.weights import Weights, read_weights, weight_files


def test_tensors_numbers_and_bytes_are_counted(tmp_path: Path) -> None:
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_file({"x": np.zeros((3, 4), np.float16), "y": np.zeros(5, np.int64)}, first)
    save_file({"z": np.zeros((), np.float32)}, second)
    size = first.stat().st_size + second.stat().st_size
    assert read_weights([first, second]) == Weights(3, 18, size)


def written(path: Path, header: object, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def tensor(**changes: Any) -> dict[str, Any]:
    return {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b'{"a":' * 100_000, "nests deeper"),
        (b"[]", "no mapping"),
        ({"x": 1}, "no shape, type and place"),
        (tensor(dtype="OBJECT"), "no shape, type and place"),
        (tensor(data_offsets=[8, 0]), "no shape, type and place"),
        (tensor(shape=[-2]), "has the shape"),
        (tensor(shape=[10**40]), "has the shape"),
        (tensor(shape=[10**12]), "has 8 bytes"),
        (tensor(shape=[200], data_offsets=[0, 800]), "tensors end at byte"),
        (tensor() | {"y": tensor()["x"]}, "two of its tensors share bytes"),
    ],
)
def test_a_header_that_does_not_fit_its_file_is_refused(
    header: object, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelFolderError, match=words):
        read_weights([written(tmp_path / "m.safetensors", header, bytes(8))])


def test_other_things_than_safetensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", 2**63) + b"{}")
    with pytest.raises(ModelFolderError, match="its header claims"):
        read_weights([path])
    path.write_bytes(b"<html>404")
    with pytest.raises(ModelFolderError, match="no whole safetensors file"):
        read_weights([path])
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ModelFolderError, match="a named pipe"):
        read_weights([path])


@pytest.mark.parametrize("named", ["../x.safetensors", "/etc/x.safetensors", "x.bin", 7])
def test_an_index_names_safetensors_of_its_folder_only(named: object, tmp_path: Path) -> None:
    index = {"weight_map": {"x": named}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelFolderError, match="weight_map names no safetensors files"):
        weight_files(tmp_path)


def test_a_model_is_no_larger_than_its_weights() -> None:
    held = Weights(1, 1_000, 4_000)
    check_skeleton(Path("c"), lambda: nn.Linear(10, 100, bias=False), held)
    with pytest.raises(ModelFolderError, match="c: it claims a model of"):
        check_skeleton(Path("c"), lambda: nn.Linear(1 << 24, 1 << 20, bias=False), held)

    class Masked(nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.register_buffer("mask", torch.zeros(n))

    check_skeleton(Path("c"), lambda: Masked(SLACK), held)
    with pytest.raises(ModelFolderError, match="numbers beside"):
        check_skeleton(Path("c"), lambda: Masked(2 * MAX_BUFFERS), held)


def test_a_model_of_more_parts_than_its_files_could_fill_is_not_built() -> None:
    made: list[nn.ModuleList] = []

    def build(n: int) -> nn.Module:
        made.append(nn.ModuleList())
        for _ in range(n):
            made[-1].append(nn.Identity())
        return made[-1]

    held = Weights(2, 10, 40)
    check_skeleton(Path("config.json"), lambda: build(FEW_PARTS + 2 * PARTS), held)
    with pytest.raises(ModelFolderError, match="a model of more than 20,200 parts"):
        check_skeleton(Path("config.json"), lambda: build(10**9), held)
    assert len(made[-1]) <= FEW_PARTS + 2 * PARTS + 1
    build(FEW_PARTS + 2 * PARTS + 5)  # elsewhere nothing is counted


def test_a_skeleton_does_not_import_torchs_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # type: ignore[arg-type]
    made: list[nn.Embedding] = []

    def build() -> nn.Module:
        made.append(nn.Embedding(3, 4))
        nn.init.normal_(tensor=made[0].weight)
        return made[0]

    check_skeleton(Path("config.json"), build, Weights(1, 12, 48))
    assert made[0].weight.shape == (3, 4)
    assert made[0].weight.is_meta
    assert nn.Embedding(3, 4).weight.std() > 0  # elsewhere they are drawn
