"""Named sets of uids, for `in_set` in mixes: a file, or one of DataComp's filters, computed.

The numbers that are defaults here are those of DataComp's `baselines.py`. What is cut off by score
alone needs no set: `top` and `at_least` of a mix are its clip_score filter, `all` its intersection.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from recap_assets.specs.base import Name, Spec
from recap_assets.specs.fields import Content

_RAW = "raw"  # experiment.RAW, which imports this module

LanguageCode = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z]+)?$")]


class UidFile(Spec):
    """A named set of uids: DataComp's subset file (`.npy`, dtype u8,u8) or one hex uid a line."""

    kind: Literal["file"] = "file"
    uids: Annotated[str, Content()] = Field(description="Path of the file.")

    @field_validator("uids")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if not value.endswith((".npy", ".txt")):
            msg = "a set of uids is a .npy subset file or a .txt with one uid a line"
            raise ValueError(msg)
        return value


class _TextRule(Spec):
    source: Name = Field(
        default=_RAW,
        description="The caption source whose text is judged (its first usable candidate); "
        "DataComp judges the raw text.",
    )
    language: LanguageCode | None = Field(
        default="en", description="The text's language by the identifier; null for any."
    )


class NoFilter(Spec):
    """Every usable sample."""

    kind: Literal["no_filter"]


class BasicFilter(_TextRule):
    """DataComp's basic_filter: English, not too short, neither small nor elongated."""

    kind: Literal["basic"]
    identifier: Name = Field(default="fasttext", description="Which tells the language.")
    more_than_words: int = Field(
        default=2, ge=0, description="Words (split at white space) that are too few."
    )
    more_than_characters: int = Field(
        default=5, ge=0, description="Characters of the text that are too few."
    )
    min_side: int = Field(default=200, ge=0, description="Of the original image, in pixels.")
    max_aspect: float = Field(default=3.0, ge=1, description="Longer side / shorter side.")


