"""The graph of an experiment, all stages together."""

from dataclasses import replace

from recap_assets.assembly.leaving import leaving
from recap_assets.captions import assets as captions
from recap_assets.diversity import assets as diversity
from recap_assets.engines.gpus import gpus_here
from recap_assets.engines.threads import fixed_threads, gpu_facts, machine_facts
from recap_assets.evaluation import assets as evaluation
from recap_assets.evaluation.captions import assets as caption_metrics
from recap_assets.exports import assets as exports
from recap_assets.graph.building import provenance
from recap_assets.graph.content import TablesLook
from recap_assets.graph.kept_rows import UNKNOWN_GPU
from recap_assets.graph.node import Graph, Node, Outcome, Rows, Step
from recap_assets.graph.project import Project
from recap_assets.lineage.former import ReceiptsOfAll
from recap_assets.mixes import assets as mixes
from recap_assets.mixes import needed
from recap_assets.pool import assets as pool
from recap_assets.report import assets as report
from recap_assets.scores import assets as scores
from recap_assets.scores.of_images import assets as image_scores
from recap_assets.search import assets as search
from recap_assets.sets import assets as sets
from recap_assets.training import assets as training
from recap_assets.training import seen as training_pairs
from recap_assets.training.corpora import assets as corpora
from recap_assets.training.models import assets as models

TORCH = "pytorch"
"""The kind of the nodes that compute with torch."""

STAGES = (
    pool,
    corpora,
    models,
    captions,
    scores,
    image_scores,
    diversity,
    sets,
    needed,
    mixes,
    training_pairs,
    exports,
    training,
    evaluation,
    caption_metrics,
    search,
)
"""Those before the report, which shows the graph that they make."""


def build_graph(project: Project) -> Graph:
    """Every node of the experiment."""
    made = [node for stage in STAGES for node in stage.nodes(project)]
    made += report.nodes(project, lambda: graph)
    seeds = [str(seed) for seed in project.experiment.training.seeds]
    graph = Graph(
        [_on_fixed_threads(node) for node in made],
        lambda kind: list(project.partitions) if kind == "pool" else seeds,
        look=lambda: TablesLook(project.workspace.tables),
        leaving=lambda: leaving(project, graph),
        unfinished=project.workspace.claims.unfinished,
        formers=ReceiptsOfAll(project.workspace),
    )
    return graph


def _on_fixed_threads(node: Node) -> Node:
    """The node, and where it computes with torch: by the machine's threads, which are recorded."""
    if TORCH not in node.kinds:
        return node if node.gpus == 0 else _with_its_gpu(node)

    def compute(step: Step) -> Rows | Outcome:
        if step.reuse.only_counts:
            return node.compute(step)
        with fixed_threads():
            facts = {**machine_facts(), **gpu_facts(node.gpus)}
            machine = {**facts, "recap.torch": provenance()["recap.torch"]}
            found = node.compute(replace(step, machine=machine))
            return replace(found, machine={**found.machine, **facts})

    return replace(node, compute=compute)


def _with_its_gpu(node: Node) -> Node:
    """The node of another library, and where that may use a GPU: the receipt says so."""

    def compute(step: Step) -> Rows | Outcome:
        machine = UNKNOWN_GPU if gpus_here() else {}
        found = node.compute(replace(step, machine=machine))
        return replace(found, machine={**found.machine, **machine})

    return replace(node, compute=compute)
