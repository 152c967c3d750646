"""Captions against hard negatives."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from recap_assets.evalsets.sets import EvaluationSet
from recap_assets.evalsets.webdatasets import Decode
from recap_assets.evaluation.kind import Existing
from recap_assets.specs.fields import Address


class CompositionTask(Existing):
    """Hard negatives: does each true caption of an image beat each false one?

    A question is an image with captions that are true and captions of nearly the same words that
    are not. `image_to_text` is the share of the questions whose true captions all score more than
    every false one; with several true captions (SugarCrepe++), `text_to_text` is the share where
    any two of them are closer to each other than either is to a false one, under the text tower
    alone. Both are the mean over categories, which are given beside (`image_to_text:swap_att`);
    ties miss. `chance` is what guessing gives for `image_to_text`: with p true captions of n one in
    n over p. Main metric: `image_to_text`.

    `path` holds `SPLIT/N.tar` and `SPLIT/nshards.txt` with `KEY.jpg` and `KEY.json`, an object
    `{"positives": [...], "negatives": [...], "category": "..."}`; or, where `images` is given, the
    published lists of SugarCrepe or SugarCrepe++ (`swap_att.json`, ...: `filename`, `caption`,
    `caption2`, `negative_caption`), whose files' names are the categories.

    A question without a usable image, or without a true and a false caption, is set aside and
    counted. Source: Hsieh et al. 2023 (SugarCrepe) section 5; Dumpala et al. 2024 (SugarCrepe++)
    section 3.
    """

    kind: Literal["composition"]
    path: Annotated[str, Address] = Field(
        description="The folder of the set: a local path or an fsspec URL."
    )
    split: str = "test"
    images: Annotated[str | None, Address] = Field(
        default=None,
        description="Folder of the images that published lists name; by default they are in tars.",
    )

    def open(self, made: Path, decode: Decode) -> EvaluationSet:  # noqa: ARG002 - of all kinds
        """The set in the folder."""
        from recap_assets.evaluation.kinds.composition.sets import open_composition

        return open_composition(self.path, self.split, self.images, decode)

    @property
    def place(self) -> str:
        """The folder."""
        return self.path

    @property
    def passes_images_on(self) -> bool:
        """It does."""
        return True

    def versions(self, name: str) -> Iterator[str]:
        """The shards; or the lists, and the images that are beside each other."""
        from recap_assets.evaluation.versions import listed_versions, set_versions

        if self.images is None:
            yield from set_versions(name, self.path, self.split)
        else:
            yield from listed_versions(name, self.path, self.images)
