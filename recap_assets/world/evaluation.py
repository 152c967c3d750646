"""The held-out tasks: what is drawn for each, its classes and its prompts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

import numpy as np

from recap_assets.world import drawing, texts
from recap_assets.world.scenes import (
    ARRANGEMENTS,
    BACKGROUNDS,
    COARSE,
    COLOURS,
    FINE,
    TEXTURES,
    Scene,
    World,
    draw_scene,
    stream,
)

N_REFERENCES = 5
"""Captions of each image of the retrieval task."""

_NOISE_DEVIATION = 14.0
_CHANNEL_ORDERS = ((0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))


@dataclass(frozen=True)
class Drawn:
    """One image of a held-out set.

    Attributes:
        pixels: Shape (64, 64, 3).
        quality: Of the JPEG.
        label: Index into the classes, or None for retrieval.
        captions: The references of retrieval, else empty.
    """

    pixels: drawing.Pixels
    quality: int
    label: int | None
    captions: tuple[str, ...] = ()


@dataclass(frozen=True)
class HeldOut:
    """A task of the embedded world.

    Attributes:
        kind: CLIP_benchmark's `dataset_type`.
        draw: Draws the image of a number in a world.
        classes: Names of the classes, in the order of their labels; empty for retrieval.
        templates: Prompts with `{c}` for the name.
    """

    kind: Literal["classification", "retrieval"]
    draw: Callable[[World, int], Drawn]
    classes: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()


def _fine_scene(rng: Random, label: int) -> Scene:
    return draw_scene(rng, None, fine=label, arrangement="one")


def _coarse_scene(rng: Random, label: int) -> Scene:
    return _fine_scene(rng, _MEMBERS[label][int(rng.random() * len(_MEMBERS[label]))])


def _colour_scene(rng: Random, label: int) -> Scene:
    return draw_scene(rng, None, arrangement="one", colour=COLOURS[label])


def _texture_scene(rng: Random, label: int) -> Scene:
    return draw_scene(rng, None, arrangement="one", texture=TEXTURES[label])


def _background_scene(rng: Random, label: int) -> Scene:
    return draw_scene(rng, None, background=BACKGROUNDS[label])


def _count_scene(rng: Random, label: int) -> Scene:
    return draw_scene(rng, None, arrangement=ARRANGEMENTS[label])


def _many_scene(rng: Random, label: int) -> Scene:
    return draw_scene(rng, None, fine=label, arrangement="many")


_MEMBERS = tuple(
    tuple(i for i, fine in enumerate(FINE) if fine.coarse == coarse) for coarse in COARSE
)


def _all_labels(n_classes: int) -> Callable[[World], Sequence[int]]:
    return lambda _world: range(n_classes)


def _classification(
    purpose: str,
    scene_of: Callable[[Random, int], Scene],
    labels_of: Callable[[World], Sequence[int]],
    *,
    shift: bool = False,
) -> Callable[[World, int], Drawn]:
    def draw(world: World, number: int) -> Drawn:
        rng = stream(world.seed, f"task {purpose}", number)
        labels = labels_of(world)
        label = labels[number % len(labels)]
        pixels = drawing.draw(scene_of(rng, label), world.seed)
        if shift:
            pixels = _shifted(rng, pixels)
        return Drawn(pixels, drawing.draw_quality(rng), label)

    return draw


def _shifted(rng: Random, pixels: drawing.Pixels) -> drawing.Pixels:
    order = _CHANNEL_ORDERS[int(rng.random() * len(_CHANNEL_ORDERS))]
    noise = np.random.default_rng(rng.getrandbits(64)).standard_normal(pixels.shape, np.float32)
    return drawing.shifted(pixels, order, noise * _NOISE_DEVIATION)


def _retrieval(world: World, number: int) -> Drawn:
    rng = stream(world.seed, "task retrieval", number)
    scene = draw_scene(rng, None)
    names = texts.name_probabilities(world, "reference")
    captions = tuple(texts.clean_caption(rng, scene, names) for _ in range(N_REFERENCES))
    return Drawn(drawing.draw(scene, world.seed), drawing.draw_quality(rng), None, captions)


_NAMES = tuple(fine.name for fine in FINE)
_OF_A_THING = (
    "a {c}",
    "a picture of a {c}",
    "a photo of a {c}",
    "an image of a {c}",
    "one {c}",
    *(f"a {{c}} {place}" for place in texts.PLACES.values()),
    *(f"a {colour} {{c}}" for colour in COLOURS),
)
_OF_MANY = (
    "many {c}",
    "several {c}",
    "a group of {c}",
    "a picture of many {c}",
    *(f"many {{c}} {place}" for place in texts.PLACES.values()),
    *(f"many {colour} {{c}}" for colour in COLOURS),
)
_OF_A_LOOK = tuple(f"a {{c}} {coarse}" for coarse in COARSE)
_OF_A_PLACE = tuple(f"a {coarse} {{c}}" for coarse in COARSE)
_OF_A_COUNT = ("{c}", "a picture of {c}", "a photo of {c}", "an image of {c}", "there is {c}")


def _classified(
    draw: Callable[[World, int], Drawn], classes: Sequence[str], templates: tuple[str, ...]
) -> HeldOut:
    return HeldOut("classification", draw, tuple(classes), templates)


def _by_fine_name(
    purpose: str,
    scene_of: Callable[[Random, int], Scene] = _fine_scene,
    *,
    shift: bool = False,
) -> HeldOut:
    labels = (lambda world: world.tail) if purpose == "tail" else _all_labels(len(FINE))
    return _classified(_classification(purpose, scene_of, labels, shift=shift), _NAMES, _OF_A_THING)


TASKS: dict[str, HeldOut] = {
    "fine": _by_fine_name("fine"),
    "tail": _by_fine_name("tail"),
    "fine_shifted": _by_fine_name("fine_shifted", shift=True),
    "coarse": _classified(
        _classification("coarse", _coarse_scene, _all_labels(len(COARSE))),
        tuple(COARSE),
        _OF_A_THING,
    ),
    "colour": _classified(
        _classification("colour", _colour_scene, _all_labels(len(COLOURS))), COLOURS, _OF_A_LOOK
    ),
    "texture": _classified(
        _classification("texture", _texture_scene, _all_labels(len(TEXTURES))),
        tuple(texts.TEXTURE_WORDS[texture] for texture in TEXTURES),
        _OF_A_LOOK,
    ),
    "scene": _classified(
        _classification("scene", _background_scene, _all_labels(len(BACKGROUNDS))),
        tuple(texts.PLACES[background] for background in BACKGROUNDS),
        _OF_A_PLACE,
    ),
    "count": _classified(
        _classification("count", _count_scene, _all_labels(len(ARRANGEMENTS))),
        ("one thing", "two things", "many things"),
        _OF_A_COUNT,
    ),
    "fine_among_many": _classified(
        _classification("fine_among_many", _many_scene, _all_labels(len(FINE))),
        tuple(fine.plural for fine in FINE),
        _OF_MANY,
    ),
    "retrieval": HeldOut("retrieval", _retrieval),
}
"""The tasks by name, as in `evaluation.kinds.embedded`."""
