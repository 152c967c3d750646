"""Texts that a language model writes from other texts of an image: what a user writes."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from recap_assets.captions.kind import OwnAssets
from recap_assets.captions.rewriters.kind import RewriteTask, Rewriting
from recap_assets.captions.served import Served
from recap_assets.engines.protocols import Places, Rewriter
from recap_assets.specs.base import Spec
from recap_assets.specs.findings import Finding
from recap_assets.specs.kinds import OneOf
from recap_assets.specs.prompts import TEXT_NAMES, Prompt, names_in
from recap_assets.specs.references import Reference
from recap_assets.specs.sources import MOST_CANDIDATES
from recap_assets.untrusted.prompt_texts import MOST_CHARACTERS


class RewriteSpec(OwnAssets):
    """Texts that a language model writes from other sources and columns; it sees no image."""

    example = """\
fused:
  kind: rewrite
  reads: [raw, blip2]
  prompt: "Web text: {raw}\\nCaption: {blip2}\\nOne sentence with the facts of both:"
  by: {kind: openai, model: Qwen/Qwen2.5-7B-Instruct, decoding: {temperature: 0.7}}
"""

    of_image_alone = True

    kind: Literal["rewrite"]
    reads: tuple[str, ...] = Field(
        default=(),
        description="The sources and columns of the pool that it is written from; by default those "
        "in the prompt.",
    )
    prompt: Prompt | None = Field(
        default=None,
        description="What the model is asked, each of `reads` in braces; a brace itself is "
        "doubled. A rewriter that is trained here takes none.",
    )
    by: Annotated[Rewriting, OneOf("rewriters")] = Field(description="What writes.")
    candidates: int = Field(default=1, gt=0, le=MOST_CANDIDATES, description="Texts of each image.")
    longest: int = Field(
        default=MOST_CHARACTERS,
        gt=0,
        le=65_536,
        description="Characters of a text in the prompt; what is beyond is cut.",
    )

    @model_validator(mode="before")
    @classmethod
    def _decoding_is_the_rewriters(cls, value: object) -> object:
        if isinstance(value, dict) and "decoding" in value:
            msg = "decoding is what the rewriter does: write it in `by`, beside its model"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _reads_what_it_asks(self) -> Self:
        if problems := list(self._reading_problems()):
            raise ValueError("; ".join(problems))
        return self

    def _reading_problems(self) -> Iterator[str]:
        named = names_in(self.prompt or "")
        if not self.names:
            yield "reads: name the sources that it is written from"
        if len(set(self.reads)) < len(self.reads):
            yield "reads: a name comes twice"
        if not self.by.asks:
            if self.prompt is not None:
                yield f"prompt: by kind {self.by.word}, which takes none"
            return
        if self.prompt is None:
            yield f"prompt: by kind {self.by.word}, which wants one"
        elif self.reads and set(named) != set(self.reads):
            other = ", ".join(sorted(set(named) ^ set(self.reads)))
            yield f"prompt: {other}: what it names and what `reads` lists differ"

    @property
    def names(self) -> tuple[str, ...]:
        """The sources and columns that it is written from."""
        return self.reads or names_in(self.prompt or "")

    @property
    def task(self) -> RewriteTask:
        """What the rewriter is asked."""
        return RewriteTask(self.names, self.prompt, self.candidates, self.longest)

    @property
    def trained_model(self) -> str | None:
        """The model of this experiment that writes."""
        return self.by.trained_model

    @property
    def waits_for_a_server(self) -> bool:
        """Whether a server computes."""
        return self.by.waits_for_a_server

    @property
    def served(self) -> Served | None:
        """What `recap serve-captioner` starts a server for."""
        return self.by.served

    def open(self, places: Places) -> Rewriter:
        """The rewriter."""
        return self.by.open(places, self.task)

    def refers(self) -> Iterator[Reference]:
        """What it reads, and what the rewriter names."""
        yield from super().refers()
        field = "reads" if self.reads else "prompt"
        yield from (Reference(field, name, TEXT_NAMES) for name in self.names)

    def problems(self, models: Mapping[str, Spec]) -> Iterator[str]:
        """What does not fit the models of the experiment."""
        yield from (f"by.{problem}" for problem in self.by.problems(models, self.task))

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:
        """What the rewriter finds."""
        yield from self.by.doctor(where, places, self.task)
