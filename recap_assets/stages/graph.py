"""The graph of an experiment, all stages together."""

from dataclasses import replace

from recap_assets.engines.threads import fixed_threads, machine_facts
from recap_assets.orchestration.graph import Graph, Node, Outcome, Step
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

TORCH = "pytorch"
"""The kind of the nodes that compute with torch."""

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
    nodes = [_on_fixed_threads(node) for stage in STAGES for node in stage.nodes(setting)]
    seeds = [str(seed) for seed in setting.experiment.training.seeds]
    graph = Graph(
        nodes,
        lambda kind: list(setting.partitions) if kind == "pool" else seeds,
        look=lambda: TablesLook(setting.workspace.tables),
        leaving=lambda: leaving(setting, graph),
        unfinished=setting.workspace.claims.unfinished,
    )
    return graph


def _on_fixed_threads(node: Node) -> Node:
    """The node, and where it computes with torch: by the machine's threads, and told with it."""
    if TORCH not in node.kinds:
        return node

    def compute(step: Step) -> Outcome:
        with fixed_threads():
            return replace(node.compute(step), machine=machine_facts())

    return replace(node, compute=compute)
