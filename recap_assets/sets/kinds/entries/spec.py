"""Sets drawn by a list of entries: what a user writes."""

from typing import Annotated, Literal

from pydantic import Field

from recap_assets.sets.kind import TextSet
from recap_assets.sets.text_rule import LanguageCode
from recap_assets.specs.fields import Content

EMBEDDED = "embedded"
"""The list of the embedded world's nouns."""


class EntriesSpec(TextSet):
    """MetaCLIP's curation: texts that hold an entry of a list, fewer of the common entries.

    An entry that n texts of the pool hold is drawn with p = min(1, t / n) for each of them, by
    (seed, uid, entry), and a text for which any of its entries is drawn is a member. An entry is
    held where it stands between spaces, line ends, one of `,.;:?!` or ends of the text; case
    counts. Sources: Demystifying CLIP Data (arXiv 2309.16671), algorithm 1; by language, Meta CLIP
    2 (arXiv 2507.22062), section 3: there t is that of one language, and the others' is where the
    same share of matches is of rarer entries. A script without spaces needs none around an entry.
    """

    extra = ""

    kind: Literal["entries"]
    language: LanguageCode | None = Field(
        default=None, description="The text's language by the identifier; null for any."
    )
    entries: Annotated[str, Content(names=(EMBEDDED,))] = Field(
        description="A JSON list of entries, such as MetaCLIP's metadata.json, or a .txt with one "
        "a line; with `by_language` a folder with such a file for each language (en.json), and "
        "one `other.json` for all others if wanted. `embedded` is the embedded world's nouns."
    )
    by_language: bool = Field(
        default=False, description="Whether each text is matched with its language's list."
    )
    t: int = Field(
        default=20_000,
        gt=0,
        description="Texts that are drawn for an entry, about: 20,000 of MetaCLIP's 400 million, "
        "170,000 of its 2.5 billion.",
    )
    t_of: LanguageCode = Field(
        default="en", description="by_language: the language whose t this is."
    )
    seed: int = Field(default=0, description="Of the draw.")

    @property
    def identifies(self) -> bool:
        """The language decides which list counts."""
        return self.by_language or super().identifies