class Laion2b(_TextRule):
    """DataComp's laion2b: LAION-2B's rule, a score of CLIP ViT-B/32 and English by CLD3."""

    kind: Literal["laion2b"]
    identifier: Name = Field(default="cld3", description="Which tells the language.")
    threshold: float = Field(default=0.28, ge=-1, le=1, description="Smallest score, a cosine.")
    scorer: Name | None = Field(default=None, description="The scorer whose score of it counts.")
    pool_scores: str | None = Field(
        default=None,
        description="Instead of a scorer, the column of the pool's metadata that holds the score "
        "(clip_b32_similarity_score).",
    )

    @field_validator("pool_scores")
    @classmethod
    def _one_score(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "scorer" in info.data and (info.data["scorer"] is None) == (value is None):
            msg = "name either a `scorer` or a metadata column as `pool_scores`"
            raise ValueError(msg)
        source = info.data.get("source", _RAW)
        if value is not None and source != _RAW:
            msg = f"the metadata's scores are those of the raw text, not of {source!r}"
            raise ValueError(msg)
        return value


class TextBased(_TextRule):
    """DataComp's text_based: English, with a word that names a class of ImageNet-21k."""

    kind: Literal["text_based"]
    identifier: Name = Field(default="fasttext", description="Which tells the language.")
    wordnet: Annotated[str, Content()] = Field(
        description="Folder of WordNet 3.0's index.* and *.exc files: its `dict`, or NLTK's "
        "`corpora/wordnet`."
    )
    synsets: Annotated[str, Content()] = Field(
        description="File of synset ids, one a line (n02084071): DataComp's "
        "imagenet21k_wordnet_ids.txt."
    )
    endings: Literal["repeated", "once"] = Field(
        default="repeated",
        description="How often a word loses an ending until WordNet has it: `repeated` as NLTK "
        "3.8 did, which DataComp used; `once` as NLTK does since 3.9.",
    )


class CaptionRule(_TextRule):
    """DataComp's caption filter of the image-based baseline."""

    identifier: Name = Field(default="fasttext", description="Which tells the language.")
    more_than_tokens: int = Field(
        default=1, ge=0, description="Tokens of fastText's tokeniser that are too few."
    )
    more_than_characters: int = Field(
        default=5, ge=0, description="Characters of the text that are too few."
    )


class TargetEmbeddings(Spec):
    """Image embeddings in files, by the scorer's model."""

    embeddings: Annotated[str, Content()] = Field(
        description="A .npy of shape (images, dimension), an .npz, or a folder of them."
    )
    key: str | None = Field(default=None, description="The array in an .npz; null for its only.")


class TargetImages(Spec):
    """Images in files, which the scorer embeds."""

    images: Annotated[str, Content()] = Field(
        description="Folder of image files, subfolders included."
    )


class TargetTask(Spec):
    """The images of an evaluation task, which the scorer embeds."""

    task: Name = Field(description="A task of this experiment.")


def _target_tag(value: Any) -> str | None:  # noqa: ANN401 - pydantic hands over whatever was written
    for key in ("embeddings", "images", "task"):
        if key in value if isinstance(value, dict) else hasattr(value, key):
            return key
    return None


Target = Annotated[
    Annotated[TargetEmbeddings, Tag("embeddings")]
    | Annotated[TargetImages, Tag("images")]
    | Annotated[TargetTask, Tag("task")],
    Discriminator(
        _target_tag,
        custom_error_type="target",
        custom_error_message="a target names its `embeddings`, its `images` or a `task`",
    ),
]


class ImageBased(Spec):
    """DataComp's image_based: in a cluster that an image of the target set is nearest to."""

    kind: Literal["image_based"]
    scorer: Name = Field(description="Whose image embeddings are clustered.")
    target: Target = Field(description="The images to be near to: DataComp's are ImageNet-1k's.")
    clusters: int = Field(default=100_000, gt=0, le=10_000_000, description="Clusters of k-means.")
    iterations: int = Field(default=20, gt=0, le=10_000, description="Iterations of k-means.")
    sample: float = Field(
        default=1.0, gt=0, le=1, description="Share of the pool that k-means learns from."
    )
    seed: int = Field(default=0, description="Of k-means and of its sample.")
    centroids: Annotated[str | None, Content()] = Field(
        default=None,
        description="A .npy of centroids, shape (clusters, dimension), instead of k-means.",
    )
    captions: CaptionRule | None = Field(
        default=CaptionRule(),
        description="What the text must be besides, for k-means as well; null for no such rule.",
    )

    @field_validator("centroids")
    @classmethod
    def _known_format(cls, value: str | None) -> str | None:
        if value is not None and not value.endswith(".npy"):
            msg = "centroids are a .npy file; a pickle (.pt) is not opened"
            raise ValueError(msg)
        return value


class Unique(Spec):
    """One sample of each group that shows the same image."""

    kind: Literal["unique"]
    by: Literal["sha256", "perceptual", "embedding"] = Field(
        description="Equal bytes, nearly equal 64-bit DCT hashes, or nearly equal embeddings."
    )
    bits: int = Field(
        default=6, ge=0, le=15, description="perceptual: bits in which the hashes may differ."
    )
    scorer: Name | None = Field(
        default=None, description="embedding: whose image embeddings are compared."
    )
    cosine: float = Field(
        default=0.95, ge=-1, le=1, description="embedding: least cosine of a pair that is alike."
    )
    clusters: int = Field(
        default=1,
        gt=0,
        le=10_000_000,
        description="embedding: k-means clusters within which images are compared, as SemDeDup "
        "does; 1 compares every pair.",
    )
    seed: int = Field(default=0, description="Of k-means.")
    keep: Literal["largest", "first"] = Field(
        default="largest",
        description="Which one of a group stays: the image with the most pixels (the original's "
        "where they are known), or the one with the lowest uid, which also breaks ties.",
    )

    @model_validator(mode="after")
    def _has_scorer(self) -> Self:
        if (self.by == "embedding") != (self.scorer is not None):
            msg = "by: embedding names a `scorer`, and nothing else does"
            raise ValueError(msg)
        return self


class ImageScoreRule(Spec):
    """Images by a score of their own: aesthetic enough, safe, without a watermark."""

    kind: Literal["image_score"]
    scorer: Name = Field(description="One of `image_scorers`.")
    at_least: float | None = Field(default=None, description="Smallest score of a member.")
    at_most: float | None = Field(default=None, description="Greatest score of a member.")

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.at_least is None and self.at_most is None:
            msg = "name `at_least`, `at_most` or both"
            raise ValueError(msg)
        return self


_KINDS = (
    "file", "no_filter", "basic", "laion2b", "text_based", "image_based", "unique", "image_score",
)  # fmt: skip


def _set_tag(value: Any) -> str | None:  # noqa: ANN401 - pydantic hands over whatever was written
    if isinstance(value, dict):
        # The form of a file came first, and needs no kind.
        kind: object = value.get("kind", "file" if "uids" in value else None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    else:
        kind = getattr(value, "kind", None)
    return kind if isinstance(kind, str) and kind in _KINDS else None


ComputedSet = NoFilter | BasicFilter | Laion2b | TextBased | ImageBased | Unique | ImageScoreRule

UidSet = Annotated[
    Annotated[UidFile, Tag("file")]
    | Annotated[NoFilter, Tag("no_filter")]
    | Annotated[BasicFilter, Tag("basic")]
    | Annotated[Laion2b, Tag("laion2b")]
    | Annotated[TextBased, Tag("text_based")]
    | Annotated[ImageBased, Tag("image_based")]
    | Annotated[Unique, Tag("unique")]
    | Annotated[ImageScoreRule, Tag("image_score")],
    Discriminator(
        _set_tag,
        custom_error_type="uid_set",
        custom_error_message=f"a set is `{{uids: file}}` or has a `kind` of {', '.join(_KINDS)}",
    ),
]


def text_rule(spec: UidSet) -> BasicFilter | Laion2b | TextBased | CaptionRule | None:
    """The part of a set that judges a text; None where none does."""
    match spec:
        case BasicFilter() | Laion2b() | TextBased():
            return spec
        case ImageBased():
            return spec.captions
        case _:
            return None
