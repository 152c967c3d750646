"""Captions that somebody else wrote, as a caption source: which files, which columns, which rules.

The drops that are known by name need two lines::

    blip2:
      {kind: import, preset: datacomp_blip2, files: captions/large_blip2_metadata_*.csv}
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import Field, field_validator, model_validator

from recap_assets.captions.kind import OwnAssets
from recap_assets.specs.fields import Address, Shorthand
from recap_assets.specs.quotes import Quotes

JoinKey = Literal["uid", "sha256", "url"]
Preset = Literal["datacomp_blip2", "recap_datacomp_1b", "capsfusion"]

CAPTION_FILE_ENDINGS = (
    ".parquet", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".jsonl", ".jsonl.gz", ".ndjson",
    ".ndjson.gz",
)  # fmt: skip
"""Endings of files that captions are read from."""


PRESETS: Mapping[str, Mapping[str, str]] = {
    "datacomp_blip2": {"by": "uid", "key": "uid", "caption": "blip2-cap"},
    "recap_datacomp_1b": {
        "by": "sha256",
        "key": "sha256",
        "caption": "re_caption",
        "expected_text": "org_caption",
    },
    "capsfusion": {
        "by": "url",
        "key": "image_url",
        "caption": "capsfusion",
        "expected_text": "laion_2b",
    },
}
"""Columns of third-party drops, as their data set cards and users' scripts name them.

The card of the released BLIP-2 captions calls `uid` a SHA256; it is DataComp's 128-bit id.
Recap-DataComp-1B also has `key` and `url`, but users found both to disagree with DataComp-1B, and
its authors advise to join by sha256.
"""


class ImportSpec(OwnAssets):
    """Third-party captions joined to the pool by uid, sha256 or url."""

    example = """\
released:                                      # captions that somebody else wrote, joined by uid
  {kind: import, preset: datacomp_blip2, files: /data/captions/large_blip2_metadata_*.csv}
"""

    of_image_alone = True

    kind: Literal["import"]
    files: Annotated[tuple[str, ...], Address] = Field(
        min_length=1,
        description="Paths, globs or fsspec URLs of parquet, CSV, TSV or JSON-lines files, the "
        "text ones plain or .gz; where captions conflict, earlier files come first.",
    )
    preset: Annotated[Preset | None, Shorthand] = Field(
        default=None, description="A known drop, which fills in the columns below."
    )
    by: JoinKey = Field(default="uid", description="What of a sample the key names.")
    key: str = Field(default="", description="Column with the key; by default named as `by`.")
    caption: str = Field(
        description="Column with the caption, a list of captions, or chat turns, of which the "
        "first answer counts; `column.field` of a struct or JSON object."
    )
    quoting: Quotes = None
    expected_text: str | None = Field(
        default=None,
        description="Column with the file's own copy of the raw text, which distinguishes captions "
        "of another image.",
    )
    on_text_mismatch: Literal["keep", "set_aside"] = Field(
        default="keep",
        description="What becomes of a caption whose expected text is not the pool's raw text; "
        "it is counted either way.",
    )
    conflicts: Literal["first", "candidates", "reject"] = Field(
        default="first",
        description="Several different captions for one key: the first in the files' order, all "
        "of them as candidates, or none.",
    )

    @model_validator(mode="before")
    @classmethod
    def _filled_from_preset(cls, value: Any) -> Any:  # noqa: ANN401 - pydantic hands over raw input
        if not isinstance(value, dict):
            return value
        given = cast("dict[str, object]", value)
        filled = {**PRESETS.get(str(given.get("preset")), {}), **given}
        return {**filled, "key": filled.get("key") or filled.get("by", "uid")}

    @field_validator("files", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:  # noqa: ANN401 - pydantic hands over raw input
        return (value,) if isinstance(value, str) else value

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read, each once."""
        wanted = (self.key, self.caption, self.expected_text)
        return tuple(dict.fromkeys(name for name in wanted if name is not None))
