"""Retrieval by an image and a condition."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from recap_assets.evalsets.sets import EvaluationSet
from recap_assets.evalsets.webdatasets import Decode
from recap_assets.evaluation.kind import Existing
from recap_assets.specs.fields import Address


class ConditionalTask(Existing):
    """Composed retrieval: a reference image and a condition in words, the target in a gallery.

    The query is what `combine` makes of the two unit embeddings: `sum`, their sum at unit length
    (GeneCIS' image + text baseline), `image` or `text` alone. `recall@k` is the share of the
    queries with a target among the k best of their gallery, the mean over categories where there
    are several (`recall@1:focus_object` beside it); ties rank wrong images first.
    `image_alone_recall@1` and `text_alone_recall@1` say what one half gives, `chance` what guessing
    does. Main metric: `recall@1`.

    `path` holds `SPLIT/N.tar` and `SPLIT/nshards.txt` with images `KEY.jpg`, and `queries.jsonl`,
    an object a line: `reference` and `target` (keys of images; several targets as a list),
    `condition`, and optionally `gallery` (keys, to which targets are added; by default every image
    but the reference) and `category`. Or, where `images` is given, GeneCIS' published lists
    (`focus_attribute.json`, ...), with images of COCO (`val_image_id`) or Visual Genome
    (`image_id`, of which the dilated box is cut out and padded to a square).

    A query whose images cannot all be used is set aside and counted. Source: Vaze et al. 2023
    (GeneCIS) sections 3 and 5.
    """

    kind: Literal["conditional"]
    path: Annotated[str, Address] = Field(
        description="The folder of the set: a local path or an fsspec URL."
    )
    split: str = "test"
    images: Annotated[str | None, Address] = Field(
        default=None,
        description="Folder of the images that published lists name; by default they are in tars.",
    )
    combine: Literal["sum", "image", "text"] = Field(
        default="sum", description="What a query is: the sum of both embeddings, or one of them."
    )
    k: tuple[Annotated[int, Field(gt=0, le=10_000)], ...] = Field(
        default=(1, 2, 3), min_length=1, description="The k of recall@k, beside 1."
    )

    def open(self, made: Path, decode: Decode) -> EvaluationSet:  # noqa: ARG002 - of all kinds
        """The set in the folder."""
        from recap_assets.evaluation.kinds.conditional.reading import open_conditional
        from recap_assets.evaluation.kinds.conditional.sets import ConditionalSet

        found = open_conditional(self.path, self.split, self.images, decode)
        return ConditionalSet(self.path, found, self.combine, tuple(sorted({1, *self.k})))

    @property
    def place(self) -> str:
        """The folder."""
        return self.path

    @property
    def passes_images_on(self) -> bool:
        """Not those of published lists, of which boxes are cut out."""
        return self.images is None

    def versions(self, name: str) -> Iterator[str]:
        """The shards and the queries; or the lists, and the images."""
        from recap_assets.evaluation.versions import file_versions, listed_versions, set_versions

        if self.images is not None:
            yield from listed_versions(name, self.path, self.images)
            return
        yield from file_versions(name, f"{self.path.rstrip('/')}/queries.jsonl")
        yield from set_versions(name, self.path, self.split)
