"""Which captioners are measured, and what was measured of them."""

import polars as pl

from recap_assets.artefacts.evaluation import CAPTION_METRICS
from recap_assets.captions.kind import Captioning
from recap_assets.graph.project import Project

NO_CAPTIONER = "its captions were not written here, so there is nobody to describe other images"
NO_TEXTS = "its prompt has texts of the pool in it, which the images of an evaluation set lack"
CIDER = "CIDEr"


def measured_sources(project: Project) -> tuple[str, ...]:
    """The sources that are measured: those with a captioner, where the experiment asks for it."""
    if project.experiment.evaluation.captions is None:
        return ()
    sources = project.experiment.sources.items()
    return tuple(n for n, spec in sources if isinstance(spec, Captioning) and not spec.reads)


def skipped_sources(project: Project) -> dict[str, str]:
    """Why a declared source is not measured."""
    measured = measured_sources(project)
    sources = project.experiment.sources.items()
    return {
        name: NO_TEXTS if isinstance(spec, Captioning) else NO_CAPTIONER
        for name, spec in sources
        if name not in measured
    }


def reference_metrics(project: Project) -> pl.DataFrame | None:
    """CIDEr of each measured source on the first set, and the mix trained on its captions alone.

    Returns:
        Columns source, mix, value; only sources that have such a mix. None where no source is
        measured.
    """
    spec = project.experiment.evaluation.captions
    if spec is None:
        return None
    alone = mixes_of_one_source(project)
    values = project.workspace.tables.read(CAPTION_METRICS).filter(
        (pl.col("task") == spec.sets[0])
        & (pl.col("metric") == CIDER)
        & pl.col("source").is_in(list(alone))
        & pl.col("source").is_in(measured_sources(project))
    )
    return values.select(
        "source", mix=pl.col("source").replace_strict(alone, default=None), value="value"
    )


def mixes_of_one_source(project: Project) -> dict[str, str]:
    """For each source the mix of its captions of all images, without any condition."""
    found: dict[str, str] = {}
    for name, mix in project.experiment.mixes.items():
        if len(mix.rules) == 1 and mix.rules[0].where is None and mix.within is None:
            source = mix.rules[0].use.plain_source
            if source is not None:
                found.setdefault(source, name)
    return found
