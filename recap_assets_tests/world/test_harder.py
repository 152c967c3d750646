"""The sets that ask for more than a class: what is said in them is true, or false by one thing."""

import json
from collections import Counter

from recap_assets.world.harder import CATEGORIES, HARDER, LANGUAGES, QUERY_IMAGES
from recap_assets.world.scenes import COARSE, COLOURS, world_of
from recap_assets.world.texts import PLACES, TEXTURE_WORDS, ciphered

WORLD = world_of(4)
LOOKS = {"object": set(COARSE), "colour": set(COLOURS), "texture": set(TEXTURE_WORDS.values())}


def composed(number: int) -> dict[str, list[str]]:
    (_, _image), (_, record) = HARDER["composition"].members(WORLD, number)
    return json.loads(record)


def test_a_negative_gets_one_thing_wrong_in_the_words_of_the_first_caption() -> None:
    for number in range(100):
        one = composed(number)
        category = CATEGORIES[number % 5]
        (first, second), (false,) = one["positives"], one["negatives"]
        words, wrong = first.split(), false.split()
        assert one["category"] == category
        assert first != second
        if category in LOOKS:
            differ = [(a, b) for a, b in zip(words, wrong, strict=True) if a != b]
            assert len(differ) == 1
            assert set(differ[0]) <= LOOKS[category]
            assert Counter(first.split()) - Counter(second.split()) == Counter()
        elif category == "swap":
            assert Counter(words) == Counter(wrong) == Counter(second.split())
            assert first != false
        else:
            assert len(words) == len(wrong)
            assert len({first, second, false}) == 3


def test_a_condition_names_the_colour_that_only_the_target_has_with_the_class() -> None:
    beside = HARDER["conditional"].beside(WORLD, 70)["queries.jsonl"].splitlines()
    assert len(beside) == 70 // QUERY_IMAGES
    for number, line in enumerate(beside):
        query = json.loads(line)
        keys = [
            name.removesuffix(".jpg") for name, _ in HARDER["conditional"].members(WORLD, number)
        ]
        assert [query["reference"], query["target"], *query["gallery"]] == keys
        assert len(set(keys)) == QUERY_IMAGES
        assert query["condition"].split()[1] in COLOURS


def test_the_score_of_two_sentences_is_five_times_what_they_share() -> None:
    lines = HARDER["sentences"].beside(WORLD, 200)["pairs.jsonl"].splitlines()
    places = {place.split()[-1]: place for place in PLACES.values()}
    scores = set()
    for line in lines:
        pair = json.loads(line)
        told = [
            {kind: (set(pair[name].split()) & words).pop() for kind, words in LOOKS.items()}
            | {"place": next(p for p in places.values() if p in pair[name])}
            for name in ("sentence1", "sentence2")
        ]
        shared = sum(told[0][kind] == told[1][kind] for kind in told[0])
        assert pair["score"] == 5 * shared / 4
        scores.add(pair["score"])
    assert scores == {0, 1.25, 2.5, 3.75, 5}


def test_the_second_language_is_the_first_word_for_word() -> None:
    (_, _image), (_, first), (_, second) = HARDER["languages"].members(WORLD, 3)
    assert LANGUAGES == ("en", "rot13")
    assert ciphered(second.decode()) == first.decode()
    assert not set(first.decode().split()) & set(second.decode().split())
    assert ciphered("a red Car, 2") == "n erq Pne, 2"
