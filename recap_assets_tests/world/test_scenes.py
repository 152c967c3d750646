from collections import Counter

import pytest

from recap_assets.world.scenes import (
    ARRANGEMENTS,
    CANVAS,
    COARSE,
    COLOURS,
    FINE,
    TEXTURES,
    Scene,
    draw_scene,
    stream,
    world_of,
)

N = 6_000


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    world = world_of(3)
    return [draw_scene(stream(3, "test", i), world) for i in range(N)]


def test_twelve_coarse_classes_hold_three_fine_ones_each() -> None:
    assert Counter(fine.coarse for fine in FINE) == dict.fromkeys(COARSE, 3)
    assert len({fine.name for fine in FINE}) == 36
    assert {fine.colour for fine in FINE} <= set(COLOURS)


def test_articles_are_always_a() -> None:
    names = [*COARSE, *COLOURS, *(fine.name for fine in FINE)]
    assert not [name for name in names if name[0] in "aeiou"]


def test_class_frequencies_follow_zipf_in_the_order_of_the_world(scenes: list[Scene]) -> None:
    world = world_of(3)
    counts = Counter(scene.things[0].fine for scene in scenes)
    weights = [(rank + 1) ** -0.6 for rank in range(36)]
    for fine in range(36):
        expected = N * weights[world.rank(fine)] / sum(weights)
        assert abs(counts[fine] - expected) < 5 * expected**0.5


def test_the_tail_is_the_rarest_third(scenes: list[Scene]) -> None:
    tail = set(world_of(3).tail)
    counts = Counter(scene.things[0].fine for scene in scenes)
    rest = set(range(36)) - tail
    assert len(tail) == 12
    assert max(world_of(3).rank(fine) for fine in rest) < min(world_of(3).rank(f) for f in tail)
    assert sum(counts[fine] for fine in tail) / 12 < 0.6 * sum(counts[f] for f in rest) / 24


def test_another_seed_ranks_the_classes_otherwise() -> None:
    assert world_of(1).by_frequency != world_of(2).by_frequency
    assert world_of(1).tail != world_of(2).tail


def test_rates_of_arrangements_textures_and_typical_colours(scenes: list[Scene]) -> None:
    arrangements = Counter(scene.arrangement for scene in scenes)
    textures = Counter(scene.things[0].texture for scene in scenes)
    typical = sum(scene.things[0].colour == FINE[scene.things[0].fine].colour for scene in scenes)
    for name, rate in zip(ARRANGEMENTS, (0.5, 0.3, 0.2), strict=True):
        assert arrangements[name] / N == pytest.approx(rate, abs=0.025)
    for name, rate in zip(TEXTURES, (0.7, 0.15, 0.15), strict=True):
        assert textures[name] / N == pytest.approx(rate, abs=0.025)
    assert typical / N == pytest.approx(0.45, abs=0.025)


def test_a_relation_is_what_the_positions_show(scenes: list[Scene]) -> None:
    seen = Counter()
    for scene in scenes:
        if scene.arrangement != "two":
            assert scene.relation is None
            continue
        first, second = scene.things
        seen[scene.relation] += 1
        assert first.fine != second.fine
        across, down = second.x - first.x, second.y - first.y
        shown = {"left": across, "right": -across, "above": down, "below": -down}
        assert scene.relation == max(shown, key=lambda name: shown[name])
    assert set(seen) == {"left", "right", "above", "below"}


def test_many_means_three_to_five_of_one_look(scenes: list[Scene]) -> None:
    groups = [scene.things for scene in scenes if scene.arrangement == "many"]
    assert {len(things) for things in groups} == {3, 4, 5}
    for things in groups:
        assert len({(thing.fine, thing.colour, thing.texture) for thing in things}) == 1


def test_centres_lie_well_inside_the_canvas(scenes: list[Scene]) -> None:
    for thing in (thing for scene in scenes for thing in scene.things):
        reach = thing.half_size * 0.75
        assert reach < thing.x < CANVAS - reach
        assert reach < thing.y < CANVAS - reach


def test_what_is_asked_for_is_drawn() -> None:
    for i in range(60):
        scene = draw_scene(
            stream(0, "test", i), None, fine=i % 36, arrangement=ARRANGEMENTS[i % 3],
            background="night", colour="teal", texture="spotted",
        )  # fmt: skip
        first = scene.things[0]
        assert (first.fine, first.colour, first.texture) == (i % 36, "teal", "spotted")
        assert (scene.arrangement, scene.background) == (ARRANGEMENTS[i % 3], "night")


def test_streams_depend_on_seed_purpose_and_number() -> None:
    draws = {
        stream(seed, purpose, number).random()
        for seed in (0, 1)
        for purpose in ("pool", "corpus broad")
        for number in (0, 1)
    }
    assert len(draws) == 8
    assert stream(1, "pool", 2).random() == stream(1, "pool", 2).random()
