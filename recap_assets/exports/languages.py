"""Which languages the texts of a mix are in, where a set had them measured."""

from collections.abc import Mapping

import polars as pl

from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.sets import TEXT_LANGUAGES
from recap_assets.graph.project import Project
from recap_assets.sets.assets import languages_asked

LEAST_SHARE = 0.01
"""A language of fewer of the measured texts is left out: identifiers err on short texts."""

_TODAY = {"in": "id", "iw": "he", "ji": "yi", "jw": "jv"}
"""Codes that ISO 639 withdrew and CLD3 still gives, and what they are now."""
_NONE = ("", "und", "unknown")


def identifiers_of(project: Project, mix: str) -> Mapping[str, str]:
    """By source of a mix's texts the identifier that measures it; the first where several do."""
    experiment = project.experiment
    used = experiment.reads(experiment.mixes[mix]).sources
    asked: dict[str, str] = {}
    for identifier, source in languages_asked(experiment):
        if source in used:
            asked.setdefault(source, identifier)
    return asked


def languages_of(project: Project, mix: str) -> tuple[str, ...]:
    """ISO 639 codes of the languages that a mix's texts are in, the one of most texts first.

    None where nothing was measured. An image's text counts as its source's first candidate does,
    which is the one that is measured.
    """
    tables = project.workspace.tables
    if tables.version(TEXT_LANGUAGES) is None:
        return ()
    pairs = tables.scan(CURATED_MIXES, mix=mix).select("uid", "source")
    counted = [
        pairs.filter(pl.col("source") == source)
        .join(tables.scan(TEXT_LANGUAGES, identifier=identifier, source=source), on="uid")
        .group_by("language")
        .len()
        .collect()
        for source, identifier in identifiers_of(project, mix).items()
    ]
    return _most_first(pl.concat(counted)) if counted else ()


def _most_first(counted: pl.DataFrame) -> tuple[str, ...]:
    code = pl.col("language").str.split("-").list.first()
    found = (
        counted.select(code.replace(_TODAY), "len")
        .filter(~pl.col("language").is_in(_NONE))
        .group_by("language")
        .agg(pl.col("len").sum())
        .sort("len", "language", descending=[True, False])
    )
    least = LEAST_SHARE * int(found["len"].sum())
    return tuple(found.filter(pl.col("len") >= least)["language"])
