"""Scorers and language identifiers by their spec; torch is imported on use."""

from pathlib import Path

from recap_assets.engines.errors import INSTALL_FILTERS, explain_loading
from recap_assets.engines.model_folders.children import children_ready
from recap_assets.engines.protocols import LanguageIdentifier, Scorer
from recap_assets.specs.scorers import EmbeddedScorer
from recap_assets.specs.scorers import Scorer as ScorerSpec
from recap_assets.specs.sets import Cld3Identifier, Identifier


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


def load_identifier(identifier: Identifier) -> LanguageIdentifier:
    """The language identifier that a spec names.

    Raises:
        ModelFileError: The model or its library is missing, damaged or of another kind.
    """
    if isinstance(identifier, Cld3Identifier):
        with explain_loading("CLD3", INSTALL_FILTERS):
            from recap_assets.sets.languages.cld3 import Cld3

        return Cld3(identifier)
    with explain_loading("fastText", INSTALL_FILTERS):
        from recap_assets.sets.languages.fast_text import load_fast_text

    return load_fast_text(identifier)
