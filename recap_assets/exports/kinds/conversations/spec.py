"""Exports of conversations: what both forms have."""

from collections.abc import Iterator, Sequence
from typing import ClassVar, Self

import polars as pl
from pydantic import Field, model_validator

from recap_assets.exports.kind import Refusal, ShardedExport
from recap_assets.exports.kinds.conversations.budgets import BUDGET, budget_json
from recap_assets.exports.kinds.conversations.counts import write_totals
from recap_assets.exports.kinds.conversations.turns import TEXT, Part
from recap_assets.exports.runs import Run
from recap_assets.exports.written import Written
from recap_assets.specs.base import Name
from recap_assets.storage.folders import Folder, WrittenFile


class ConversationsSpec(ShardedExport):
    """A mix as conversations about its images, for trainers of vision-language models.

    Each sample becomes a conversation of one of `parts`, drawn by (seed, uid) in proportion to
    their shares, so that captions, instructions and text alone are mixed in the ratios of
    DataComp-VLM (arXiv 2606.28551: by samples; its best is 10 captions : 70 instructions : 15
    text, beside documents). A part that names a source is drawn where the image has its text.
    """

    tags: ClassVar = ("conversations",)
    beside: ClassVar = (BUDGET,)
    only_beside: ClassVar = ("tokens",)

    samples_per_shard: int = Field(
        default=5_000, gt=0, le=10_000_000, description="Most conversations of one file."
    )
    parts: dict[Name, Part] = Field(
        default={"captioning": Part(share=1)},
        min_length=1,
        description="The sorts of conversations; one at least names no text but {text}.",
    )
    seed: int = Field(default=0, description="Of the draws.")
    image_tokens: int = Field(
        default=64,
        ge=0,
        description="Tokens of an image, for the count: nanoVLM's 64, LLaVA's 576.",
    )
    tokens: int | None = Field(
        default=None,
        gt=0,
        le=10**15,
        description="Tokens of a training: `budget.json` lists shards, drawn by seed, with at most "
        "as many together. Null writes no such list.",
    )
    max_characters: int | None = Field(
        default=None,
        gt=0,
        description="Letters that the mix's text may have, since trainers drop what is longer "
        "than their budget; about 4 are a token. Null for any number.",
    )

    @model_validator(mode="after")
    def _has_a_part_for_all(self) -> Self:
        if not any(part.names <= {TEXT} for part in self.parts.values()):
            msg = "parts: one at least must name no text but {text}, for images without the others"
            raise ValueError(msg)
        return self

    def sources_along(self, all_sources: Sequence[str]) -> Sequence[str]:
        """Those that the parts name; no other caption is written."""
        named = {name for part in self.parts.values() for name in part.names}
        return [source for source in all_sources if source in named]

    def beside_shards(self, folder: Folder, run: Run) -> Sequence[WrittenFile]:
        """How many samples and tokens each part has."""
        return write_totals(folder, run)

    def names_beside(self) -> Sequence[str]:
        """The list of the shards within the budget, where there is one."""
        return () if self.tokens is None else self.beside

    def beside_all(self, folder: Folder, written: Written) -> Sequence[WrittenFile]:
        """The shards within the budget, where there is one."""
        if self.tokens is None:
            return ()
        return [folder.write(BUDGET, budget_json(folder, written, self.tokens, self.seed))]

    def refuses(self) -> Iterator[Refusal]:
        """Images of other formats, and long texts."""
        yield from super().refuses()
        if self.max_characters is not None:
            is_long = pl.col("text").str.len_chars() > self.max_characters
            yield Refusal("too_long", "the text has more letters than max_characters", is_long)
