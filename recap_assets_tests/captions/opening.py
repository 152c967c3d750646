"""Captioners opened without a platform around them."""

from dataclasses import dataclass
from pathlib import Path

from recap_assets.captions.kind import Captioning
from recap_assets.engines.protocols import Captioner


@dataclass(frozen=True)
class Kept:
    """What the platform would keep for a captioner."""

    models: Path
    replies: Path | None = None
    batch_sizes: Path | None = None


def load_captioner(source: Captioning, models: Path) -> Captioner:
    """The captioner of a source, with these models trained here."""
    return source.open(Kept(models))
