"""CLIPs that the training asset saved, and the image size that a tower takes."""

from pathlib import Path

from recap_assets.engines.model_folders.open_clip_configs import CONFIG
from recap_assets.engines.open_clip.models import open_clip_config
from recap_assets.engines.protocols import Scorer
from recap_assets.engines.small.loading import load_small_clip
from recap_assets.scores.kinds.open_clip.engine import load_open_clip_scorer
from recap_assets.specs.models import SmallTower, Tower
from recap_assets.specs.scorers import OpenClipScorer


def image_side(tower: Tower) -> int:
    """Side of the square images that the tower is trained on, in pixels.

    Raises:
        ModelFileError: open_clip knows no such model, or its config is damaged.
        ValueError: It takes no square images.
    """
    if isinstance(tower, SmallTower):
        return tower.image_size
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
    if (directory / CONFIG).exists():
        model = f"local-dir:{directory}"
        return load_open_clip_scorer(
            OpenClipScorer(kind="open_clip", model=model, batch_size=batch_size)
        )
    return load_small_clip(directory, batch_size)
