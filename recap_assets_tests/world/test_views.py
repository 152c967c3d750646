"""Views of one scene: the same things, another picture; and boxes where the things are."""

import json
import tarfile
from pathlib import Path

import numpy as np

from recap_assets.world import drawing
from recap_assets.world.scenes import FINE, stream, world_of
from recap_assets.world.views import Drawing, box_of, pool_scene, seen_again
from recap_assets.world.writing import pool_sample, write_pool

WORLD = world_of(5)


def records(folder: Path) -> list[dict[str, object]]:
    found = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            members = [tar.extractfile(one) for one in tar if one.name.endswith(".json")]
            found += [json.loads(one.read()) for one in members if one]
    return found


def test_views_of_a_scene_have_its_things_and_are_other_pictures():
    views = [pool_sample(WORLD, number, 3) for number in range(30)]
    for group in range(10):
        of_one = views[3 * group : 3 * group + 3]
        looks = {
            (tuple((t.fine, t.colour, t.texture) for t in one.scene.things), one.scene.background)
            for one in of_one
        }
        assert len(looks) == 1
        assert len({one.image for one in of_one}) == 3
    assert len({one.uid for one in views}) == 30
    assert len({one.text for one in views}) > 20, "each has an alt-text of its own"


def test_what_is_left_of_another_thing_stays_there():
    two = (scene for n in range(60) if (scene := pool_scene(WORLD, n)[1]).relation == "left")
    for number, scene in enumerate(two):
        first, second = seen_again(stream(5, "again", number), scene).things
        assert first.x < second.x


def test_one_view_each_is_the_pool_as_ever():
    assert pool_sample(WORLD, 7) == pool_sample(WORLD, 7, views=1)


def test_jsons_say_the_group_and_the_boxes(tmp_path: Path):
    write_pool(tmp_path / "plain", 5, 6, 6)
    assert not any({"group", "boxes"} & one.keys() for one in records(tmp_path / "plain"))
    write_pool(tmp_path / "views", 5, 7, 4, drawn=Drawing(views=3, boxes=True))
    found = records(tmp_path / "views")
    assert [one["group"] for one in found] == [f"scene {n // 3}" for n in range(7)]
    for number, one in enumerate(found):
        scene = pool_sample(WORLD, number, 3).scene
        assert one["fine"] == FINE[scene.things[0].fine].name
        assert one["boxes"] == [box_of(thing) for thing in scene.things]


def test_a_box_holds_its_thing():
    for number in range(20):
        _, scene = pool_scene(WORLD, number)
        if scene.arrangement != "one":
            continue
        (thing,) = scene.things
        without = drawing.draw(
            pool_scene(WORLD, number)[1].__class__(
                "one", (), None, scene.background, scene.variant, scene.brightness
            ),
            5,
        )
        changed = (drawing.draw(scene, 5) != without).any(2)
        rows, columns = np.nonzero(changed)
        left, upper, right, lower = (64 * end for end in box_of(thing))
        inside = (columns >= left - 1) & (columns <= right) & (rows >= upper - 1) & (rows <= lower)
        assert inside.mean() > 0.97
        assert (columns.max() - columns.min()) > 0.6 * (right - left)
