"""The trainee of a tower, of either kind."""

from collections.abc import Sequence

from recap_assets.specs.models import SmallTower, Tower
from recap_assets.training.engine.small_trainee import SmallTrainee
from recap_assets.training.engine.trainee import Trainee


def make_trainee(tower: Tower, texts: Sequence[str], side: tuple[int, int]) -> Trainee:
    """The model of `tower`, with fresh weights unless it names pretrained ones.

    Args:
        tower: The architecture.
        texts: What a tokenizer learns from where the tower brings none.
        side: Height and width of the training images.

    Raises:
        ValueError: The images are of another size than the tower takes.
        ModelFileError: The pretrained weights are no safetensors file.
    """
    if isinstance(tower, SmallTower):
        return SmallTrainee(tower, texts, side)
    # Imported where it is needed: open_clip takes seconds to import.
    from recap_assets.training.engine.open_clip_trainee import OpenClipTrainee

    return OpenClipTrainee(tower, side)
