"""The graph of an experiment, all stages together."""

from recap_assets.orchestration.graph import Graph
from recap_assets.stages import (
    caption_metrics,
    captions,
    clusters,
    diversity,
    download,
    duplicates,
    evaluation,
    exports,
    image_scores,
    imported,
    languages,
    mixes,
    models,
    pool,
    report,
    reranked,
    scores,
    sets,
    training,
    training_pairs,
    training_shards,
    world,
)
from recap_assets.stages.leaving import leaving
from recap_assets.stages.setting import Setting
from recap_assets.stages.stored import TablesLook

STAGES = (
    world,
    download,
    pool,
    models,
    captions,
    imported,
    scores,
    image_scores,
    reranked,
    diversity,
    languages,
    clusters,
    duplicates,
    sets,
    mixes,
    training_pairs,
    exports,
    training_shards,
    training,
    evaluation,
    caption_metrics,
    report,
)


def build_graph(setting: Setting) -> Graph:
    """Every node of the experiment."""
    nodes = [node for stage in STAGES for node in stage.nodes(setting)]
    seeds = [str(seed) for seed in setting.experiment.training.seeds]
    graph = Graph(
        nodes,
        lambda kind: list(setting.partitions) if kind == "pool" else seeds,
        look=lambda: TablesLook(setting.workspace.tables),
        leaving=lambda: leaving(setting, graph),
        unfinished=setting.workspace.claims.unfinished,
    )
    return graph
