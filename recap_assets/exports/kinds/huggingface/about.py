"""What a user says of a dataset beside its content: licence, origin, languages, creators."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated

from pydantic import Field, StringConstraints

from recap_assets.specs.base import Spec

_Line = Annotated[str, StringConstraints(pattern=r"^[^\r\n]{1,200}$")]
_Address = Annotated[str, StringConstraints(pattern=r"^https?://[!#-;=?-~]{1,500}$")]
_Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_SourceDataset = Annotated[str, StringConstraints(pattern=rf"^{_PART}([/|]{_PART})?$")]

_SPDX = {
    "apache-2.0": "Apache-2.0", "cc0-1.0": "CC0-1.0", "mit": "MIT", "odbl": "ODbL-1.0",
    "odc-by": "ODC-By-1.0", "pddl": "PDDL-1.0",
}  # fmt: skip
"""SPDX's identifiers of licences that the Hub calls otherwise than in lower case or shorter."""


class About(Spec):
    """What the card and Croissant say beside what is measured; it decides no shard."""

    license: str | None = Field(
        default=None, description="The Hub's identifier of the licence, such as cc-by-4.0."
    )
    license_name: _Line | None = Field(
        default=None,
        exclude_if=lambda name: name is None,
        description="Its name, where `license` is other.",
    )
    license_link: _Address | None = Field(
        default=None,
        exclude_if=lambda link: link is None,
        description="Where its text is, where `license` is other.",
    )
    source_datasets: tuple[_SourceDataset, ...] = Field(
        default=(),
        max_length=100,
        exclude_if=lambda names: not names,
        description="Datasets of the Hub that the pool is from, as owner/name, or what the Hub "
        "knows beside: original, extended. By default original for a pool that is drawn.",
    )
    languages: tuple[_Language, ...] = Field(
        default=(),
        max_length=200,
        exclude_if=lambda codes: not codes,
        description="ISO 639 codes of the texts' languages; by default those that a set measured.",
    )
    creators: tuple[_Line, ...] = Field(
        default=(),
        max_length=100,
        exclude_if=lambda names: not names,
        description="Persons or organizations that publish it; Croissant requires one.",
    )
    url: _Address | None = Field(
        default=None,
        exclude_if=lambda url: url is None,
        description="The page of the dataset; Croissant requires it.",
    )
    published: date | None = Field(
        default=None,
        exclude_if=lambda day: day is None,
        description="Day of its publication, as 2026-11-28; Croissant requires it.",
    )

    def on_the_hub(self, measured: Sequence[str], *, is_drawn: bool) -> dict[str, object]:
        """What the Hub's metadata has of it.

        Args:
            measured: Languages of the texts, where they were measured.
            is_drawn: Whether the pool was drawn by the program itself.
        """
        found = {
            "license": self.license,
            "license_name": self.license_name,
            "license_link": self.license_link,
            "language": list(self.languages or measured),
            "source_datasets": list(self.source_datasets) or ["original"] * is_drawn,
        }
        return {name: value for name, value in found.items() if value}

    def in_croissant(self, measured: Sequence[str]) -> dict[str, object]:
        """What Croissant's metadata has of it; licences and datasets by their addresses."""
        found = {
            "license": self._licence_address(),
            "url": self.url,
            "creator": [{"@type": "sc:Organization", "name": name} for name in self.creators],
            "datePublished": self.published.isoformat() if self.published else None,
            "inLanguage": list(self.languages or measured),
            "isBasedOn": [
                f"https://huggingface.co/datasets/{name}"
                for name in self.source_datasets
                if "/" in name
            ],
        }
        return {name: value for name, value in found.items() if value}

    def _licence_address(self) -> str | None:
        known = self.license or ""
        spdx = known.upper() if known.startswith("cc-by") else _SPDX.get(known)
        return self.license_link or (f"https://spdx.org/licenses/{spdx}" if spdx else self.license)
