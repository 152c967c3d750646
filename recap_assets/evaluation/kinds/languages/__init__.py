"""Retrieval in several languages."""

from collections.abc import Iterator, Mapping
from math import inf
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from recap_assets.evalsets.sets import EvaluationSet
from recap_assets.evalsets.webdatasets import Decode
from recap_assets.evaluation.kind import Existing
from recap_assets.specs.fields import Address

Language = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]


class LanguagesTask(Existing):
    """Retrieval in several languages, and how much the ranks differ between them (1-to-K).

    For each language retrieval is measured among its own captions, as in every retrieval task
    (`image_retrieval_recall@k:de`, `text_retrieval_recall@k:de`, `mean_recall@1:de`).
    `mean_recall@1` is the mean over languages and the main metric, `worst_mean_recall@1` that of
    the worst language, `chance` what guessing gives. `image_mean_rank_variance` is the mean over
    images of the variance, over languages, of the rank at which a caption finds the image (the mean
    over its captions in one language), `text_mean_rank_variance` that of the rank of the first
    right caption: 0 where every language ranks alike, and without an upper bound.

    `path` holds `SPLIT/N.tar` and `SPLIT/nshards.txt` with `KEY.jpg` and for each language
    `KEY.LANGUAGE.txt`, a caption a line. An image that lacks a usable caption in one of the
    languages is set aside and counted: all languages are measured on the same images. Source: Nie
    et al. 2024 (1-to-K contrastive learning, arXiv 2406.18254), the metric MRV; the code that they
    published averages the standard deviation in place of the variance.
    """

    kind: Literal["languages"]
    path: Annotated[str, Address] = Field(
        description="The folder of the set: a local path or an fsspec URL."
    )
    split: str = "test"
    languages: tuple[Language, ...] = Field(
        default=(),
        max_length=1_000,
        description="Languages that are measured; by default those of the set's first image.",
    )

    def open(self, made: Path, decode: Decode) -> EvaluationSet:  # noqa: ARG002 - of all kinds
        """The set in the folder."""
        from recap_assets.evaluation.kinds.languages.sets import open_languages

        return open_languages(self.path, self.split, self.languages, decode)

    @property
    def place(self) -> str:
        """The folder."""
        return self.path

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """A variance has no upper bound."""
        return {f"{side}_mean_rank_variance": (0.0, inf) for side in ("image", "text")}

    @property
    def passes_images_on(self) -> bool:
        """It does."""
        return True

    def versions(self, name: str) -> Iterator[str]:
        """The shards."""
        from recap_assets.evaluation.versions import set_versions

        yield from set_versions(name, self.path, self.split)
