"""Captioners and scorers by their spec. Torch is imported on use: the UI starts without it."""

from pathlib import Path

from recap_assets.engines.errors import INSTALL_FILTERS, explain_loading
from recap_assets.engines.model_folders.children import children_ready
from recap_assets.engines.protocols import Captioner, LanguageIdentifier, Scorer
from recap_assets.specs.scorers import EmbeddedScorer
from recap_assets.specs.scorers import Scorer as ScorerSpec
from recap_assets.specs.sets import Cld3Identifier, Identifier
from recap_assets.specs.sources import (
    CaptionerSource,
    EmbeddedSource,
    OpenAISource,
    TransformersSource,
)


def load_captioner(
    source: CaptionerSource,
    models: Path,
    replies: Path | None = None,
    batch_sizes: Path | None = None,
) -> Captioner:
    """The captioner that a source names.

    Args:
        source: The source of the experiment.
        models: Folder of the models trained here, one folder each.
        replies: File of what servers replied; None keeps none.
        batch_sizes: File of batch sizes that were found by trying; None keeps none.

    Raises:
        ModelFileError: The model is missing, damaged or of another kind.
        DeviceError: This machine has no such device.
        CaptionServerError: A server's key is missing, or the file of replies cannot be used.
    """
    if isinstance(source, OpenAISource):
        from recap_assets.captions.kinds.openai.engine import load_server_captioner

        return load_server_captioner(source, replies)
    if isinstance(source, EmbeddedSource):
        from recap_assets.engines.small.loading import load_small_captioner

        return load_small_captioner(
            models / source.model,
            source.decoding,
            source.candidates,
            source.batch_size,
            source.device,
        )
    if isinstance(source, TransformersSource):
        with children_ready():
            from recap_assets.captions.kinds.transformers.engine import load_transformers_captioner

            return load_transformers_captioner(source, batch_sizes)
    from recap_assets.captions.kinds.open_clip.engine import load_coca_captioner

    return load_coca_captioner(source, batch_sizes)


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
