"""What a captioner and a scorer are. No torch here: stages and tests import it freely."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from recap_assets.specs.findings import Finding

BATCH_MULTIPLE = 8
"""Batches are padded to a multiple of this many rows: kernels take odd numbers row by row."""

Image = NDArray[np.uint8]
"""Decoded RGB, shape (height, width, 3), any size."""


CaptionStatus = Literal["ok", "truncated", "empty", "refused", "degenerate", "error"]
"""truncated: `max_tokens` ended it, and it is used. refused: the model declined to describe the
image. degenerate: words came that describe nothing, such as a loop. error: no caption came back."""


@dataclass(frozen=True)
class Caption:
    """One caption of one image, or the reason why there is none.

    Attributes:
        text: As decoded, without special tokens, white space stripped.
        status: What became of it.
        log_probability: Sum over its tokens under the model (temperature 1), natural log; None
            where the model does not say.
        n_tokens: Tokens written, without the end mark; None where nobody counted.
        reason: Why it is set aside: one of a few words, for counting.
        n_prompt_tokens: Tokens of the request, as a server counted them.
        seconds: What its request took; None where it was computed in a batch.
    """

    text: str
    status: CaptionStatus = "ok"
    log_probability: float | None = None
    n_tokens: int | None = None
    reason: str | None = None
    n_prompt_tokens: int | None = None
    seconds: float | None = None


class Captioner(Protocol):
    """Writes captions; the same for an image whatever the batch, the order or the shard."""

    def caption(self, images: Sequence[Image], uids: Sequence[bytes]) -> list[list[Caption]]:
        """Caption each image: for every image its candidates, in order."""
        ...


class AskedCaptioner(Protocol):
    """A captioner whose prompt has texts of the image in it."""

    def caption(
        self,
        images: Sequence[Image],
        uids: Sequence[bytes],
        texts: Sequence[Mapping[str, str]],
    ) -> list[list[Caption]]:
        """Caption each image: for every image its candidates, in order.

        Args:
            images: The images.
            uids: Their uids.
            texts: For each image its texts by the names in the prompt, as they come from outside:
                `Captioning.asked` makes a prompt of them.
        """
        ...


@dataclass
class Usage:
    """What a captioner behind a server asked and was answered, since it was opened.

    Attributes:
        requests: Attempts sent.
        retries: Those of them that repeated an earlier one.
        cache_hits: Captions whose reply was on the disk already.
        prompt_tokens: Tokens of the requests that were answered, as the server counted them.
        completion_tokens: Tokens of their replies, thinking included.
    """

    requests: int = 0
    retries: int = 0
    cache_hits: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Places(Protocol):
    """Where a captioner finds what the platform keeps for it."""

    @property
    def models(self) -> Path:
        """Folder of the models trained here, one folder each."""
        ...

    @property
    def replies(self) -> Path | None:
        """File of what servers replied; None keeps none."""
        ...

    @property
    def batch_sizes(self) -> Path | None:
        """File of batch sizes that were found by trying; None keeps none."""
        ...


@runtime_checkable
class Examinable(Protocol):
    """A kind that says what stands between it and a build."""

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:
        """What is in order and what is not; `where` is its name in the file."""
        ...


@runtime_checkable
class RemoteCaptioner(Captioner, Protocol):
    """A captioner behind a server: several batches may be under way, and it is closed after use."""

    usage: Usage

    def submit(self, images: Sequence[Image], uids: Sequence[bytes]) -> Future[list[list[Caption]]]:
        """Begin to caption; the future gives what `caption` would."""
        ...

    def close(self) -> None:
        """Give up what is under way, and the connections."""
        ...


class Collects(Protocol):
    """What is given all rows of a partition before it is asked for any of them."""

    def collect(self, progress: Callable[[float], None]) -> bool:
        """Wait for the results of what was announced.

        Args:
            progress: Called with the share that is done.

        Returns:
            Whether they are there. If not, everything must be announced again.
        """
        ...


@runtime_checkable
class AnnouncedCaptioner(Collects, Protocol):
    """A captioner that is given all images of a partition before it is asked for captions."""

    def announce_images(
        self,
        images: Sequence[Image],
        uids: Sequence[bytes],
        texts: Sequence[Mapping[str, str]] | None = None,
    ) -> None:
        """Take some images and, where its prompt has any, their texts."""
        ...


SAME_CLASS = "same device class"
SAME_SIZE = "same device class, same batch_size"
"""Where a caption is the same again, in `Device.facts` of a GPU."""


@dataclass(frozen=True)
class Device:
    """What computed a result.

    Attributes:
        name: `cpu`, or a GPU's name.
        facts: What a user has to know of it, for the materialization.
        machine: What of it decides the last bits, for the provenance.
    """

    name: str = "cpu"
    facts: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class LocalCaptioner(Captioner, Protocol):
    """A captioner that computes here, and may prepare images while others are captioned.

    Attributes:
        batches_ahead: Batches to begin beside the one whose captions are waited for; 0 on a CPU.
        at_once: Images of one batch.
    """

    batches_ahead: int
    at_once: int

    def begin(
        self, images: Sequence[Image], uids: Sequence[bytes]
    ) -> Callable[[], list[list[Caption]]]:
        """Begin to prepare the images; what is given writes what `caption` would."""
        ...

    def made_on(self) -> Device:
        """What it computed with, after it did."""
        ...


class Rewriter(Protocol):
    """Writes a text from other texts of an image; the same for an image whatever the others."""

    def rewrite(
        self, inputs: Sequence[Mapping[str, str]], uids: Sequence[bytes]
    ) -> list[list[Caption]]:
        """Write for each image its candidates, in order.

        Args:
            inputs: For each image its texts by the names that the source reads; none is empty.
                They come from outside: whatever is in a text may change its own image's result
                and no other.
            uids: The images' uids, which what is drawn by chance depends on.
        """
        ...


@runtime_checkable
class RemoteRewriter(Rewriter, Protocol):
    """A rewriter behind a server: several batches may be under way, and it is closed after use."""

    usage: Usage

    def submit(
        self, inputs: Sequence[Mapping[str, str]], uids: Sequence[bytes]
    ) -> Future[list[list[Caption]]]:
        """Begin to write; the future gives what `rewrite` would."""
        ...

    def close(self) -> None:
        """Give up what is under way, and the connections."""
        ...


@runtime_checkable
class AnnouncedRewriter(Collects, Protocol):
    """A rewriter that is given the texts of a whole partition before it is asked for any."""

    def announce_texts(self, inputs: Sequence[Mapping[str, str]], uids: Sequence[bytes]) -> None:
        """Take the texts of some images, as `rewrite` takes them."""
        ...


class TextEmbedder(Protocol):
    """Embeds texts; how alike two are is the cosine."""

    embedding_dim: int

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit-length embeddings, shape (n, embedding_dim)."""
        ...


