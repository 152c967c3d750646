"""What a captioner can be told about how to write: what a user writes."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from recap_assets.specs.base import Name, Spec
from recap_assets.specs.references import EMBEDDINGS, Reference


class Alignment(Spec):
    """How well a caption fits its image, in bins of equal size over the corpus (NoC)."""

    scorer: Name = Field(description="The scorer; it sees the images as the captioner does.")
    bins: int = Field(default=8, gt=1, le=256, description="Bins; 1 is the worst.")

    def refers(self) -> Iterator[Reference]:
        """The scorer."""
        yield Reference("scorer", self.scorer, "scorers", gives=EMBEDDINGS)


class Control(Spec):
    """Tokens before the caption that say how it is written; a source sets each of them."""

    alignment: Alignment | None = Field(
        default=None,
        description="How well a caption fits its image: NoC (Kang et al. 2022). A source asks for "
        "a bin, usually the last.",
    )
    length: tuple[Annotated[int, Field(gt=0, le=10_000)], ...] = Field(
        default=(),
        max_length=64,
        description="Words at most, ascending: a caption is of the first that it does not exceed, "
        "a longer one of the last (FlexCap, Dwibedi et al. 2024). A source asks for one of them.",
    )
    tag: Literal["source"] | None = Field(
        default=None,
        description="Whose captions: the source of a text in a corpus of the kind mix. A source "
        "asks for the name of one.",
    )

    @model_validator(mode="after")
    def _controls_something(self) -> Self:
        if not self.known:
            msg = "name one of alignment, length, tag"
            raise ValueError(msg)
        if list(self.length) != sorted(set(self.length)):
            msg = f"length {list(self.length)}: write the lengths once each, in ascending order"
            raise ValueError(msg)
        return self

    @property
    def known(self) -> Mapping[str, str]:
        """The controls, each with the values that it takes, for people."""
        found = {
            "alignment": f"a bin from 1 to {self.alignment.bins}" if self.alignment else "",
            "length": "one of " + ", ".join(map(str, self.length)) if self.length else "",
            "tag": "a source of the corpus" if self.tag else "",
        }
        return {name: words for name, words in found.items() if words}

    def problems(self, asked: Mapping[str, object]) -> Iterator[str]:
        """What of a source's `control` does not fit, or is missing."""
        for name in asked:
            if name not in self.known:
                yield f"it learned no {name}; it has {', '.join(self.known)}"
        for name, words in self.known.items():
            if name not in asked:
                yield f"say {name}: {words}"
        yield from self._out_of_range(asked)

    def _out_of_range(self, asked: Mapping[str, object]) -> Iterator[str]:
        bin_, length = asked.get("alignment"), asked.get("length")
        if self.alignment and isinstance(bin_, int) and bin_ > self.alignment.bins:
            yield f"alignment {bin_}: it has {self.alignment.bins} bins"
        if self.length and isinstance(length, int) and length not in self.length:
            yield f"length {length}: it is {self.known['length']}"
