"""Captions of regions: which boxes count, and what is said of what is in them."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.captions.kinds.regions.boxes import boxes_in, cut_out, region_uid
from recap_assets.engines.small.loading import load_small_captioner
from recap_assets.shards.reading import iterate_images
from recap_assets.specs.decoding import Decoding
from recap_assets.specs.loading import ExperimentError
from recap_assets.testing.inputs import marked_but_deciding
from recap_assets.world.scenes import world_of
from recap_assets.world.views import box_of
from recap_assets.world.writing import pool_sample, pool_uid
from recap_assets_tests.tiny import EXPERIMENT, Bench, Memory, tiny_experiment

BY = EXPERIMENT["sources"]["a"]
POOL = {**EXPERIMENT["pool"], "samples": 30, "samples_per_shard": 10, "boxes": True}
COLUMNS = {"boxes": "json.boxes", "nothing": "json.none", "side": "json.width"}


def regions(**fields: Any) -> Mapping[str, Any]:
    return {"kind": "regions", "boxes": "boxes", "by": BY, "keep": 3, **fields}


def experiment(**sources: Any) -> Any:
    return tiny_experiment(
        pool={**POOL, "columns": COLUMNS},
        sources={"a": BY, "things": regions(), **sources},
        mixes={"all": [{"use": "things", "candidates": "all"}]},
        report={},
    )


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    others = {"none": regions(boxes="nothing"), "one_number": regions(boxes="side")}
    made = Bench(tmp_path_factory.mktemp("regions"), experiment(**others), Memory())
    made.build("world", "pool", "models", "captions")
    return made


def captions(bench: Bench, source: str) -> pl.DataFrame:
    return bench.project.workspace.tables.read(SYNTHETIC_CAPTIONS, source=source)


def test_each_thing_of_a_scene_is_captioned_as_an_image_of_its_own(bench: Bench) -> None:
    project = bench.project
    found: defaultdict[bytes, list[str | None]] = defaultdict(list)
    for uid, text in captions(bench, "things").sort("uid", "candidate")["uid", "text"].iter_rows():
        found[uid].append(text)
    decoding = Decoding.model_validate(BY["decoding"])
    captioner = load_small_captioner(project.workspace.model("captioner"), decoding)
    pictures = {}
    for key in project.partitions:
        usable = project.usable_images(key)
        for rows, images in iterate_images(usable, project.shards, project.pool, batch_size=16):
            pictures.update(zip(rows["uid"].to_list(), images, strict=True))
    for number in range(30):
        uid, scene = pool_sample(world_of(3), number).uid, pool_sample(world_of(3), number).scene
        crops, uids = [], []
        for box in [box_of(thing) for thing in scene.things][:3]:
            left, upper, right, lower = (64 * end for end in box)
            whole = (int(left), int(upper), int(np.ceil(right)), int(np.ceil(lower)))
            crops.append(pictures[uid][whole[1] : whole[3], whole[0] : whole[2]].copy())
            uids.append(region_uid(uid, whole))
        expected = [one.text or None for (one,) in captioner.caption(crops, uids)]
        assert found[uid] == expected


def test_an_image_without_boxes_is_set_aside_with_the_reason(bench: Bench) -> None:
    for source, reason in (("none", "without_nothing"), ("one_number", "no_boxes")):
        found = captions(bench, source)
        assert found.height == 30
        assert set(found.select("status", "reject_reason").iter_rows()) == {("empty", reason)}


def test_boxes_are_read_in_any_of_their_forms() -> None:
    half = "0.25, 0.5, 0.75, 1.0"
    assert list(boxes_in(half, (100, 40), "xyxy", "share", 1)) == [(25, 20, 75, 40)]
    assert list(boxes_in("[[10, 4, 20, 30.5]]", (100, 40), "xyxy", "pixel", 1)) == [(10, 4, 20, 31)]
    assert list(boxes_in("10 4 20 30", (100, 40), "xywh", "pixel", 1)) == [(10, 4, 30, 34)]


def test_boxes_are_cut_off_at_the_edges_and_small_or_turned_ones_left_out() -> None:
    def found(text: str) -> list[tuple[int, ...]]:
        return list(boxes_in(text, (64, 64), "xyxy", "pixel", 8))

    assert found("-9, -5, 900, 20") == [(0, 0, 64, 20)]
    assert found("0,0,7,60, 0,0,8,60") == [(0, 0, 8, 60)]
    assert found("40,40,10,10") == []
    assert found("0,0,9,9, nan,0,9,9, 0,0,20,20") == [(0, 0, 9, 9)]
    assert found("0,0,9,9, 1e400,0,9,9") == [(0, 0, 9, 9)]
    assert found("0,0,9,9, 5,5") == [(0, 0, 9, 9)]
    assert found("a cat") == found("") == []
    assert len(found("0,0,9,9," * 5_000)) == 250


def test_the_uid_of_a_region_is_of_the_image_and_the_box() -> None:
    uids = {region_uid(pool_uid(3, n), box) for n in (0, 1) for box in ((0, 0, 9, 9), (0, 0, 9, 8))}
    assert len(uids) == 4
    assert {len(uid) for uid in uids} == {16}
    image = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    assert cut_out(image, (1, 2, 4, 3)).tolist() == image[2:3, 1:4].tolist()


def test_what_decides_is_what_has_no_mark() -> None:
    assert not marked_but_deciding(experiment().sources["things"])
    other = experiment(faster=regions(by={**BY, "batch_size": 8})).sources
    assert other["faster"].decides() == other["things"].decides()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"boxes": "raw"}, "sources.bad.boxes: there is no 'raw'"),
        ({"keep": 64, "by": {**BY, "candidates": 2}}, "128 captions of an image, at most 64 are"),
        ({"by": {"kind": "split", "source": "raw"}}, "kind 'split'"),
        ({"by": {**BY, "model": "scorer"}}, "'scorer' is of another kind"),
        ({"by": {**BY, "control": {"length": 4}}}, "it has no control"),
    ],
)
def test_what_cannot_be_is_refused(fields: Mapping[str, Any], told: str) -> None:
    with pytest.raises(ExperimentError, match=told):
        experiment(bad=regions(**fields))
