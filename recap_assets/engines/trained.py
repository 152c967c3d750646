"""CLIPs that the training asset saved, and the image size that a tower takes.

What is open_clip's is imported where it is needed: that takes longer than all else of a small
model.
"""

from pathlib import Path

from recap_assets.engines.model_folders.configs import OPEN_CLIP_CONFIG
from recap_assets.engines.protocols import Scorer
from recap_assets.engines.small.loading import load_small_clip
from recap_assets.specs.models import SmallTower, Tower


def image_side(tower: Tower) -> int:
    """Side of the square images that the tower is trained on, in pixels.

    Raises:
        ModelFileError: open_clip knows no such model, or its config is damaged.
        ValueError: It takes no square images.
    """
    if isinstance(tower, SmallTower):
        return tower.image_size
    from recap_assets.engines.open_clip.models import open_clip_config  # noqa: PLC0415 - see above

    side = open_clip_config(tower.name)["vision_cfg"].get("image_size", 224)
    if not isinstance(side, int):
        msg = f"open_clip's {tower.name} takes images of {side}, which are not square"
        raise ValueError(msg)
    return side


def load_trained_clip(directory: Path, batch_size: int) -> Scorer:
    """A CLIP that was trained here, of either kind of tower.

    Raises:
        ModelFileError: A file of it is missing or damaged.
    """
    if (directory / OPEN_CLIP_CONFIG).exists():
        from recap_assets.engines.open_clip.scorer import (  # noqa: PLC0415 - see above
            load_open_clip_scorer,
        )

        return load_open_clip_scorer(f"local-dir:{directory}", batch_size=batch_size)
    return load_small_clip(directory, batch_size)
