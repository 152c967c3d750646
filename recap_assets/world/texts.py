"""What is written about a picture: clean captions, and alt-text as noisy as the web's."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from random import Random
from typing import Literal

from recap_assets.world import words
from recap_assets.world.scenes import (
    COARSE,
    COLOURS,
    FINE,
    Scene,
    Thing,
    World,
    draw_scene,
)

RawKind = Literal["rich", "partial", "nondescript", "wrong", "boilerplate"]
CleanStyle = Literal["broad", "narrow", "reference"]

KIND_PROBABILITIES: dict[RawKind, float] = {
    "rich": 0.16,
    "partial": 0.22,
    "nondescript": 0.18,
    "wrong": 0.32,
    "boilerplate": 0.12,
}

COLOUR_MENTIONED = 0.7
TEXTURE_MENTIONED = 0.6
BACKGROUND_MENTIONED = 0.55

_N_NAMED = {"broad": 28, "narrow": 18}
_NAME_PROBABILITY = {"broad": 0.85, "narrow": 0.15}
_REFERENCE_NAME_PROBABILITY = 0.5

TEXTURE_WORDS = {"solid": "plain", "striped": "striped", "spotted": "spotted"}
PLACES = {
    "meadow": "in a meadow",
    "beach": "on a beach",
    "snow": "in the snow",
    "street": "by a brick wall",
    "lake": "on a lake",
    "night": "in the night sky",
}
"""Where things are, in the words of the clean captions, by background."""

_OPENERS = ("", "", "", "a picture of ", "a photo of ", "an image of ", "there is ")
_MANY = ("many", "several", "a group of")
_RELATIONS = {
    "left": "to the left of",
    "right": "to the right of",
    "above": "above",
    "below": "below",
}


@lru_cache(maxsize=16)
def name_probabilities(world: World, style: CleanStyle) -> tuple[float, ...]:
    """How probably a clean caption gives a thing its fine name, by index into `FINE`.

    `broad` names the 28 most frequent classes with p = 0.85, `narrow` the 18 most frequent with
    p = 0.15, both all others never; `reference` names every class with p = 0.5.
    """
    if style == "reference":
        return (_REFERENCE_NAME_PROBABILITY,) * len(FINE)
    named = set(world.by_frequency[: _N_NAMED[style]])
    return tuple(_NAME_PROBABILITY[style] if i in named else 0.0 for i in range(len(FINE)))


def clean_caption(rng: Random, scene: Scene, fine_names: Sequence[float]) -> str:
    """A true caption in plain words, lower case, without full stop.

    Args:
        rng: Where the randomness comes from.
        scene: What is in the picture.
        fine_names: How probably a thing gets its fine name, by index into `FINE`; else its coarse.
    """
    subject = _clean_subject(rng, scene, fine_names)
    place = PLACES[scene.background] if rng.random() < BACKGROUND_MENTIONED else ""
    if place and rng.random() < 0.15:
        verb = "are" if scene.arrangement == "many" else "is"
        return f"{place} there {verb} {subject}"
    opener = _one_of(rng, _OPENERS)
    if opener == "there is " and scene.arrangement == "many":
        opener = "there are "
    return f"{opener}{subject} {place}".rstrip()


def _clean_subject(rng: Random, scene: Scene, fine_names: Sequence[float]) -> str:
    first = scene.things[0]
    if scene.arrangement == "many":
        nouns = _clean_noun(rng, first, fine_names, plural=True)
        return f"many things, {nouns}" if rng.random() < 0.15 else f"{_one_of(rng, _MANY)} {nouns}"
    noun = _clean_noun(rng, first, fine_names, plural=False)
    if scene.relation is None:
        article = "one thing, a" if rng.random() < 0.1 else "one" if rng.random() < 0.12 else "a"
        return f"{article} {noun}"
    second = _clean_noun(rng, scene.things[1], fine_names, plural=False)
    if rng.random() < 0.2:
        return f"two things, a {noun} and a {second}"
    relation = _RELATIONS[scene.relation] if rng.random() < 0.6 else "and"
    return f"a {noun} {relation} a {second}"


def _clean_noun(rng: Random, thing: Thing, fine_names: Sequence[float], *, plural: bool) -> str:
    fine = FINE[thing.fine]
    parts = []
    if rng.random() < TEXTURE_MENTIONED:
        parts.append(TEXTURE_WORDS[thing.texture])
    if rng.random() < COLOUR_MENTIONED:
        parts.append(thing.colour)
    if rng.random() < fine_names[thing.fine]:
        parts.append(fine.plural if plural else fine.name)
    else:
        parts.append(COARSE[fine.coarse] if plural else fine.coarse)
    return " ".join(parts)


def described(thing: Thing, colour: str | None = None, coarse: str | None = None) -> str:
    """Texture, colour and coarse class of a thing in plain words, one of them replaced or none."""
    noun = coarse or FINE[thing.fine].coarse
    return f"{TEXTURE_WORDS[thing.texture]} {colour or thing.colour} {noun}"


_CIPHER = str.maketrans(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "nopqrstuvwxyzabcdefghijklmNOPQRSTUVWXYZABCDEFGHIJKLM",
)


def ciphered(text: str) -> str:
    """The text in the world's second language: word for word, each letter thirteen further on."""
    return text.translate(_CIPHER)


