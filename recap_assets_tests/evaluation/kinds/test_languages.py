"""Retrieval in several languages: right values with ties, and how much their ranks vary."""

from pathlib import Path

import numpy as np
import pytest

from recap_assets.evalsets.sets import EvaluationSetError, MeasuringSet, load_set
from recap_assets.evaluation.kinds.languages import LanguagesTask
from recap_assets.evaluation.zero_shot import evaluate
from recap_assets_tests.evaluation.kinds.tables import Told, assert_values, coarse, cosine
from recap_assets_tests.evaluation.sets_on_disk import captioned, decode, png, write_set


def opened(folder: Path, *languages: str) -> MeasuringSet:
    task = LanguagesTask(kind="languages", path=str(folder), languages=languages)
    found = task.open(Path("nowhere"), decode)
    assert isinstance(found, MeasuringSet)
    return found


def image(key: str, value: int, **captions: str | bytes) -> list[tuple[str, bytes]]:
    texts = {n: t.encode() if isinstance(t, str) else t for n, t in captions.items()}
    return [(f"{key}.png", png(value)), *((f"{key}.{n}.txt", t) for n, t in texts.items())]


@pytest.mark.parametrize("seed", range(3))
def test_each_language_is_measured_as_any_retrieval_and_ranks_vary_as_defined(
    seed: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(seed)
    n = 30
    texts = {f"{lang}{i}_{c}" for lang in ("de", "en") for i in range(n) for c in range(2)}
    told = Told(
        dict(enumerate(coarse(rng, n))),
        dict(zip(sorted(texts), coarse(rng, len(texts)), strict=True)),
    )
    captions = {
        lang: [[f"{lang}{i}_{c}" for c in range(1 + i % 2)] for i in range(n)]
        for lang in ("de", "en")
    }
    members = [
        m
        for i in range(n)
        for m in image(f"k{i}", i, **{lang: "\n".join(of[i]) for lang, of in captions.items()})
    ]
    found = opened(write_set(tmp_path / "both", "x", [members])).measure(told, 7)
    means = []
    for lang, of_images in captions.items():
        one = [m for i in range(n) for m in captioned(f"k{i}", "\n".join(of_images[i]), i)]
        alone = load_set(str(write_set(tmp_path / lang, "retrieval", [one])), "test", decode)
        expected = {f"{m.metric}:{lang}": (m.value, n) for m in evaluate(told, alone, batch_size=7)}
        assert_values(found.values, expected)
        means.append(expected[f"mean_recall@1:{lang}"][0])
    assert_values(
        found.values,
        {"mean_recall@1": (sum(means) / 2, n), "worst_mean_recall@1": (min(means), n),
         "chance": (1 / n, n), **plain_variances(told, captions, n)},
    )  # fmt: skip


def plain_variances(
    told: Told, captions: dict[str, list[list[str]]], n: int
) -> dict[str, tuple[float, int]]:
    """From the definition: of a variance over languages the mean over images."""
    ranks: dict[str, list[list[float]]] = {"image": [], "text": []}
    for of_images in captions.values():
        by_image, by_text = [], []
        for i in range(n):
            per_caption = []
            for text in of_images[i]:
                own = cosine(told.texts[text], told.images[i])
                wrong = [cosine(told.texts[text], told.images[j]) for j in range(n) if j != i]
                per_caption.append(sum(score >= own for score in wrong))
            by_image.append(sum(per_caption) / len(per_caption))
            best = max(cosine(told.images[i], told.texts[text]) for text in of_images[i])
            others = [text for j in range(n) if j != i for text in of_images[j]]
            wrong = [cosine(told.images[i], told.texts[text]) for text in others]
            by_text.append(float(sum(score >= best for score in wrong)))
        ranks["image"].append(by_image)
        ranks["text"].append(by_text)
    values = {}
    for side, (one, other) in ranks.items():
        of_images = [((a - b) / 2) ** 2 for a, b in zip(one, other, strict=True)]
        values[f"{side}_mean_rank_variance"] = (sum(of_images) / n, n)
    return values


def test_languages_that_rank_alike_have_no_variance(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = coarse(rng, 8)
    members = [m for i in range(8) for m in image(f"{i}", i, en=f"t{i}", de=f"u{i}", fr=f"v{i}")]
    drawn = [coarse(np.random.default_rng(i), 1)[0] for i in range(8)]
    texts = {f"{letter}{i}": drawn[i] for letter in "tuv" for i in range(8)}
    found = opened(write_set(tmp_path, "x", [members])).measure(
        Told(dict(enumerate(vectors)), texts), 8
    )
    assert found.values["image_mean_rank_variance"] == (0.0, 8)
    assert found.values["text_mean_rank_variance"] == (0.0, 8)


def test_an_image_that_lacks_a_language_is_set_aside_for_all_of_them(tmp_path: Path) -> None:
    members = [
        *image("whole", 1, en="a", de="b"),
        *image("lacks", 2, en="a"),
        *image("blank", 3, en="a", de=" \n"),
        *image("garbled", 4, en="a", de=b"\xff\xfe\x00"),
        *image("long", 5, en="a", de="b" * 20_000),
        ("torn.png", b"no"), ("torn.en.txt", b"a"), ("torn.de.txt", b"b"),
    ]  # fmt: skip
    vector = np.float32([1, 0])
    found = opened(write_set(tmp_path, "x", [members]), "en", "de").measure(
        Told(dict.fromkeys(range(6), vector), dict.fromkeys("ab", vector)), 8
    )
    assert found.values["mean_recall@1"] == (1.0, 1)
    assert found.aside == {"language_missing": 4, "image_not_usable": 1}


def test_one_language_is_none_too_many(tmp_path: Path) -> None:
    folder = write_set(tmp_path, "x", [image("a", 1, en="a")])
    with pytest.raises(EvaluationSetError, match=r"two languages are needed.*there are en"):
        opened(folder)
