"""Held-out sets that ask for more than a class: negatives, conditions, sentences, languages.

Scenes know what is in them, so what is true of a picture and what nearly is costs nothing.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from recap_assets.world import drawing, texts
from recap_assets.world.scenes import (
    COARSE,
    COLOURS,
    FINE,
    TEXTURES,
    Scene,
    World,
    draw_scene,
    stream,
)

Member = tuple[str, bytes]

CATEGORIES = ("object", "colour", "texture", "swap", "relation")
"""What a negative of the set `composition` gets wrong, in turn."""

N_ALIKE, N_SAME_COLOUR = 3, 2
QUERY_IMAGES = 2 + N_ALIKE + N_SAME_COLOUR
"""Images that are drawn for one query of the set `conditional`."""

LANGUAGES = ("en", "rot13")
N_CAPTIONS = 2
TOP_SCORE = 5.0

_MIRRORED = {"left": "right", "right": "left", "above": "below", "below": "above"}
_RELATIONS = {
    "left": "to the left of",
    "right": "to the right of",
    "above": "above",
    "below": "below",
}


@dataclass(frozen=True)
class Harder:
    """A set of the embedded world in a layout of its own.

    Attributes:
        members: The members of the tar for one number, in a world.
        beside: Files beside the tars, for a number of samples.
        per_number: Images that one number draws.
    """

    members: Callable[[World, int], Iterator[Member]]
    beside: Callable[[World, int], Mapping[str, bytes]] = lambda _world, _n: {}
    per_number: int = 1


def _composition(world: World, number: int) -> Iterator[Member]:
    rng = stream(world.seed, "task composition", number)
    category = CATEGORIES[number % len(CATEGORIES)]
    scene = _scene_for(rng, category)
    positives, negative = _captions(rng, scene, category)
    record = {"positives": positives, "negatives": [negative], "category": category}
    yield f"s{number:07d}.jpg", _jpeg(rng, scene, world)
    yield f"s{number:07d}.json", json.dumps(record).encode()


def _scene_for(rng: Random, category: str) -> Scene:
    if category not in ("swap", "relation"):
        return draw_scene(rng, None, arrangement="one")
    while True:
        scene = draw_scene(rng, None, arrangement="two")
        first, second = scene.things
        differ = FINE[first.fine].coarse != FINE[second.fine].coarse
        if differ and (category == "relation" or first.colour != second.colour):
            return scene


def _captions(rng: Random, scene: Scene, category: str) -> tuple[list[str], str]:
    """Two true captions and a false one, which gets one thing wrong in the words of the first."""
    first, place = scene.things[0], texts.PLACES[scene.background]
    if category in ("swap", "relation"):
        return _of_two(scene, category)
    true = texts.described(first)
    if category == "object":
        false = texts.described(first, coarse=_other(rng, [*COARSE], FINE[first.fine].coarse))
    elif category == "colour":
        false = texts.described(first, colour=_other(rng, COLOURS, first.colour))
    else:
        false = texts.described(replace(first, texture=_other(rng, TEXTURES, first.texture)))
    return [f"a {true} {place}", f"{place} there is a {true}"], f"a {false} {place}"


def _of_two(scene: Scene, category: str) -> tuple[list[str], str]:
    first, second = scene.things
    one, two = f"a {texts.described(first)}", f"a {texts.described(second)}"
    if category == "swap":
        swapped_one = f"a {texts.described(first, colour=second.colour)}"
        swapped_two = f"a {texts.described(second, colour=first.colour)}"
        return [f"{one} and {two}", f"{two} and {one}"], f"{swapped_one} and {swapped_two}"
    relation = scene.relation or "left"
    here, there = _RELATIONS[relation], _RELATIONS[_MIRRORED[relation]]
    return [f"{one} {here} {two}", f"{two} {there} {one}"], f"{one} {there} {two}"


def _conditional(world: World, number: int) -> Iterator[Member]:
    """A thing, the same in the colour of the condition, in others, and others in that colour."""
    rng, (fine, colours, others) = _query(world, number)
    reference, wanted, *rest = colours
    looks = [(fine, reference), (fine, wanted), *((fine, colour) for colour in rest)]
    looks += [(other, wanted) for other in others]
    for place, (of, colour) in enumerate(looks):
        scene = draw_scene(rng, None, fine=of, arrangement="one", colour=colour)
        yield f"{_key(number, place)}.jpg", _jpeg(rng, scene, world)


def _query(world: World, number: int) -> tuple[Random, tuple[int, Sequence[str], Sequence[int]]]:
    """The class, the colours (reference, target, others) and the other classes of a query."""
    rng = stream(world.seed, "task conditional", number)
    fine = int(rng.random() * len(FINE))
    colours = rng.sample(COLOURS, 2 + N_ALIKE)
    foreign = [i for i, one in enumerate(FINE) if one.coarse != FINE[fine].coarse]
    return rng, (fine, colours, rng.sample(foreign, N_SAME_COLOUR))


def _queries(world: World, samples: int) -> Mapping[str, bytes]:
    lines = []
    for number in range(max(1, samples // QUERY_IMAGES)):
        colours = _query(world, number)[1][1]
        keys = [_key(number, place) for place in range(QUERY_IMAGES)]
        lines.append(
            {
                "reference": keys[0],
                "condition": f"a {colours[1]} thing",
                "target": keys[1],
                "gallery": keys[2:],
            }
        )
    return {"queries.jsonl": b"\n".join(json.dumps(line).encode() for line in lines)}


def _pairs(world: World, samples: int) -> Mapping[str, bytes]:
    pairs = (_pair(world, number) for number in range(samples))
    return {"pairs.jsonl": b"\n".join(json.dumps(pair).encode() for pair in pairs)}


def _pair(world: World, number: int) -> Mapping[str, str | float]:
    """Two captions, and five times the share of class, colour, texture and place in common."""
    rng = stream(world.seed, "task sentences", number)
    first, second = (draw_scene(rng, None, arrangement="one") for _ in range(2))
    keep = [rng.random() < number % 5 / 4 for _ in range(4)]
    one, two = first.things[0], second.things[0]
    thing = replace(
        two,
        fine=one.fine if keep[0] else two.fine,
        colour=one.colour if keep[1] else two.colour,
        texture=one.texture if keep[2] else two.texture,
    )
    background = first.background if keep[3] else second.background
    shared = (
        (FINE[one.fine].coarse == FINE[thing.fine].coarse)
        + (one.colour == thing.colour)
        + (one.texture == thing.texture)
        + (first.background == background)
    )
    return {
        "sentence1": f"a {texts.described(one)} {texts.PLACES[first.background]}",
        "sentence2": f"{texts.PLACES[background]} there is a {texts.described(thing)}",
        "score": TOP_SCORE * shared / 4,
    }


def _languages(world: World, number: int) -> Iterator[Member]:
    rng = stream(world.seed, "task languages", number)
    scene = draw_scene(rng, None)
    names = texts.name_probabilities(world, "reference")
    captions = "\n".join(texts.clean_caption(rng, scene, names) for _ in range(N_CAPTIONS))
    yield f"s{number:07d}.jpg", _jpeg(rng, scene, world)
    for language, text in zip(LANGUAGES, (captions, texts.ciphered(captions)), strict=True):
        yield f"s{number:07d}.{language}.txt", text.encode()


def _none(_world: World, _number: int) -> Iterator[Member]:
    yield from ()


def _jpeg(rng: Random, scene: Scene, world: World) -> bytes:
    return drawing.jpeg(drawing.draw(scene, world.seed), drawing.draw_quality(rng))


def _key(number: int, place: int) -> str:
    return f"s{number:07d}_{place}"


def _other(rng: Random, choices: Sequence[str], but: str) -> str:
    others = [choice for choice in choices if choice != but]
    return others[int(rng.random() * len(others))]


HARDER: Mapping[str, Harder] = {
    "composition": Harder(_composition),
    "conditional": Harder(_conditional, _queries, QUERY_IMAGES),
    "sentences": Harder(_none, _pairs),
    "languages": Harder(_languages),
}
"""The sets by name, which are also those of the kinds that read their layouts."""
