"""Reference metrics of captions: BLEU, ROUGE-L, CIDEr-D, CLIP-S, RefCLIP-S, self-retrieval.

The first three take tokens (`caption_tokens`) and are those of the COCO caption evaluation, to the
last bit that matters: a test compares them with pycocoevalcap 1.2. Images without a caption count,
with an empty one.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from recap_assets.evaluation.metrics import hit_fraction, target_ranks
from recap_assets.evaluation.zero_shot import Embeddings, cosines

Tokens = Sequence[str]
Ngram = tuple[str, ...]

MAX_N = 4
CLIP_S_PROMPT = "A photo depicts "
"""What CLIPScore puts before every text; with the space that its code adds."""

_CLIP_S_WEIGHT = 2.5
_ROUGE_BETA = 1.2
_CIDER_SIGMA = 6.0
_ROWS_AT_ONCE = 1_024
# pycocoevalcap's: they keep a logarithm of nothing away, and show in the last digits.
_TINY, _SMALL = 1e-15, 1e-9


def text_metrics(
    captions: Sequence[Tokens], references: Sequence[Sequence[Tokens]]
) -> dict[str, float]:
    """CIDEr-D, BLEU-1 to BLEU-4 and ROUGE-L.

    Args:
        captions: Tokens of one caption of each image; none for an image without a caption.
        references: For each image the tokens of what people wrote, one at least.

    Raises:
        ValueError: No image, an image without a reference, or lengths that differ.
    """
    if not captions or len(captions) != len(references) or not all(references):
        msg = (
            f"{len(captions)} captions and {len(references)} lists of references: as many are "
            "needed of both, and a reference at least for each image"
        )
        raise ValueError(msg)
    bleu = {f"BLEU-{n}": value for n, value in enumerate(bleu_scores(captions, references), 1)}
    return {
        "CIDEr": cider_d(captions, references),
        **bleu,
        "ROUGE-L": float(
            np.mean([rouge_l(*pair) for pair in zip(captions, references, strict=True)])
        ),
    }


def bleu_scores(
    captions: Sequence[Tokens], references: Sequence[Sequence[Tokens]]
) -> tuple[float, ...]:
    """BLEU-1 to BLEU-4 of the corpus: clipped precisions, brevity by the closest reference."""
    matched, possible = [0] * MAX_N, [0] * MAX_N
    length = reference_length = 0
    for caption, of_image in zip(captions, references, strict=True):
        counted = [ngrams(reference) for reference in of_image]
        for ngram, count in ngrams(caption).items():
            most = max(reference[ngram] for reference in counted)
            matched[len(ngram) - 1] += min(count, most)
        for n in range(MAX_N):
            possible[n] += max(0, len(caption) - n)
        length += len(caption)
        lengths = [len(reference) for reference in of_image]
        reference_length += min((abs(one - len(caption)), one) for one in lengths)[1]
    ratio = (length + _TINY) / (reference_length + _SMALL)
    penalty = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    product, scores = 1.0, list[float]()
    for n in range(MAX_N):
        product *= (matched[n] + _TINY) / (possible[n] + _SMALL)
        scores.append(penalty * product ** (1 / (n + 1)))
    return tuple(scores)


def rouge_l(caption: Tokens, references: Sequence[Tokens]) -> float:
    """ROUGE-L of one caption: best precision and best recall of the longest common subsequence."""
    common = [(common_length(caption, reference), len(reference)) for reference in references]
    precision = max(length for length, _ in common) / max(len(caption), 1)
    recall = max(length / max(n, 1) for length, n in common)
    if not precision or not recall:
        return 0.0
    beta = _ROUGE_BETA**2
    return (1 + beta) * precision * recall / (recall + beta * precision)


def common_length(one: Tokens, other: Tokens) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for token in one:
        diagonal = 0
        for i, candidate in enumerate(other, 1):
            above = row[i]
            row[i] = diagonal + 1 if token == candidate else max(above, row[i - 1])
            diagonal = above
    return row[-1]


def cider_d(captions: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> float:
    """CIDEr-D, in [0, 10]: the weights of n-grams are those of the references given.

    A set of one image gives 0, since every n-gram then occurs in every image.
    """
    counted = [[ngrams(reference) for reference in of_image] for of_image in references]
    frequency = Counter(ngram for of_image in counted for ngram in set[Ngram]().union(*of_image))
    weights = _Weights(frequency, len(references))
    scores = [
        _cider_of(weights, weights.of(ngrams(caption)), of_image)
        for caption, of_image in zip(captions, counted, strict=True)
    ]
    return float(np.mean(scores))


def ngrams(tokens: Tokens) -> Counter[Ngram]:
    """How often each n-gram of one to four tokens occurs."""
    return Counter(
        tuple(tokens[start : start + n])
        for n in range(1, MAX_N + 1)
        for start in range(len(tokens) - n + 1)
    )


class _Vector:
    # Weighted n-grams of one text, by n; `length` counts its bigrams, as the reference does.
    def __init__(self, weighted: Sequence[Mapping[Ngram, float]], length: int) -> None:
        self.weighted = weighted
        self.norms = [math.sqrt(sum(w * w for w in of_n.values())) for of_n in weighted]
        self.length = length


class _Weights:
    def __init__(self, frequency: Mapping[Ngram, int], n_images: int) -> None:
        self._frequency = frequency
        self._log_images = math.log(n_images)

    def of(self, counts: Mapping[Ngram, int]) -> _Vector:
        weighted: list[dict[Ngram, float]] = [{} for _ in range(MAX_N)]
        for ngram, count in counts.items():
            inverse = self._log_images - math.log(max(1, self._frequency.get(ngram, 0)))
            weighted[len(ngram) - 1][ngram] = count * inverse
        return _Vector(weighted, sum(n for ngram, n in counts.items() if len(ngram) == 2))


def _cider_of(weights: _Weights, caption: _Vector, references: Iterable[Counter[Ngram]]) -> float:
    scores = [_cider_pair(caption, weights.of(reference)) for reference in references]
    return 10 * float(np.mean(scores))


def _cider_pair(caption: _Vector, reference: _Vector) -> float:
    gap = caption.length - reference.length
    penalty = math.exp(-(gap**2) / (2 * _CIDER_SIGMA**2))
    total = 0.0
    for n in range(MAX_N):
        own, theirs = caption.weighted[n], reference.weighted[n]
        value = sum(
            min(weight, theirs[ngram]) * theirs[ngram]
            for ngram, weight in own.items()
            if ngram in theirs
        )
        norm = caption.norms[n] * reference.norms[n]
        total += value / norm if norm else 0.0
    return penalty * total / MAX_N


def clip_metrics(
    images: Embeddings, captions: Embeddings, references: Embeddings, image_of: NDArray[np.integer]
) -> dict[str, float]:
    """CLIP-S and RefCLIP-S (Hessel et al. 2021).

    Args:
        images: Shape (n, dim).
        captions: Of CLIP_S_PROMPT and the caption of each image, shape (n, dim).
        references: Of CLIP_S_PROMPT and each reference, shape (references, dim).
        image_of: The image of each reference, shape (references,).
    """
    clip_s = _CLIP_S_WEIGHT * np.maximum(_row_cosines(images, captions), 0)
    best = np.zeros(len(images))
    np.maximum.at(best, image_of, _row_cosines(captions[image_of], references))
    both = clip_s + best
    harmonic = np.divide(2 * clip_s * best, both, out=np.zeros_like(both), where=both > 0)
    return {"CLIP-S": float(clip_s.mean()), "RefCLIP-S": float(harmonic.mean())}


def self_retrieval(images: Embeddings, captions: Embeddings) -> float:
    """Share of the captions whose own image scores above all others of the set.

    Two images that tie both miss.

    Args:
        images: Shape (n, dim).
        captions: Of the bare caption of each image, shape (n, dim).
    """
    ranks = [
        target_ranks(
            cosines(captions[start : start + _ROWS_AT_ONCE], images),
            np.arange(start, min(start + _ROWS_AT_ONCE, len(images))),
        )
        for start in range(0, len(images), _ROWS_AT_ONCE)
    ]
    return hit_fraction(np.concatenate(ranks), 1)


def _row_cosines(one: Embeddings, other: Embeddings) -> NDArray[np.float64]:
    return np.einsum("ij,ij->i", one.astype(np.float64), other.astype(np.float64))
