"""Kinds of another distribution for the length of a test, without installing anything."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from recap_assets.captions.kinds.regions import RegionsSource
from recap_assets.captions.kinds.rewrite import RewriteSource
from recap_assets.specs.evaluation import Evaluation
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.kinds import kinds_of

DISTRIBUTION = "recap-others"


@contextmanager
def registered(site: Path, family: str, *points: str) -> Iterator[None]:
    """Entry points (`word = module:class`) of a distribution `recap-others` 1.0.

    Args:
        site: An empty folder.
        family: What they are kinds of.
        points: The entry points.
    """
    info = site / "recap_others-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: 1.0\n")
    lines = "\n".join(points)
    (info / "entry_points.txt").write_text(f"[recap.{family}]\n{lines}\n")
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(site))
            _look_again()
            yield
    finally:
        _look_again()


def _look_again() -> None:
    kinds_of.cache_clear()
    # Of a launcher a field of its own names kinds.
    launchers = [kind.spec for kind in kinds_of("launchers").values() if kind.spec]
    for spec in (*launchers, RewriteSource, RegionsSource, Evaluation, Experiment):
        spec.model_rebuild(force=True)
