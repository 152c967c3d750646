"""CoCa of open_clip: what a user writes."""

from typing import Annotated, Literal

from pydantic import Field

from recap_assets.captions.kind import DecodedHere
from recap_assets.specs.fields import LocalDir, LocalModel
from recap_assets.specs.running import CaptionsAtOnce, Precision, images_at_once


class OpenClipSpec(DecodedHere):
    """CoCa from open_clip."""

    example = """\
coca: {kind: open_clip, model: coca_ViT-L-14, pretrained: mscoco_finetuned_laion2b_s13b_b90k}
"""

    kind: Literal["open_clip"]
    model: Annotated[str, LocalDir] = Field(
        description="coca_ViT-L-14, coca_ViT-B-32, or local-dir:FOLDER."
    )
    pretrained: Annotated[str | None, LocalModel] = Field(
        default=None, description="open_clip's tag, or a local safetensors file."
    )
    precision: Precision = "float32"
    batch_size: CaptionsAtOnce = 64

    @property
    def called(self) -> str:
        """The model's name or folder."""
        return self.model

    @property
    def at_once(self) -> int:
        """Images that are passed at once."""
        return images_at_once(self.batch_size)
