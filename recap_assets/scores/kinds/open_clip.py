"""CLIPs of open_clip."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from recap_assets.engines.protocols import Places, Scorer
from recap_assets.scores.kind import ByEmbeddings
from recap_assets.specs.fields import LocalDir, LocalModel
from recap_assets.specs.running import Precision, RunHere


class OpenClipScorer(RunHere, ByEmbeddings):
    """A CLIP of open_clip by name and tag, or from a local checkpoint."""

    example = """\
l14:
  kind: open_clip
  model: ViT-L-14
  pretrained: openai
  pool_scores: clip_l14_similarity_score       # optional: DataComp's own scores and embeddings
  pool_embeddings: l14_img
"""

    kind: Literal["open_clip"]
    model: Annotated[str, LocalDir] = Field(
        description="open_clip's model name (ViT-L-14), or local-dir:FOLDER."
    )
    pretrained: Annotated[str | None, LocalModel] = Field(
        default=None, description="open_clip's tag, or a local safetensors file."
    )
    precision: Precision = "float32"
    pool_scores: str | None = Field(
        default=None,
        description="Column of the pool's metadata that holds the raw text's score "
        "(clip_l14_similarity_score); used instead of computing it.",
    )
    pool_embeddings: str | None = Field(
        default=None,
        description="Key of the metadata's npz files that holds image embeddings (l14_img); "
        "used instead of computing them.",
    )

    @property
    def seconds_per_image(self) -> float:
        """By the name of the model."""
        from recap_assets.engines.guesses import image_tower, seconds_of

        return super().seconds_per_image + seconds_of(image_tower(self.model), self.device)

    def open(self, places: Places) -> Scorer:  # noqa: ARG002 - of all kinds
        """The CLIP."""
        from recap_assets.engines.model_folders.children import children_ready

        with children_ready(1):
            from recap_assets.engines.open_clip.scorer import load_open_clip_scorer

            return load_open_clip_scorer(
                self.model,
                self.pretrained,
                precision=self.precision,
                batch_size=self.batch_size,
                device=self.device,
            )

    @property
    def called(self) -> str:
        """The model's name or folder."""
        return self.model

    @property
    def given_scores(self) -> str | None:
        """The column."""
        return self.pool_scores

    @property
    def given_embeddings(self) -> str | None:
        """The key."""
        return self.pool_embeddings

    def metadata_columns(self) -> Iterator[tuple[str, str]]:
        """The column of scores."""
        if self.pool_scores:
            yield "pool_scores", self.pool_scores
