"""Scorers by their spec; torch is imported on use."""

from pathlib import Path

from recap_assets.engines.model_folders.children import children_ready
from recap_assets.engines.protocols import Scorer
from recap_assets.specs.scorers import EmbeddedScorer
from recap_assets.specs.scorers import Scorer as ScorerSpec


def load_scorer(scorer: ScorerSpec, models: Path) -> Scorer:
    """The scorer that a spec names.

    Args:
        scorer: The scorer of the experiment.
        models: Folder of the models trained here, one folder each.

    Raises:
        ModelFileError: The model is missing, damaged or of another kind.
        DeviceError: This machine has no such device.
    """
    if isinstance(scorer, EmbeddedScorer):
        from recap_assets.engines.small.loading import load_small_clip

        return load_small_clip(models / scorer.model, scorer.batch_size, scorer.device)
    with children_ready(1):
        from recap_assets.scores.kinds.open_clip.engine import load_open_clip_scorer

        return load_open_clip_scorer(scorer)