class Scorer(Protocol):
    """Embeds images and texts into one space; the score of a pair is the cosine."""

    embedding_dim: int

    def embed_images(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Unit-length embeddings, shape (n, embedding_dim)."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit-length embeddings, shape (n, embedding_dim)."""
        ...


@runtime_checkable
class PreparesImages(Protocol):
    """A model that can prepare the next images while it computes."""

    def begin_images(self, images: Sequence[Image]) -> Callable[[], NDArray[np.float32]]:
        """Begin to prepare them; the function computes, and gives what one call would.

        Of a scorer that embeds these are the embeddings, of an image scorer the scores.
        """
        ...


@dataclass(frozen=True)
class Resizing:
    """How a model resizes an image before all else; a resized image is not changed again.

    Attributes:
        name: What decides it beside the versions of Pillow and of this program.
        shape: Height and width of the result, and 3.
        resize: Any image to that shape, uint8.
    """

    name: str
    shape: tuple[int, int, int]
    resize: Callable[[Image], Image]


@runtime_checkable
class ResizesImages(Protocol):
    """A model whose embedding of an image is, to the bit, that of the resized image."""

    @property
    def resizing(self) -> Resizing | None:
        """How; None where it does other things to an image."""
        ...


class PairScorer(Protocol):
    """Scores an image and a text together; the same for a pair whatever the others."""

    def score(self, images: Sequence[Image], texts: Sequence[str]) -> NDArray[np.float32]:
        """A score for each image and the text at its place, shape (n,); higher fits better.

        The texts of one image come one after the other, each beside the same array, so that it can
        be encoded once.

        Returns:
            Numbers in the kind's range, [-1, 1] where it says nothing else; NaN where no score can
            be had.
        """
        ...


class TextScorer(Protocol):
    """Scores texts, whatever their images; the same for a text whatever the others."""

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """A score for each text, shape (n,), on its own scale; NaN where there is none."""
        ...


@runtime_checkable
class RemotePairScorer(PairScorer, Protocol):
    """A scorer of pairs behind a server: several batches may be under way; it is closed after.

    Attributes:
        usage: What it asked and was answered, since it was opened.
        unscored: Of the pairs without a score how many there are, by reason.
    """

    usage: Usage
    unscored: Mapping[str, int]

    def submit(self, images: Sequence[Image], texts: Sequence[str]) -> Future[NDArray[np.float32]]:
        """Begin to score; the future gives what `score` would."""
        ...

    def close(self) -> None:
        """Give up what is under way, and the connections."""
        ...


@runtime_checkable
class AnnouncedPairScorer(Collects, Protocol):
    """A scorer that is given all pairs of a partition before it is asked for scores."""

    def announce_pairs(self, images: Sequence[Image], texts: Sequence[str]) -> None:
        """Take some pairs, as `score` takes them."""
        ...


@runtime_checkable
class Closes(Protocol):
    """What holds connections or threads until it is closed."""

    def close(self) -> None:
        """Give them up."""
        ...


class ImageScorer(Protocol):
    """Scores images, whatever their texts; the same for an image whatever the others."""

    def score(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """A score for each image, shape (n,), on its own scale; NaN where there is none."""
        ...


class VectorScorer(Protocol):
    """Scores images by their embeddings; the same for an embedding whatever the others."""

    def score(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """A score for each embedding, shape (n,), on its own scale; NaN where there is none.

        Args:
            embeddings: Shape (n, dimension), of unit length but for rounding to float16.
        """
        ...


class LanguageIdentifier(Protocol):
    """Identifies the language of a text; the same whatever the other texts."""

    def identify(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        """The code of each text's language, as the model calls it, and its probability."""
        ...
