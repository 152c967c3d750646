"""Captions that say how bright an image is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from recap_assets.captions.kind import Captioning
from recap_assets.engines.protocols import Caption, Captioner, Image, Places
from recap_assets.specs.fields import Content, Speed


class ShadesSource(Captioning):
    """Says how bright an image is, in the words of a file."""

    kind: Literal["shades"]
    words: Annotated[str, Content()] = Field(description="A file of words, from dark to bright.")
    subject: str = Field(default="picture", description="What every image is called.")
    batch_size: Annotated[int, Speed] = Field(default=16, gt=0, description="Images of one pass.")

    framework = "numpy"

    @property
    def at_once(self) -> int:
        """Images that are handed over at once."""
        return self.batch_size

    def open(self, places: Places) -> Captioner:  # noqa: ARG002 - nothing is kept for it
        """The captioner."""
        return Shades(Path(self.words).read_text().split(), self)


class Shades:
    """Words by brightness."""

    def __init__(self, words: Sequence[str], source: ShadesSource) -> None:
        self._words, self._source = words, source

    def caption(self, images: Sequence[Image], uids: Sequence[bytes]) -> list[list[Caption]]:
        """The candidates of each image."""
        return [self._of(image) for image, _ in zip(images, uids, strict=True)]

    def _of(self, image: Image) -> list[Caption]:
        word = self._words[int(image.mean()) * len(self._words) // 256]
        n = self._source.candidates
        return [Caption(f"a {word} {self._source.subject} {i}", n_tokens=4) for i in range(n)]