def raw_text(rng: Random, scene: Scene, world: World) -> tuple[RawKind, str]:
    """Alt-text as found on the web, and what kind it is: the kind is for evaluating scorers only.

    `rich` is accurate; `partial` names one thing or the background only, or a wrong colour;
    `nondescript` says nothing; `wrong` is the text of another scene; `boilerplate` is of the page.
    """
    kind = _draw_kind(rng)
    text = _WRITERS[kind](rng, scene, world)
    if kind != "nondescript":
        text = _recased(rng, text)
    return kind, text


def text_of(kind: RawKind, rng: Random, scene: Scene, world: World) -> str:
    """Alt-text of one kind."""
    return _WRITERS[kind](rng, scene, world)


def rich_text(rng: Random, scene: Scene) -> str:
    """Accurate alt-text with fine names, synonyms, brands, places and years."""
    return _filled(rng, _one_of(rng, words.RICH_TEMPLATES), _rich_subject(rng, scene), scene)


def _draw_kind(rng: Random) -> RawKind:
    at = rng.random()
    for kind, probability in KIND_PROBABILITIES.items():
        at -= probability
        if at < 0:
            return kind
    return "boilerplate"


def _rich(rng: Random, scene: Scene, _world: World) -> str:
    return rich_text(rng, scene)


def _partial(rng: Random, scene: Scene, _world: World) -> str:
    thing = scene.things[int(rng.random() * len(scene.things))]
    fine = FINE[thing.fine]
    way = rng.random()
    if way < 0.25:
        place = _one_of(rng, words.BACKGROUND_SYNONYMS[scene.background])
        return _filled(rng, _one_of(rng, words.BACKGROUND_TEMPLATES), place, scene)
    noun = fine.name if rng.random() < 0.6 else fine.coarse
    if way < 0.55:
        wrong = [colour for colour in COLOURS if colour != thing.colour]
        noun = f"{_one_of(rng, words.COLOUR_SYNONYMS[_one_of(rng, wrong)])} {noun}"
    return _filled(rng, _one_of(rng, words.SHOP_TEMPLATES), noun, scene)


def _nondescript(rng: Random, _scene: Scene, _world: World) -> str:
    return _filled(rng, _one_of(rng, words.NONDESCRIPT_TEMPLATES), "", None)


def _wrong(rng: Random, _scene: Scene, world: World) -> str:
    other = draw_scene(rng, world)
    return rich_text(rng, other) if rng.random() < 0.6 else _partial(rng, other, world)


def _boilerplate(rng: Random, _scene: Scene, _world: World) -> str:
    return _filled(rng, _one_of(rng, words.BOILERPLATE), "", None)


_WRITERS: dict[RawKind, Callable[[Random, Scene, World], str]] = {
    "rich": _rich,
    "partial": _partial,
    "nondescript": _nondescript,
    "wrong": _wrong,
    "boilerplate": _boilerplate,
}


