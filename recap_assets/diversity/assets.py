"""Diversity of each caption source: mergeable statistics per partition, and their summary."""

import polars as pl

from recap_assets.artefacts import (
    DIVERSITY_STATISTICS,
    DIVERSITY_SUMMARY,
    first_texts,
    image_markdown,
    preview_markdown,
)
from recap_assets.diversity.lexicon import ENGLISH, Lexicon, english, lexicon_hash, load_lexicon
from recap_assets.diversity.statistics import partition_statistics, summarise
from recap_assets.diversity.words import TOKENISER
from recap_assets.graph.content import StoredRows
from recap_assets.graph.node import Dependency, Node, Rows, Step
from recap_assets.graph.project import Project
from recap_assets.graph.texts import first_texts_read
from recap_assets.plots.diversity import diversity_bars, rarefaction_curves
from recap_assets.plots.rendering import chart_png
from recap_assets.specs.base import deciding
from recap_assets.world.writing import nouns as embedded_nouns

VERSION = 2
STAGE = "diversity"
SECONDS = 0.3
EMBEDDED_LEXICON = "embedded"


def nodes(project: Project) -> list[Node]:
    """Statistics for each source, and one summary of them all."""
    sources = project.experiment.source_names
    return [*(_statistics_node(project, source) for source in sources), _summary_node(project)]


def nouns_of(project: Project) -> Lexicon:
    """The lexicon that the experiment names; by default its pool's."""
    drawn = project.experiment.pool.is_drawn
    name = project.experiment.diversity.nouns or (EMBEDDED_LEXICON if drawn else ENGLISH)
    if name == EMBEDDED_LEXICON:
        return Lexicon(EMBEDDED_LEXICON, frozenset(embedded_nouns()))
    return english() if name == ENGLISH else load_lexicon(name)


def _decides(project: Project, *sources: str) -> str:
    return deciding(
        tokeniser=TOKENISER,
        lexicon=lexicon_hash(nouns_of(project)),
        diversity=project.experiment.diversity.decides("nouns"),
        sources=sorted(sources),
    )


def _statistics_node(project: Project, source: str) -> Node:
    return Node(
        key=DIVERSITY_STATISTICS.key(source),
        stage=STAGE,
        dimension="pool",
        dependencies=(first_texts_read(source),),
        implementation=VERSION,
        decides=_decides(project, source),
        compute=lambda step: measure_partition(project, source, step),
        description=f"Mergeable counts and sketches of the captions of {source}: words, trigrams, "
        "nouns, lengths.",
        content=StoredRows(project.workspace.tables, DIVERSITY_STATISTICS, {"source": source}),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
    )


def measure_partition(project: Project, source: str, step: Step) -> Rows:
    """Statistics of one source's captions in one pool partition."""
    texts = first_texts(project.workspace.tables, source, step.partition)
    row = partition_statistics(texts, project.experiment.diversity, nouns_of(project))
    counts = row.select("n_captions", "n_words", "n_nondescript").row(0, named=True)
    return Rows(row, facts=counts)


def _summary_node(project: Project) -> Node:
    sources = project.experiment.source_names
    return Node(
        key=DIVERSITY_SUMMARY.key(),
        stage=STAGE,
        dimension="none",
        dependencies=tuple(
            Dependency(DIVERSITY_STATISTICS.key(source), "all") for source in sources
        ),
        implementation=VERSION,
        decides=_decides(project, *sources),
        compute=lambda _step: summarise_sources(project),
        description="Diversity of every source side by side, exact on samples of one size.",
        content=StoredRows(project.workspace.tables, DIVERSITY_SUMMARY),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
    )


def summarise_sources(project: Project) -> Rows:
    """Merge all partitions' statistics and compare the sources."""
    sources = project.experiment.source_names
    statistics = project.workspace.tables.read(DIVERSITY_STATISTICS).filter(
        pl.col("source").is_in(sources) & pl.col("partition").is_in(list(project.partitions))
    )
    lexicon = nouns_of(project)
    summary = summarise(statistics, project.experiment.diversity, lexicon)
    shown = summary.drop("rarefaction")
    return Rows(
        summary,
        facts={"lexicon": lexicon.label},
        markdown={
            "summary": preview_markdown(shown, rows=20),
            "diversity": image_markdown(chart_png(diversity_bars(summary, sources))),
            "rarefaction": image_markdown(chart_png(rarefaction_curves(summary, sources))),
        },
    )
