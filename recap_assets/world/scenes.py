"""What is in a picture: the classes of the embedded world and how scenes are drawn at random."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import Literal

Arrangement = Literal["one", "two", "many"]
Relation = Literal["left", "right", "above", "below"]

CANVAS = 128
"""Side of the canvas that scenes are laid out on, in pixels; pictures are half of it."""


@dataclass(frozen=True)
class FineClass:
    """A kind of thing: its names, its coarse class and the colour it usually has."""

    name: str
    plural: str
    coarse: str
    colour: str


COARSE: dict[str, str] = {
    "house": "houses",
    "car": "cars",
    "bird": "birds",
    "fish": "fish",
    "tree": "trees",
    "flower": "flowers",
    "dog": "dogs",
    "boat": "boats",
    "plane": "planes",
    "hat": "hats",
    "cup": "cups",
    "fruit": "fruits",
}
"""Coarse classes, singular to plural. No name begins with a vowel, so `a {c}` is always right."""

FINE: tuple[FineClass, ...] = (
    FineClass("cottage", "cottages", "house", "brown"),
    FineClass("castle", "castles", "house", "grey"),
    FineClass("tent", "tents", "house", "green"),
    FineClass("sedan", "sedans", "car", "blue"),
    FineClass("bus", "buses", "car", "yellow"),
    FineClass("tractor", "tractors", "car", "green"),
    FineClass("duck", "ducks", "bird", "yellow"),
    FineClass("penguin", "penguins", "bird", "grey"),
    FineClass("flamingo", "flamingos", "bird", "pink"),
    FineClass("goldfish", "goldfish", "fish", "red"),
    FineClass("shark", "sharks", "fish", "teal"),
    FineClass("pufferfish", "pufferfish", "fish", "brown"),
    FineClass("pine", "pines", "tree", "green"),
    FineClass("palm", "palms", "tree", "teal"),
    FineClass("maple", "maples", "tree", "red"),
    FineClass("tulip", "tulips", "flower", "red"),
    FineClass("daisy", "daisies", "flower", "pink"),
    FineClass("lavender", "lavenders", "flower", "purple"),
    FineClass("poodle", "poodles", "dog", "pink"),
    FineClass("dachshund", "dachshunds", "dog", "brown"),
    FineClass("bulldog", "bulldogs", "dog", "grey"),
    FineClass("sailboat", "sailboats", "boat", "blue"),
    FineClass("submarine", "submarines", "boat", "yellow"),
    FineClass("ferry", "ferries", "boat", "teal"),
    FineClass("jet", "jets", "plane", "grey"),
    FineClass("glider", "gliders", "plane", "blue"),
    FineClass("biplane", "biplanes", "plane", "red"),
    FineClass("crown", "crowns", "hat", "yellow"),
    FineClass("sombrero", "sombreros", "hat", "purple"),
    FineClass("beanie", "beanies", "hat", "blue"),
    FineClass("mug", "mugs", "cup", "teal"),
    FineClass("goblet", "goblets", "cup", "purple"),
    FineClass("teacup", "teacups", "cup", "pink"),
    FineClass("banana", "bananas", "fruit", "yellow"),
    FineClass("pear", "pears", "fruit", "green"),
    FineClass("pineapple", "pineapples", "fruit", "brown"),
)

COLOURS = ("red", "yellow", "green", "blue", "teal", "purple", "pink", "brown", "grey")
TEXTURES = ("solid", "striped", "spotted")
BACKGROUNDS = ("meadow", "beach", "snow", "street", "lake", "night")
ARRANGEMENTS: tuple[Arrangement, ...] = ("one", "two", "many")
RELATIONS: tuple[Relation, ...] = ("left", "right", "above", "below")

N_VARIANTS = 24
"""Pre-rendered pictures of each background."""

TYPICAL_COLOUR_PROBABILITY = 0.45
TEXTURE_PROBABILITIES = (0.70, 0.15, 0.15)
ARRANGEMENT_PROBABILITIES = (0.5, 0.3, 0.2)
ZIPF_EXPONENT = 0.6

_TEXTURE_CUMULATIVE = tuple(accumulate(TEXTURE_PROBABILITIES))
_ARRANGEMENT_CUMULATIVE = tuple(accumulate(ARRANGEMENT_PROBABILITIES))
_OTHER_COLOURS = {own: tuple(c for c in COLOURS if c != own) for own in COLOURS}


@dataclass(frozen=True, slots=True)
class Thing:
    """One drawn object.

    Attributes:
        fine: Index into `FINE`.
        colour: One of `COLOURS`.
        texture: One of `TEXTURES`.
        x: Centre on the canvas, in pixels from the left.
        y: Centre on the canvas, in pixels from the top.
        half_size: Half of its side, in pixels of the canvas.
        turn: Rotation in degrees.
        flipped: Mirrored left to right.
        squeeze: Width over height; 1 is as designed.
    """

    fine: int
    colour: str
    texture: str
    x: float
    y: float
    half_size: float
    turn: float
    flipped: bool
    squeeze: float


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture: its things, where they are and how the first is placed to the second.

    Attributes:
        arrangement: `one` thing, `two` of different classes, or `many` (3 to 5) of one class,
            colour and texture.
        things: The things, the one that gives the picture its class first.
        relation: Of the first thing to the second; None unless there are two.
        background: One of `BACKGROUNDS`.
        variant: Which of its pre-rendered pictures, below `N_VARIANTS`.
        brightness: Factor on all pixels.
    """

    arrangement: Arrangement
    things: tuple[Thing, ...]
    relation: Relation | None
    background: str
    variant: int
    brightness: float


