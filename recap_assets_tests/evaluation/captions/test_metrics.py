"""Caption metrics against the COCO caption evaluation (pycocoevalcap 1.2) and plain formulas."""

import gzip
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer import ptbtokenizer

from recap_assets.evaluation.captions.metrics import (
    cider_d,
    clip_metrics,
    self_retrieval,
    text_metrics,
)
from recap_assets.evaluation.captions.tokens import caption_tokens

Texts = Sequence[Sequence[str]]


def coco(shared_data: Path, n: int) -> list[list[list[str]]]:
    """Tokens of the captions of `n` images of COCO."""
    with gzip.open(shared_data / "texts" / "coco_val2017_captions.jsonl.gz", "rt") as file:
        rows = [json.loads(next(file)) for _ in range(n)]
    return [[list(caption_tokens(one)) for one in row["captions"]] for row in rows]


def invented(seed: int, n: int = 40) -> list[list[list[str]]]:
    rng = np.random.default_rng(seed)
    words = [f"w{i}" for i in range(12)]
    return [
        [rng.choice(words, rng.integers(3, 15)).tolist() for _ in range(rng.integers(2, 7))]
        for _ in range(n)
    ]


def theirs(captions: Texts, references: Sequence[Texts]) -> dict[str, float]:
    """What pycocoevalcap makes of the same tokens."""
    res = {i: [" ".join(caption)] for i, caption in enumerate(captions)}
    gts = {i: [" ".join(one) for one in of_image] for i, of_image in enumerate(references)}
    bleu, _ = Bleu(4).compute_score(gts, res, verbose=0)
    return {
        "CIDEr": float(Cider().compute_score(gts, res)[0]),
        **{f"BLEU-{n}": value for n, value in enumerate(bleu, 1)},
        "ROUGE-L": float(Rouge().compute_score(gts, res)[0]),
    }


def leave_one_out(images: list[list[list[str]]]) -> tuple[Texts, Sequence[Texts]]:
    """The first caption of each image judged by the others."""
    return [image[0] for image in images], [image[1:] for image in images]


def test_captions_of_people_score_as_in_the_coco_evaluation(shared_data: Path):
    captions, references = leave_one_out(coco(shared_data, 250))

    ours = text_metrics(captions, references)

    assert ours == pytest.approx(theirs(captions, references), rel=1e-9)
    assert 0.5 < ours["CIDEr"] < 2


def test_captions_of_other_images_score_as_in_the_coco_evaluation(shared_data: Path):
    captions, references = leave_one_out(coco(shared_data, 120))
    shifted = [*captions[1:], captions[0]]

    ours = text_metrics(shifted, references)

    assert ours == pytest.approx(theirs(shifted, references), rel=1e-9)
    assert ours["CIDEr"] < 0.3


@pytest.mark.parametrize("seed", range(4))
def test_repetitive_captions_score_as_in_the_coco_evaluation(seed: int):
    captions, references = leave_one_out(invented(seed))
    # Far too short ones and repeated words: the penalties and the clipping.
    captions = [["w1"] * 9, ["w2"], *captions[2:]]

    ours = text_metrics(captions, references)

    assert ours == pytest.approx(theirs(captions, references), rel=1e-9)


def test_an_image_without_a_caption_counts_as_nothing():
    captions, references = leave_one_out(invented(1))
    with_gaps = [[], *captions[1:]]

    whole, gaps = text_metrics(captions, references), text_metrics(with_gaps, references)

    assert gaps == pytest.approx(theirs(with_gaps, references), rel=1e-9)
    assert gaps["CIDEr"] < whole["CIDEr"]


def test_a_set_of_one_image_tells_nothing_by_cider():
    assert cider_d([["a", "cat"]], [[["a", "cat"]]]) == 0.0


def test_as_many_captions_as_images_with_references_are_needed():
    with pytest.raises(ValueError, match="2 captions and 1 lists"):
        text_metrics([["a"], ["b"]], [[["a"]]])
    with pytest.raises(ValueError, match="a reference at least"):
        text_metrics([["a"]], [[]])


@pytest.mark.parametrize(
    ("caption", "tokens"),
    [
        ("A man's dog isn't here.", "a man 's dog is n't here"),
        ('Two "T-shirts", one (red) hat!', "two t-shirts one -lrb- red -rrb- hat"),
        ("A bus on St. James Ave. at 5:30 p.m.", "a bus on st. james ave. at 5:30 p.m."),
        ("A black/white photo -- of 1,000 cats...", "a black/white photo of 1,000 cats"),
        ("They cannot see the kids' toys", "they can not see the kids toys"),
        ("  \n ", ""),
    ],
)
def test_tokens_are_those_of_the_penn_treebank_without_marks(caption: str, tokens: str):
    assert " ".join(caption_tokens(caption)) == tokens


@pytest.mark.skipif(shutil.which("java") is None, reason="Stanford's tokeniser needs Java")
def test_tokens_of_real_captions_are_those_of_stanfords_tokeniser(
    shared_data: Path, tmp_path: Path
):
    with gzip.open(shared_data / "texts" / "coco_val2017_captions.jsonl.gz", "rt") as file:
        captions = [" ".join(one.split()) for line in file for one in json.loads(line)["captions"]]
    (tmp_path / "captions.txt").write_text("\n".join(captions))
    jar = Path(ptbtokenizer.__file__).with_name(ptbtokenizer.STANFORD_CORENLP_3_4_1_JAR)
    words = ["java", "-cp", str(jar), "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines",
             "-lowerCase", str(tmp_path / "captions.txt")]  # fmt: skip
    done = subprocess.run(words, capture_output=True, check=True, timeout=300)  # noqa: S603
    marks = ptbtokenizer.PUNCTUATIONS
    reference = [
        tuple(word for word in line.split() if word not in marks)
        for line in done.stdout.decode().split("\n")
    ]

    same = [caption_tokens(c) == r for c, r in zip(captions, reference, strict=True)]

    assert len(same) == 25_014
    assert np.mean(same) > 0.9995


def _unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_clip_s_and_refclip_s_are_those_of_their_paper():
    rng = np.random.default_rng(0)
    images, captions = (_unit(rng.standard_normal((6, 8))) for _ in range(2))
    counts = [1, 3, 2, 5, 1, 2]
    references = _unit(rng.standard_normal((sum(counts), 8)))

    found = clip_metrics(images, captions, references, np.repeat(np.arange(6), counts))

    expected, both, start = [], [], 0
    for i, n in enumerate(counts):
        clip_s = 2.5 * max(float(images[i] @ captions[i]), 0)
        best = max(0.0, *(float(captions[i] @ r) for r in references[start : start + n]))
        both.append(2 * clip_s * best / (clip_s + best) if clip_s + best else 0.0)
        expected.append(clip_s)
        start += n
    assert found["CLIP-S"] == pytest.approx(np.mean(expected), abs=1e-6)
    assert found["RefCLIP-S"] == pytest.approx(np.mean(both), abs=1e-6)
    assert 0.0 in expected, "a negative cosine is among the cases"


def test_a_caption_finds_its_image_or_another():
    images = _unit(np.eye(4) + 0.01)
    captions = images[[0, 1, 3, 2]]

    assert self_retrieval(images, captions) == 0.5
    assert self_retrieval(images, images) == 1.0


def test_captions_that_are_all_the_same_find_nothing():
    images = _unit(np.random.default_rng(1).standard_normal((2_100, 8)))

    assert self_retrieval(np.repeat(images[:1], 2_100, axis=0), images) == 0.0
