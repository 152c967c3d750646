"""Target images, for kinds of them: sets by embedding and scorers of images are near to them."""

from recap_assets.scores.targets import Batch, Embedded, ImagesTarget, Target, TargetError

__all__ = ["Batch", "Embedded", "ImagesTarget", "Target", "TargetError"]