@dataclass(frozen=True)
class World:
    """What a seed fixes: how frequent each class is.

    Attributes:
        seed: Of the world; every picture and text is a function of it and a number.
        by_frequency: Indices into `FINE`, the most frequent class first.
        cumulative: Cumulative shares over `by_frequency`, the last is 1.
    """

    seed: int
    by_frequency: tuple[int, ...]
    cumulative: tuple[float, ...]

    @property
    def tail(self) -> tuple[int, ...]:
        """Indices of the rarest third of the fine classes, in the order of `FINE`."""
        return tuple(sorted(self.by_frequency[-len(FINE) // 3 :]))

    def rank(self, fine: int) -> int:
        """Place of a class by frequency, 0 for the most frequent."""
        return self.by_frequency.index(fine)


@lru_cache(maxsize=8)
def world_of(seed: int) -> World:
    """The world of a seed: class frequencies follow Zipf (exponent 0.6) in a random order."""
    order = list(range(len(FINE)))
    stream(seed, "frequencies", 0).shuffle(order)
    weights = [(rank + 1) ** -ZIPF_EXPONENT for rank in range(len(FINE))]
    total = sum(weights)
    shares = tuple(accumulate(weight / total for weight in weights))
    return World(seed, tuple(order), (*shares[:-1], 1.0))


def stream(seed: int, purpose: str, number: int) -> Random:
    """Random numbers that depend on these three alone, never on what was drawn before."""
    digest = hashlib.blake2b(f"{purpose}:{seed}:{number}".encode(), digest_size=16).digest()
    return Random(int.from_bytes(digest))  # noqa: S311 - reproducible draws, no secret


def draw_scene(
    rng: Random,
    world: World | None,
    *,
    fine: int | None = None,
    arrangement: Arrangement | None = None,
    background: str | None = None,
    colour: str | None = None,
    texture: str | None = None,
) -> Scene:
    """A scene at random; what is given is kept.

    Args:
        rng: Where the randomness comes from.
        world: Its class frequencies, or None for uniform classes.
        fine: Class of the first thing, an index into `FINE`.
        arrangement: How many things there are.
        background: One of `BACKGROUNDS`.
        colour: Colour of the first thing.
        texture: Texture of the first thing.
    """
    first = _draw_fine(rng, world) if fine is None else fine
    arrangement = arrangement or ARRANGEMENTS[_pick(rng, _ARRANGEMENT_CUMULATIVE)]
    look = (colour or _draw_colour(rng, first), texture or _draw_texture(rng))
    relation: Relation | None = None
    if arrangement == "one":
        things = _place_one(rng, first, look)
    elif arrangement == "two":
        relation = RELATIONS[int(rng.random() * 4)]
        things = _place_two(rng, world, first, look, relation)
    else:
        things = _place_many(rng, first, look)
    return Scene(
        arrangement,
        things,
        relation,
        background or BACKGROUNDS[int(rng.random() * len(BACKGROUNDS))],
        int(rng.random() * N_VARIANTS),
        _uniform(rng, 0.85, 1.1),
    )


def _place_one(rng: Random, fine: int, look: tuple[str, str]) -> tuple[Thing, ...]:
    half = _uniform(rng, 42, 56)
    room = (CANVAS / 2 - half) * 0.9
    x, y = (CANVAS / 2 + _uniform(rng, -room, room) for _ in range(2))
    return (_thing(rng, fine, look, (x, y), half),)


def _place_two(
    rng: Random, world: World | None, fine: int, look: tuple[str, str], relation: Relation
) -> tuple[Thing, ...]:
    second = fine
    while second == fine:
        second = _draw_fine(rng, world)
    second_look = (_draw_colour(rng, second), _draw_texture(rng))
    sign = -1 if relation in ("left", "above") else 1
    places = []
    for side in (sign, -sign):
        along = CANVAS / 2 + side * _uniform(rng, 30, 33)
        across = CANVAS / 2 + _uniform(rng, -22, 22)
        places.append((along, across) if relation in ("left", "right") else (across, along))
    return (
        _thing(rng, fine, look, places[0], _uniform(rng, 27, 32)),
        _thing(rng, second, second_look, places[1], _uniform(rng, 27, 32)),
    )


_GRIDS: dict[int, tuple[tuple[float, float], ...]] = {
    3: ((-34, -24), (32, -26), (0, 30)),
    4: ((-32, -31), (32, -31), (-32, 31), (32, 31)),
    5: ((-38, -32), (38, -32), (0, 2), (-38, 35), (38, 35)),
}


def _place_many(rng: Random, fine: int, look: tuple[str, str]) -> tuple[Thing, ...]:
    n_things = 3 + int(rng.random() * 3)
    upside_down = -1 if rng.random() < 0.5 else 1
    half = _uniform(rng, 21, 25)
    things = []
    for dx, dy in _GRIDS[n_things]:
        x = CANVAS / 2 + dx + _uniform(rng, -5, 5)
        y = CANVAS / 2 + upside_down * dy + _uniform(rng, -5, 5)
        things.append(_thing(rng, fine, look, (x, y), half * _uniform(rng, 0.92, 1.08)))
    return tuple(things)


def _thing(
    rng: Random, fine: int, look: tuple[str, str], place: tuple[float, float], half_size: float
) -> Thing:
    colour, texture = look
    turn, flipped, squeeze = _uniform(rng, -8, 8), rng.random() < 0.5, _uniform(rng, 0.92, 1.08)
    return Thing(fine, colour, texture, place[0], place[1], half_size, turn, flipped, squeeze)


def _draw_fine(rng: Random, world: World | None) -> int:
    if world is None:
        return int(rng.random() * len(FINE))
    return world.by_frequency[_pick(rng, world.cumulative)]


def _draw_colour(rng: Random, fine: int) -> str:
    own = FINE[fine].colour
    if rng.random() < TYPICAL_COLOUR_PROBABILITY:
        return own
    others = _OTHER_COLOURS[own]
    return others[int(rng.random() * len(others))]


def _draw_texture(rng: Random) -> str:
    return TEXTURES[_pick(rng, _TEXTURE_CUMULATIVE)]


def _pick(rng: Random, cumulative: Sequence[float]) -> int:
    at = rng.random()
    last = len(cumulative) - 1
    return next((i for i, bound in enumerate(cumulative) if at < bound), last)


def _uniform(rng: Random, low: float, high: float) -> float:
    return low + (high - low) * rng.random()
