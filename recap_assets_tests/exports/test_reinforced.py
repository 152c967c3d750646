"""Reinforced tars, as ml-mobileclip's patched open_clip reads them."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import webdataset
from torchvision.transforms import functional
from torchvision.transforms.autoaugment import _apply_op

from recap_assets.artefacts import SYNTHETIC_CAPTIONS, is_usable
from recap_assets.exports.kinds.reinforced.augmentations import OPERATIONS, Draws, _crop
from recap_assets.graph.project import Project
from recap_assets_tests.exports.exported_pools import exported
from recap_assets_tests.exports.samples import sharded
from recap_assets_tests.exports.teachers import MeanColours

SIZE = 32


@pytest.fixture(autouse=True)
def teachers(monkeypatch: pytest.MonkeyPatch) -> None:
    place = "recap_assets.exports.kinds.reinforced.writing.embedder_of"
    monkeypatch.setattr(place, lambda *_: MeanColours())


def read(folder: Path) -> list[dict[str, Any]]:
    """As the patched loader does: the same decoders, and pickles are refused."""
    tars = [str(path) for path in sorted(folder.glob("*.tar"))]
    # webdataset's own decoder of npz lets numpy refuse pickles as well.
    return list(webdataset.WebDataset(tars, shardshuffle=False).decode("pilrgba"))


def reapplied(image: PIL.Image.Image, parameters: list[Any]) -> PIL.Image.Image:
    """ml-mobileclip's `decompress` and `reapply`, of a crop and two operations."""
    top, left, height, width = parameters[0]
    interpolation = functional.InterpolationMode.BICUBIC
    found = functional.resized_crop(image, top, left, height, width, [SIZE, SIZE], interpolation)
    for number, magnitude in parameters[1] if len(parameters) > 1 else ():
        nearest = functional.InterpolationMode.NEAREST
        found = _apply_op(found, OPERATIONS[number], magnitude, nearest, None)
    return found


@pytest.mark.parametrize("captioners", [["blip2"], ["raw", "blip2"]])
def test_the_patched_loader_finds_what_teachers_made_of_the_same_image(
    project: Project, tmp_path: Path, captioners: list[str]
) -> None:
    done = exported(
        project, tmp_path, "paper", "reinforced", teachers=["b32", "b32"], captioners=captioners,
        augmentations=2, size=SIZE, samples_per_shard=40,
    )  # fmt: skip
    samples, teacher = read(tmp_path), MeanColours()
    assert len(samples) == done.written.n_samples > 20
    for sample in samples:
        (extension,) = {"jpg", "png", "webp"} & sample.keys()
        image = sample[extension].convert("RGB")
        parameters, arrays = sample["paug.json"]["param_aug"], sample["npz"]
        assert len(parameters) == 2
        for number, one in enumerate(parameters):
            seen = np.asarray(reapplied(image, one))
            expected = np.tile(teacher.embed_images([seen])[0], 2)
            np.testing.assert_allclose(arrays["image_emb"][number], expected, atol=1e-6)
        keys = [key for key in sample["syn.json"] if re.match("syn_text", key)]
        assert keys == (["syn_text"] if len(captioners) == 1 else sorted(keys))
        for key in keys:
            texts = sample["syn.json"][key]
            both = np.tile(teacher.embed_texts([sample["txt"], *texts]), (1, 2))
            if len(captioners) == 1:
                found = arrays["text_emb"]
            else:
                assert arrays["text_emb"].shape == (1, 6)
                found = np.vstack([arrays["text_emb"], arrays[f"{key}_emb"]])
            np.testing.assert_array_equal(found, both)
        assert arrays["image_emb"].dtype == np.float32
    told = json.loads((tmp_path / "reinforcement.json").read_text())
    assert told["num_samples"] == 2
    assert told["reinforce"]["image_augmentation"]["random_resized_crop"]["size"] == SIZE


def test_several_captioners_have_all_their_candidates(project: Project, tmp_path: Path) -> None:
    exported(
        project, tmp_path, "paper", "reinforced", teachers=["b32"], captioners=["raw", "blip2"],
        augmentations=1, size=SIZE, rand_augment=False,
    )  # fmt: skip
    rows = project.workspace.tables.scan(SYNTHETIC_CAPTIONS, source="blip2").filter(is_usable())
    texts = rows.sort("uid", "candidate").group_by("uid").agg("text").collect()
    expected = {uid.hex(): found for uid, found in texts.iter_rows()}
    assert max(map(len, expected.values())) > 1
    for sample in read(tmp_path):
        told = sample["syn.json"]
        assert told.get("syn_text_blip2", []) == expected.get(sample["json"]["uid"], [])
        assert all(len(one) == 1 for one in sample["paug.json"]["param_aug"])


def test_another_teacher_writes_the_tars_again(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {
        "teachers": ["b32"], "captioners": ["blip2"], "augmentations": 1, "size": SIZE,
    }  # fmt: skip
    exported(project, tmp_path, "raw_top", "reinforced", **options)
    tar = tmp_path / "00000000.tar"
    before, changed = tar.read_bytes(), tar.stat().st_mtime_ns
    exported(project, tmp_path, "raw_top", "reinforced", **options)
    assert tar.stat().st_mtime_ns == changed
    place = "recap_assets.exports.kinds.reinforced.writing.embedder_of"
    monkeypatch.setattr(place, lambda *_: MeanColours(0.5))
    exported(project, tmp_path, "raw_top", "reinforced", **options)
    assert tar.read_bytes() != before


def test_crops_are_within_the_image_and_as_torchvision_draws_them() -> None:
    for sides in ((48, 200), (200, 48), (64, 64), (1, 7)):
        shares = []
        for number in range(300):
            top, left, height, width = _crop(Draws(0, "image", number), *sides)
            assert 0 <= top <= top + height <= sides[0]
            assert 0 <= left <= left + width <= sides[1]
            assert height > 0 < width
            shares.append(height * width / (sides[0] * sides[1]))
        if sides == (64, 64):
            assert np.mean(shares) == pytest.approx(0.54, abs=0.06)


def test_draws_are_of_the_seed_the_image_and_the_number() -> None:
    def first(*key: Any) -> float:
        return Draws(*key).between(0, 1)

    assert first(0, "a", 1) == first(0, "a", 1)
    assert len({first(0, "a", 1), first(1, "a", 1), first(0, "b", 1), first(0, "a", 2)}) == 4
    draws = Draws(0, "a", 0)
    assert {draws.below(14) for _ in range(400)} == set(range(14))


def test_what_it_cannot_do_without_is_asked_for() -> None:
    with pytest.raises(ValueError, match="teachers"):
        sharded("reinforced", captioners=["blip2"])