def _rich_subject(rng: Random, scene: Scene) -> str:
    first = scene.things[0]
    if scene.arrangement == "many":
        return f"{_one_of(rng, words.MANY)} {_rich_noun(rng, first, plural=True)}"
    if scene.relation is None:
        return _rich_noun(rng, first, plural=False)
    second = _rich_noun(rng, scene.things[1], plural=False)
    link = _one_of(rng, words.LINKS[scene.relation]) if rng.random() < 0.5 else "and"
    return f"{_rich_noun(rng, first, plural=False)} {link} {second}"


def _rich_noun(rng: Random, thing: Thing, *, plural: bool) -> str:
    fine = FINE[thing.fine]
    parts = []
    if thing.texture != "solid" and rng.random() < 0.75:
        parts.append(_one_of(rng, words.TEXTURE_SYNONYMS[thing.texture]))
    if rng.random() < 0.75:
        parts.append(_one_of(rng, words.COLOUR_SYNONYMS[thing.colour]))
    if rng.random() < 0.12:
        parts += [fine.name, COARSE[fine.coarse] if plural else fine.coarse]
    else:
        parts.append(fine.plural if plural else fine.name)
    return " ".join(parts)


def _filled(rng: Random, template: str, subject: str, scene: Scene | None) -> str:
    """The template with its blanks filled, in the order in which they stand."""
    text = template.replace("{subject}", subject)
    if scene is not None and "{where}" in text:
        where = _one_of(rng, words.WHERE[scene.background]) if rng.random() < 0.6 else ""
        text = text.replace("{where}", where)
    for blank, fill in _BLANKS.items():
        while blank in text:
            text = text.replace(blank, fill(rng), 1)
    return " ".join(text.split()).replace(" ,", ",")


def _letters(rng: Random, n: int) -> str:
    return "".join(_one_of(rng, "ABCDEFGHJKLMNPRSTVXZ") for _ in range(n))


def _digits(n: int) -> Callable[[Random], str]:
    return lambda rng: str(int(rng.random() * 10**n)).zfill(n)


_BLANKS: dict[str, Callable[[Random], str]] = {
    "{brand}": lambda rng: _one_of(rng, words.BRANDS),
    "{place}": lambda rng: _one_of(rng, words.TOWNS),
    "{person}": lambda rng: _one_of(rng, words.FIRST_NAMES),
    "{family}": lambda rng: _one_of(rng, words.FAMILY_NAMES),
    "{adjective}": lambda rng: _one_of(rng, words.ADJECTIVES),
    "{medium}": lambda rng: _one_of(rng, words.MEDIA),
    "{event}": lambda rng: _one_of(rng, words.EVENTS),
    "{month}": lambda rng: _one_of(rng, words.MONTHS),
    "{year}": lambda rng: str(1950 + int(rng.random() * 75)),
    "{day}": lambda rng: str(1 + int(rng.random() * 28)),
    "{code}": lambda rng: f"{_letters(rng, 2)}-{_digits(3)(rng)}",
    "{hex}": lambda rng: f"{rng.getrandbits(32):08x}",
    "{d1}": _digits(1),
    "{d2}": _digits(2),
    "{d4}": _digits(4),
    "{d6}": _digits(6),
}


def _recased(rng: Random, text: str) -> str:
    at = rng.random()
    if at < 0.15:
        return text.title()
    return text.upper() if at < 0.21 else text


def _one_of(rng: Random, choices: Sequence[str]) -> str:
    return choices[int(rng.random() * len(choices))]


@lru_cache(maxsize=1)
def lexicon() -> tuple[str, ...]:
    """Every noun that a text of the world can hold, lower case, sorted; see `words`."""
    found = {name for fine in FINE for name in (fine.name, fine.plural)}
    found.update(COARSE, COARSE.values(), words.PLAIN_NOUNS)
    for names in (words.BRANDS, words.TOWNS, words.FIRST_NAMES, words.FAMILY_NAMES, words.MONTHS):
        found.update(name.lower() for name in names)
    for phrases in (words.MEDIA, words.EVENTS):
        found.update(word for phrase in phrases for word in phrase.split())
    return tuple(sorted(found))
