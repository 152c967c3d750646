"""What stands for the target of an image-based set is read within bounds."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recap_assets.sets.kinds.image_based import target_images
from recap_assets.sets.kinds.image_based.target_embeddings import _opened
from recap_assets.sets.kinds.image_based.target_images import _image_batches
from recap_assets.sets.targets import TargetError


@pytest.mark.parametrize("key", [None, "b"])
def test_embeddings_are_read_of_either_kind_of_file(tmp_path: Path, key: str | None) -> None:
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.save(tmp_path / "a.npy", rows)
    np.savez(tmp_path / "a.npz", **({"a": rows - 1, "b": rows} if key else {"b": rows}))
    assert np.array_equal(_opened(tmp_path / "a.npy", key), rows)
    assert np.array_equal(_opened(tmp_path / "a.npz", key), rows)


def bomb(path: Path, shape: tuple[int, ...], data: bytes) -> Path:
    header = io.BytesIO()
    told = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, told)
    if path.suffix == ".npy":
        path.write_bytes(header.getvalue() + data)
        return path
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", header.getvalue() + data)
    return path


def test_arrays_that_claim_more_than_they_have_are_refused(tmp_path: Path) -> None:
    for name, shape in {"a.npz": (2, 2**31), "a.npy": (2, 2**31), "b.npy": (-1, 4)}.items():
        with pytest.raises(TargetError, match=rf"{name}: no array of embeddings can be read"):
            _opened(bomb(tmp_path / name, shape, bytes(64)), None)
    packed = bomb(tmp_path / "packed.npz", (2**22, 17), bytes(17 * 2**24))
    assert packed.stat().st_size < 2**20
    with pytest.raises(TargetError, match=r"packed\.npz: .* unpacks from"):
        _opened(packed, None)
    objects = np.array([[{}]], dtype=object)
    np.save(tmp_path / "o.npy", objects, allow_pickle=True)
    with pytest.raises(TargetError, match=r"o\.npy: .* pickled objects"):
        _opened(tmp_path / "o.npy", None)
    os.mkfifo(tmp_path / "p.npy")
    with pytest.raises(TargetError, match=r"p\.npy: .* named pipe"):
        _opened(tmp_path / "p.npy", None)


def test_target_images_come_in_batches_of_bounded_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(7)]
    for i, path in enumerate(paths):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(path)
    paths[2].write_bytes(b"no image")
    monkeypatch.setattr(target_images, "DECODED_BYTES", 2 * 8 * 8 * 3)
    batches = list(_image_batches(paths))
    assert [[int(image[0, 0, 0]) for image in images] for images, _ in batches] == [
        [0, 1], [3, 4], [5, 6],
    ]  # fmt: skip
    assert sum(n for _, n in batches) == 1
