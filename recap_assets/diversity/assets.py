"""Diversity of each caption source: mergeable statistics per partition, and their summary."""

import polars as pl

from recap_assets.artefacts import (
    DIVERSITY_STATISTICS,
    DIVERSITY_SUMMARY,
    first_texts,
    image_markdown,
    preview_markdown,
    texts_key,
)
from recap_assets.diversity.lexicon import lexicon_hash, load_nouns
from recap_assets.diversity.statistics import partition_statistics, summarise
from recap_assets.diversity.words import TOKENISER
from recap_assets.graph.content import StoredRows
from recap_assets.graph.node import Dependency, Node, Rows, Step
from recap_assets.graph.project import Setting
from recap_assets.plots.diversity import diversity_bars, rarefaction_curves
from recap_assets.plots.rendering import chart_png
from recap_assets.specs.base import deciding
from recap_assets.world.writing import nouns as embedded_nouns

VERSION = 2
STAGE = "diversity"
SECONDS = 0.3
EMBEDDED_LEXICON = "embedded"


def nodes(setting: Setting) -> list[Node]:
    """Statistics for each source, and one summary of them all."""
    sources = setting.experiment.source_names
    return [*(_statistics_node(setting, source) for source in sources), _summary_node(setting)]


def nouns_of(setting: Setting) -> frozenset[str]:
    """The lexicon that the experiment names."""
    path = setting.experiment.diversity.nouns
    return frozenset(embedded_nouns()) if path == EMBEDDED_LEXICON else load_nouns(path)


def _decides(setting: Setting, *sources: str) -> str:
    return deciding(
        tokeniser=TOKENISER,
        lexicon=lexicon_hash(nouns_of(setting)),
        diversity=setting.experiment.diversity.decides("nouns"),
        sources=sorted(sources),
    )


def _statistics_node(setting: Setting, source: str) -> Node:
    texts = texts_key(source)
    return Node(
        key=DIVERSITY_STATISTICS.key(source),
        stage=STAGE,
        dimension="pool",
        dependencies=(Dependency(texts, "same"),),
        implementation=VERSION,
        decides=_decides(setting, source),
        compute=lambda step: measure_partition(setting, source, step),
        description=f"Mergeable counts and sketches of the captions of {source}: words, trigrams, "
        "nouns, lengths.",
        content=StoredRows(setting.workspace.tables, DIVERSITY_STATISTICS, {"source": source}),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
    )


def measure_partition(setting: Setting, source: str, step: Step) -> Rows:
    """Statistics of one source's captions in one pool partition."""
    texts = first_texts(setting.workspace.tables, source, step.partition)
    row = partition_statistics(texts, setting.experiment.diversity, nouns_of(setting))
    counts = row.select("n_captions", "n_words", "n_nondescript").row(0, named=True)
    return Rows(row, facts=counts)


def _summary_node(setting: Setting) -> Node:
    sources = setting.experiment.source_names
    return Node(
        key=DIVERSITY_SUMMARY.key(),
        stage=STAGE,
        dimension="none",
        dependencies=tuple(
            Dependency(DIVERSITY_STATISTICS.key(source), "all") for source in sources
        ),
        implementation=VERSION,
        decides=_decides(setting, *sources),
        compute=lambda _step: summarise_sources(setting),
        description="Diversity of every source side by side, exact on samples of one size.",
        content=StoredRows(setting.workspace.tables, DIVERSITY_SUMMARY),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
    )


def summarise_sources(setting: Setting) -> Rows:
    """Merge all partitions' statistics and compare the sources."""
    sources = setting.experiment.source_names
    statistics = setting.workspace.tables.read(DIVERSITY_STATISTICS).filter(
        pl.col("source").is_in(sources) & pl.col("partition").is_in(list(setting.partitions))
    )
    name = setting.experiment.diversity.nouns
    summary = summarise(statistics, setting.experiment.diversity, nouns_of(setting), name)
    shown = summary.drop("rarefaction")
    return Rows(
        summary,
        markdown={
            "summary": preview_markdown(shown, rows=20),
            "diversity": image_markdown(chart_png(diversity_bars(summary, sources))),
            "rarefaction": image_markdown(chart_png(rarefaction_curves(summary, sources))),
        },
    )
