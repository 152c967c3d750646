"""Conversations about an image, made of the texts of a pair: what a user writes of them."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Set
from typing import Annotated, NamedTuple, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from recap_assets.exports.samples import Row, best_captions
from recap_assets.specs.base import Spec
from recap_assets.specs.references import Reference

TEXT = "text"
"""Name in braces of the text that the mix chose; other names are those of sources."""

IMAGE_PLACEHOLDER = "<image>"
PROMPTS = ("Describe the image.", "What is in this picture?", "Write a caption for the image.")

_NAMED = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_CHARACTERS_PER_TOKEN = 4

Said = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]


class Turn(Spec):
    """What the user says and what the assistant answers.

    `{text}` is the mix's text, `{a}` the best candidate of the source a.
    """

    user: tuple[Said, ...] = Field(
        default=PROMPTS,
        min_length=1,
        description="What the user says; of several one is drawn by (seed, uid).",
    )
    assistant: Said = Field(default="{text}", description="What the assistant answers.")

    @field_validator("user", mode="before")
    @classmethod
    def _one_is_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _names_are_names(self) -> Self:
        for said in (*self.user, self.assistant):
            for name in _NAMED.findall(said):
                if not _NAME.fullmatch(name):
                    msg = f"{{{name}}} names nothing: write {{text}}, or a source in braces"
                    raise ValueError(msg)
            if IMAGE_PLACEHOLDER in said:
                msg = f"{IMAGE_PLACEHOLDER} is put where the trainer wants it; leave it out"
                raise ValueError(msg)
        return self

    @property
    def names(self) -> Set[str]:
        """What it has in braces."""
        return {name for said in (*self.user, self.assistant) for name in _NAMED.findall(said)}

    def refers(self) -> Iterator[Reference]:
        """The sources."""
        yield from (Reference("", name, "source_names") for name in sorted(self.names - {TEXT}))


class Part(Spec):
    """One sort of conversation, and its share of the samples."""

    share: float = Field(gt=0, description="Share of the samples, in proportion to the others'.")
    image: bool = Field(default=True, description="Whether the image is shown; else text alone.")
    turns: tuple[Turn, ...] = Field(
        default=(Turn(),), min_length=1, description="The turns, in order."
    )

    @property
    def names(self) -> Set[str]:
        """What its turns have in braces."""
        return {name for turn in self.turns for name in turn.names}


class Conversation(NamedTuple):
    """A conversation, as both forms write it.

    Attributes:
        part: Name of its sort.
        with_image: Whether the image is shown.
        turns: What the user says and what the assistant answers, in order.
    """

    part: str
    with_image: bool
    turns: tuple[tuple[str, str], ...]

    def tokens(self, image_tokens: int) -> int:
        """About how many tokens it has: one for 4 letters, and those of the image."""
        letters = sum(len(said) for turn in self.turns for said in turn)
        return -(-letters // _CHARACTERS_PER_TOKEN) + image_tokens * self.with_image


def conversation_of(row: Row, parts: Mapping[str, Part], seed: int) -> Conversation:
    """The conversation of a sample: of which sort, and with which prompts, is drawn.

    A sort that names a source without a text for the image is not drawn for it.

    Args:
        row: The sample.
        parts: The sorts; at least one names no source.
        seed: Of the draws, which are functions of (seed, uid, number of the image's pair).
    """
    texts = {TEXT: row["text"], **_of_sources(row)}
    fitting = {name: part for name, part in parts.items() if texts.keys() >= part.names}
    name = _drawn(fitting, _uniform(row, seed, "part"))
    turns: list[tuple[str, str]] = []
    for number, turn in enumerate(fitting[name].turns):
        at = _uniform(row, seed, f"{name} {number}")
        prompt = turn.user[int(at * len(turn.user))]
        turns.append((_filled(prompt, texts), _filled(turn.assistant, texts)))
    return Conversation(name, fitting[name].image, tuple(turns))


def _of_sources(row: Row) -> Mapping[str, str]:
    found = best_captions(row)
    return {key.removeprefix("caption_"): text for key, text in found.items()}


def _drawn(parts: Mapping[str, Part], at: float) -> str:
    total, below = sum(part.share for part in parts.values()), 0.0
    for name, part in parts.items():
        below += part.share / total
        if at < below:
            return name
    return list(parts)[-1]


def _filled(said: str, texts: Mapping[str, str]) -> str:
    """A template with its texts, of which none can be taken for the place of the image."""
    return _NAMED.sub(lambda one: texts[one[1]].replace(IMAGE_PLACEHOLDER, ""), said)


def _uniform(row: Row, seed: int, purpose: str) -> float:
    """One number in [0, 1) of a sample, for a purpose."""
    drawn = f"{purpose}:{seed}:{row['k']}:".encode() + row["uid"]
    return (int.from_bytes(hashlib.blake2b(drawn, digest_size=8).digest()) >> 11) * 2.0**-53
