from collections import Counter

import pytest

from recap_assets.world import words
from recap_assets.world.scenes import COARSE, COLOURS, FINE, Scene, draw_scene, stream, world_of
from recap_assets.world.texts import (
    KIND_PROBABILITIES,
    PLACES,
    clean_caption,
    lexicon,
    name_probabilities,
    raw_text,
    rich_text,
)

WORLD = world_of(5)
N = 4_000


@pytest.fixture(scope="module")
def raw() -> list[tuple[Scene, str, str]]:
    drawn = []
    for i in range(N):
        rng = stream(5, "test", i)
        scene = draw_scene(rng, WORLD)
        drawn.append((scene, *raw_text(rng, scene, WORLD)))
    return drawn


def _captions(style: str, fine: int, n: int = 500, **given: object) -> list[str]:
    names = name_probabilities(WORLD, style)
    made = []
    for i in range(n):
        rng = stream(6, style, i)
        scene = draw_scene(rng, None, fine=fine, **{"arrangement": "one", **given})
        made.append(clean_caption(rng, scene, names))
    return made


def _share(captions: list[str], word: str) -> float:
    return sum(word in caption.split() for caption in captions) / len(captions)


def test_kinds_come_at_their_rates(raw: list[tuple[Scene, str, str]]) -> None:
    counts = Counter(kind for _scene, kind, _text in raw)
    assert sum(KIND_PROBABILITIES.values()) == pytest.approx(1)
    for kind, rate in (
        ("rich", 0.16), ("partial", 0.22), ("nondescript", 0.18), ("wrong", 0.32),
        ("boilerplate", 0.12),
    ):  # fmt: skip
        assert counts[kind] / N == pytest.approx(rate, abs=0.025)


def test_rich_text_gives_the_fine_name_of_every_thing(raw: list[tuple[Scene, str, str]]) -> None:
    for scene, kind, text in raw:
        if kind == "rich":
            for thing in scene.things:
                fine = FINE[thing.fine]
                assert fine.name in text.lower() or fine.plural in text.lower(), text


def test_rich_text_gives_no_other_colour_than_the_true_ones() -> None:
    for i in range(300):
        rng = stream(7, "test", i)
        scene = draw_scene(rng, WORLD)
        subject = f" {rich_text(rng, scene)} "
        true = {thing.colour for thing in scene.things}
        assert {c for c in COLOURS if f" {c} " in subject} - _words_of(true) == set()


def _words_of(colours: set[str]) -> set[str]:
    """Colour names in the synonyms too: `forest green`, `salmon pink`."""
    phrases = {phrase for colour in colours for phrase in words.COLOUR_SYNONYMS[colour]}
    # Backgrounds have colours of their own: "in a green field".
    return colours | {word for phrase in phrases for word in phrase.split()} | {"green"}


def test_wrong_text_is_seldom_right_and_rich_text_always(
    raw: list[tuple[Scene, str, str]],
) -> None:
    named = {"rich": [], "wrong": []}
    for scene, kind, text in raw:
        if kind in named:
            named[kind].append(FINE[scene.things[0].fine].name[:4] in text.lower())
    assert sum(named["rich"]) == len(named["rich"])
    assert sum(named["wrong"]) / len(named["wrong"]) < 0.15


def test_some_raw_text_is_in_title_or_upper_case(raw: list[tuple[Scene, str, str]]) -> None:
    rich = [text for _scene, kind, text in raw if kind == "rich"]
    assert sum(text.isupper() for text in rich) / len(rich) == pytest.approx(0.06, abs=0.03)
    assert sum(text.istitle() for text in rich) / len(rich) == pytest.approx(0.15, abs=0.05)


def test_no_blank_is_left_open(raw: list[tuple[Scene, str, str]]) -> None:
    for _scene, _kind, text in raw:
        assert text == text.strip()
        assert text
        assert not set(text) & set("{}\n")


@pytest.mark.parametrize("colour", ["red", "grey"])
def test_clean_captions_mention_looks_at_their_rates(colour: str) -> None:
    captions = _captions("broad", 0, colour=colour, texture="striped", background="beach")
    assert _share(captions, colour) == pytest.approx(0.7, abs=0.06)
    assert _share(captions, "striped") == pytest.approx(0.6, abs=0.06)
    assert _share(captions, "beach") == pytest.approx(0.55, abs=0.06)
    assert {c for c in COLOURS if _share(captions, c)} == {colour}


@pytest.mark.parametrize(
    ("style", "rank", "expected"),
    [
        ("broad", 0, 0.85), ("broad", 27, 0.85), ("broad", 28, 0), ("broad", 35, 0),
        ("narrow", 0, 0.15), ("narrow", 17, 0.15), ("narrow", 18, 0), ("narrow", 35, 0),
        ("reference", 0, 0.5), ("reference", 35, 0.5),
    ],
)  # fmt: skip
def test_styles_give_fine_names_at_their_rates(style: str, rank: int, expected: float) -> None:
    fine = WORLD.by_frequency[rank]
    captions = _captions(style, fine)
    assert _share(captions, FINE[fine].name) == pytest.approx(expected, abs=0.05)
    assert _share(captions, FINE[fine].coarse) == pytest.approx(1 - expected, abs=0.05)


def test_clean_captions_say_how_many_and_are_short() -> None:
    for arrangement, marks in (
        ("two", (" and ", " above ", " below ", " of a ")),
        ("many", ("many ", "several ", "group of ")),
    ):
        for caption in _captions("broad", 3, n=200, arrangement=arrangement):
            assert any(mark in f"{caption} " for mark in marks)
            assert len(caption.split()) <= 20
            assert caption == caption.lower().strip()


def test_nothing_is_left_over_of_the_vocabulary_in_the_lexicon() -> None:
    nouns = set(lexicon())
    assert {*COARSE, *COARSE.values(), *(f.name for f in FINE), *(f.plural for f in FINE)} <= nouns
    assert {"lisbon", "velora", "poster", "festival", "march"} <= nouns
    assert {PLACES[b].split()[-1] for b in PLACES} - {"night"} <= nouns
    assert all(noun == noun.lower() and noun.isalpha() for noun in nouns)
    assert not nouns & {"striped", "beautiful", "the", "above"}
    assert list(lexicon()) == sorted(nouns)


def test_raw_text_has_many_more_words_than_clean_captions(
    raw: list[tuple[Scene, str, str]],
) -> None:
    clean = set()
    for i in range(1_000):
        rng = stream(8, "test", i)
        names = name_probabilities(WORLD, "broad")
        clean.update(clean_caption(rng, draw_scene(rng, WORLD), names).split())
    rough = {word for _scene, _kind, text in raw[:1_000] for word in text.lower().split()}
    assert len(clean) < 160
    assert len(rough) > 6 * len(clean)
