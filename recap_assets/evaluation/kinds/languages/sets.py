"""Images with captions in several languages, and how a model is measured by them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recap_assets.evalsets.embedding import Embedder, Image
from recap_assets.evalsets.measuring import (
    CHANCE,
    MAX_TEXT,
    Measured,
    MeasuringSet,
    SetAside,
    sound_images,
    sound_samples,
)
from recap_assets.evalsets.webdatasets import (
    Decode,
    EvaluationSetError,
    Sample,
    SetFolder,
    SetShards,
    batched,
    shards_of,
)
from recap_assets.evaluation.metrics import hit_fraction
from recap_assets.evaluation.zero_shot import (
    RECALL_AT,
    RETRIEVAL_MAIN,
    Embeddings,
    embedded_texts,
    retrieval_ranks,
)
from recap_assets.untrusted.decoding import decode_text
from recap_assets.untrusted.showing import listed

MAX_CAPTIONS = 1_000
"""Of one image in one language."""
SIDES = ("image", "text")


@dataclass(frozen=True)
class Captioned:
    """An image with its captions in each language, in the order of the languages."""

    where: str
    image: bytes
    captions: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class LanguageSet(MeasuringSet):
    """Images that have captions in each of some languages.

    Attributes:
        path: The folder, as it was given.
        languages: Their names.
    """

    path: str
    languages: tuple[str, ...]
    _shards: SetShards = field(repr=False)

    def images(self, size: int) -> Iterator[list[Image]]:
        """The images that have captions in each language."""
        for _captioned, images in self._batches(size, SetAside()):
            yield images

    def expected(self) -> Iterator[object]:
        """The captions of each image."""
        for one in self._captioned(SetAside()):
            yield one.captions

    def measure(self, embedder: Embedder, batch_size: int) -> Measured:
        """Measure a model; see `LanguagesTask`."""
        aside = SetAside()
        parts: list[Embeddings] = []
        captions: list[tuple[tuple[str, ...], ...]] = []
        for captioned, images in self._batches(batch_size, aside):
            parts.append(embedder.embed_images(images))
            captions += [one.captions for one in captioned]
        aside.refuse_if_nothing_is_left(self.path, len(captions), "image")
        images = np.concatenate(parts)
        values: dict[str, tuple[float, int]] = {}
        ranks: dict[str, list[NDArray[np.float64]]] = {side: [] for side in SIDES}
        for number, language in enumerate(self.languages):
            of_language = [of_image[number] for of_image in captions]
            image_of = np.repeat(np.arange(len(images)), [len(one) for one in of_language])
            flat = [text for of_image in of_language for text in of_image]
            texts = embedded_texts(embedder, flat, batch_size)
            found = _ranks(images, texts, image_of)
            values |= _recalls(found, language, len(images), len(texts))
            ranks["image"].append(_means(found["image"], image_of, len(images)))
            ranks["text"].append(found["text"].astype(np.float64))
        return Measured(
            {**_over_languages(values, self.languages, len(images)), **_variances(ranks), **values},
            RETRIEVAL_MAIN,
            dict(aside.counts),
        )

    def _batches(self, size: int, aside: SetAside) -> Iterator[tuple[list[Captioned], list[Image]]]:
        items = sound_images(self._captioned(aside), self._shards.decode, aside)
        yield from batched(items, size)

    def _captioned(self, aside: SetAside) -> Iterator[Captioned]:
        for sample in sound_samples(self._shards, aside):
            captions = tuple(_captions(sample, language) for language in self.languages)
            lacking = [name for name, of in zip(self.languages, captions, strict=True) if not of]
            if lacking:
                words = f"{sample.where}: it has no usable caption in {', '.join(lacking)}"
                aside.add("language_missing", words)
            else:
                yield Captioned(sample.where, sample.image, captions)


def open_languages(
    path: str, split: str, languages: tuple[str, ...], decode: Decode
) -> LanguageSet:
    """Open a set; see `LanguagesTask`.

    Raises:
        EvaluationSetError: A missing or unusable file, or fewer than two languages.
    """
    folder = SetFolder.of(path)
    shards = shards_of(folder, split, decode)
    found = tuple(dict.fromkeys(languages)) or _languages(shards)
    if len(found) < 2:
        msg = (
            f"{folder.path}: two languages are needed, KEY.LANGUAGE.txt each, but there are "
            f"{listed(found) or 'none'}"
        )
        raise EvaluationSetError(msg)
    return LanguageSet(folder.path, found, shards)


def mean_rank_variance(ranks: Sequence[NDArray[np.float64]]) -> float:
    """The mean over instances of the variance of their ranks over languages.

    Args:
        ranks: For each language the rank of each instance, shape (instances,).
    """
    return float(np.var(np.stack(ranks), axis=0).mean())


def _languages(shards: SetShards) -> tuple[str, ...]:
    first = next(sound_samples(shards, SetAside()), None)
    members = first.members if first else {}
    return tuple(sorted(name.removesuffix(".txt") for name in members if name.endswith(".txt")))


def _captions(sample: Sample, language: str) -> tuple[str, ...]:
    text = decode_text(sample.members.get(f"{language}.txt", b"")).text or ""
    lines = tuple(line for line in text.splitlines() if line.strip())
    usable = len(lines) <= MAX_CAPTIONS and all(len(line) <= MAX_TEXT for line in lines)
    return lines if usable else ()


def _ranks(
    images: Embeddings, texts: Embeddings, image_of: NDArray[np.integer]
) -> dict[str, NDArray[np.int64]]:
    numbers = np.arange(len(images))
    return {
        "image": retrieval_ranks(texts, images, image_of, numbers),
        "text": retrieval_ranks(images, texts, numbers, image_of),
    }


def _recalls(
    ranks: dict[str, NDArray[np.int64]], language: str, n_images: int, n_texts: int
) -> dict[str, tuple[float, int]]:
    candidates = {"image": n_images, "text": n_texts}
    values = {
        f"{side}_retrieval_recall@{k}:{language}": (hit_fraction(ranks[side], k), n_images)
        for side in SIDES
        for k in RECALL_AT
        if k <= candidates[side]
    }
    both = [values[f"{side}_retrieval_recall@1:{language}"][0] for side in SIDES]
    return {**values, f"{RETRIEVAL_MAIN}:{language}": (0.5 * sum(both), n_images)}


def _over_languages(
    values: dict[str, tuple[float, int]], languages: Sequence[str], n: int
) -> dict[str, tuple[float, int]]:
    by_language = [values[f"{RETRIEVAL_MAIN}:{language}"][0] for language in languages]
    return {
        RETRIEVAL_MAIN: (float(np.mean(by_language)), n),
        f"worst_{RETRIEVAL_MAIN}": (min(by_language), n),
        CHANCE: (1 / n, n),
    }


def _variances(ranks: dict[str, list[NDArray[np.float64]]]) -> dict[str, tuple[float, int]]:
    return {
        f"{side}_mean_rank_variance": (mean_rank_variance(of_side), len(of_side[0]))
        for side, of_side in ranks.items()
    }


def _means(
    ranks: NDArray[np.int64], image_of: NDArray[np.integer], n_images: int
) -> NDArray[np.float64]:
    return np.bincount(image_of, weights=ranks, minlength=n_images) / np.bincount(
        image_of, minlength=n_images
    )
