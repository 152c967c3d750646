"""Models loaded once in a process and kept for the partitions that follow."""

from functools import lru_cache
from pathlib import Path

from recap_assets.engines.protocols import Scorer
from recap_assets.graph.loading import load_scorer
from recap_assets.graph.outside import contents_version
from recap_assets.graph.project import Setting
from recap_assets.specs.base import Spec
from recap_assets.specs.scorers import EmbeddedScorer
from recap_assets.specs.scorers import Scorer as ScorerSpec


def loaded_scorer(setting: Setting, spec: ScorerSpec) -> Scorer:
    """The model of a scorer; one at a time stays in memory."""
    trained = setting.workspace.model(spec.model) if isinstance(spec, EmbeddedScorer) else None
    return _scorer(spec, setting.workspace.models, stamp_of(setting, spec, trained))  # pyright: ignore[reportArgumentType] - specs are frozen, so hashable


@lru_cache(maxsize=1)
def _scorer(spec: ScorerSpec, models: Path, _stamp: str) -> Scorer:
    return load_scorer(spec, models)


def stamp_of(setting: Setting, spec: Spec, trained: Path | None) -> str:
    """What changes when the model of a spec does, wherever it comes from."""
    # A model that was trained anew, or replaced, in the same folder must not come from memory.
    changed = trained.stat().st_mtime_ns if trained is not None and trained.exists() else 0
    return f"{changed} {contents_version(setting, spec)}"
