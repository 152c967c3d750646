"""Kinds that count what they are asked, and compute something from image and text alone."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recap_assets.captions.kind import Captioning
from recap_assets.captions.rewriters.kind import RewriteTask, Rewriting
from recap_assets.engines.protocols import Caption, Captioner, Image, Places, Rewriter
from recap_assets.scores.kind import ByEmbeddings, ByPairs, ByTexts
from recap_assets.scores.of_images.kind import OfEmbeddings, OfImages
from recap_assets.specs.references import EMBEDDINGS, Reference

POINTS = {
    "captions": ("counting = recap_assets_tests.defs.counting_kinds:CountingSource",),
    "scores": (
        "counting = recap_assets_tests.defs.counting_kinds:CountingScorer",
        "counting_pairs = recap_assets_tests.defs.counting_kinds:CountingPairs",
        "counting_texts = recap_assets_tests.defs.counting_kinds:CountingTexts",
    ),
    "rewriters": ("counting = recap_assets_tests.defs.counting_kinds:CountingRewriter",),
    "image_scorers": (
        "counting = recap_assets_tests.defs.counting_kinds:CountingImages",
        "counting_head = recap_assets_tests.defs.counting_kinds:CountingHead",
    ),
}

ASKED: Counter[str] = Counter()
"""What models were asked since the last look, by what it is."""


def asked() -> dict[str, int]:
    """What was asked since the last call; what was not is left out."""
    found = dict(ASKED)
    ASKED.clear()
    return found


def shade(image: Image) -> float:
    return float(np.asarray(image, np.float64).mean())


def word_vector(text: str) -> NDArray[np.float32]:
    vector = np.ones(8, np.float32)
    for number, letter in enumerate(text.encode()):
        vector[number % 8] += letter
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class CountingSource(Captioning):
    """Says how bright an image is, and which uid it has where it draws by it.

    At half precision it is less sure of all captions, and says other words of uids below 200.
    """

    kind: Literal["counting"]
    temperature: float = 1.0
    by_uid: bool = True
    prompt: str | None = None
    precision: Literal["full", "half"] = "full"

    framework = "numpy"

    @property
    def asks(self) -> str | None:
        return self.prompt

    @property
    def draws_by_uid(self) -> bool:
        return self.by_uid

    def open(self, places: Places) -> Captioner:  # noqa: ARG002
        return _Captioner(self)


class _Captioner:
    def __init__(self, source: CountingSource) -> None:
        self.source = source

    def caption(
        self,
        images: Sequence[Image],
        uids: Sequence[bytes],
        texts: Sequence[dict[str, str]] | None = None,
    ) -> list[list[Caption]]:
        ASKED["captions"] += len(images)
        drawn = [uid.hex()[-4:] if self.source.by_uid else "none" for uid in uids]
        said = [" ".join(one.values()) for one in texts or [{}] * len(uids)]
        is_half = self.source.precision == "half"
        more = [" or so" if is_half and int(uid.hex(), 16) < 200 else "" for uid in uids]
        by = -1.0 if is_half else None
        return [
            [
                Caption(
                    f"shade {shade(image):.3f} at {self.source.temperature} {of} {told} {n}{rest}",
                    log_probability=by,
                )
                for n in range(self.source.candidates)
            ]
            for image, of, told, rest in zip(images, drawn, said, more, strict=True)
        ]


class CountingRewriter(Rewriting):
    """Writes its texts behind each other."""

    kind: Literal["counting"]
    framework = "numpy"

    def open(self, places: Places, task: RewriteTask) -> Rewriter:  # noqa: ARG002
        return _Rewriter()


class _Rewriter:
    def rewrite(
        self, inputs: Sequence[Mapping[str, str]], uids: Sequence[bytes]
    ) -> list[list[Caption]]:
        ASKED["rewrites"] += len(uids)
        return [[Caption(" and ".join(texts.values()))] for texts in inputs]


class CountingScorer(ByEmbeddings):
    """Embeds an image by its shade and a text by its letters."""

    kind: Literal["counting"]
    size: float = 1.0

    framework = "numpy"

    def open(self, places: Places) -> "_Embedder":  # noqa: ARG002
        return _Embedder(self.size)


class _Embedder:
    embedding_dim = 8

    def __init__(self, size: float) -> None:
        self.size = size

    def embed_images(self, images: Sequence[Image]) -> NDArray[np.float32]:
        ASKED["image embeddings"] += len(images)
        return np.stack([word_vector(f"{self.size * shade(image):.6f}") for image in images])

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        ASKED["text embeddings"] += len(texts)
        return np.stack([word_vector(text) for text in texts])


class CountingPairs(ByPairs):
    """Scores image and text together."""

    kind: Literal["counting_pairs"]

    framework = "numpy"

    def open(self, places: Places) -> "_Pairs":  # noqa: ARG002
        return _Pairs()


class _Pairs:
    def score(self, images: Sequence[Image], texts: Sequence[str]) -> NDArray[np.float32]:
        ASKED["pairs"] += len(texts)
        pairs = zip(images, texts, strict=True)
        return np.array([shade(i) / 256 * word_vector(t)[0] for i, t in pairs], np.float32)


class CountingTexts(ByTexts):
    """Scores a text alone."""

    kind: Literal["counting_texts"]
    bounded = False

    def open(self, places: Places) -> "_Texts":  # noqa: ARG002
        return _Texts()


class _Texts:
    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        ASKED["texts"] += len(texts)
        return np.array([len(text) for text in texts], np.float32)


class CountingImages(OfImages):
    """Scores an image by its pixels."""

    kind: Literal["counting"]
    framework = "numpy"

    def open(self, places: Places) -> "_Images":  # noqa: ARG002
        return _Images()


class _Images:
    def score(self, images: Sequence[Image]) -> NDArray[np.float32]:
        ASKED["images"] += len(images)
        return np.array([shade(image) for image in images], np.float32)


class CountingHead(OfEmbeddings):
    """Scores an image by the first number of its embedding."""

    kind: Literal["counting_head"]
    scorer: str
    framework = "numpy"

    @property
    def embedded_by(self) -> str:
        return self.scorer

    def refers(self) -> Iterator[Reference]:
        yield Reference("scorer", self.scorer, "scorers", gives=EMBEDDINGS)

    def open(self, places: Places) -> "_Head":  # noqa: ARG002
        return _Head()


class _Head:
    def score(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        ASKED["embeddings"] += len(embeddings)
        return embeddings[:, 0].astype(np.float32)
