"""Models that the platform trains itself: scorers, image towers, captioners."""

from collections.abc import Mapping
from typing import cast

import polars as pl

from recap_assets.artefacts.previews import image_markdown
from recap_assets.artefacts.training import MODELS
from recap_assets.graph.content import StoredFiles, files_below
from recap_assets.graph.node import Node, Outcome, Step
from recap_assets.graph.outside import both, outside_of
from recap_assets.graph.project import Project
from recap_assets.plots.rendering import chart_png
from recap_assets.plots.training import training_curves
from recap_assets.specs.base import deciding
from recap_assets.storage.content import files_version
from recap_assets.storage.files import replaced_directory
from recap_assets.training.loading import curve_frame
from recap_assets.training.models.kind import SECONDS_PER_SAMPLE, ModelKind, facts_of
from recap_assets.training.seen import edge_to

VERSION = 2
STAGE = "models"


def nodes(project: Project) -> list[Node]:
    """A node for each model of the experiment."""
    return [_node(project, name, model) for name, model in models_of(project).items()]


def models_of(project: Project) -> Mapping[str, ModelKind]:
    """The models by name: the registry takes nothing else."""
    return cast("Mapping[str, ModelKind]", project.experiment.models)


def _node(project: Project, name: str, model: ModelKind) -> Node:
    needs = (one.name for one in model.refers() if one.section == "models")
    reads = dict.fromkeys([*model.reads(project), *map(MODELS.key, needs)])
    folder = project.workspace.model(name)
    return Node(
        key=MODELS.key(name),
        stage=STAGE,
        dimension="none",
        dependencies=tuple(map(edge_to, reads)),
        implementation=VERSION,
        decides=deciding(model=model, **model.decided_by(project)),
        compute=lambda step: train_model(project, name, step),
        description=f"A {model.word} trained here on {model.learns_from}.",
        outside=both(outside_of(project, model), model.outside(project)),
        content=StoredFiles(lambda _: folder, lambda _: files_below(folder)),
        seconds=model.samples_seen * SECONDS_PER_SAMPLE,
        pool="gpu",
        kinds=("pytorch",),
        is_worth_keeping=True,
    )


def train_model(project: Project, name: str, step: Step) -> Outcome:
    """Train one model and put its folder in place."""
    model = models_of(project)[name]
    folder = project.workspace.model(name)
    trained = model.learn(
        project, lambda seen, _: step.progress(min(1.0, seen / model.samples_seen))
    )
    with replaced_directory(folder, listed=True) as new:
        trained.save(new)
    curve = curve_frame(trained.curve)
    return Outcome(
        files_version(files_below(folder), folder),
        curve.height,
        facts={
            "samples_seen": model.samples_seen,
            "final_loss": round(curve["loss"][-1], 4),
            **facts_of(trained),
        },
        markdown={
            "training_curve": image_markdown(
                chart_png(training_curves(curve.with_columns(mix=pl.lit(name))))
            )
        },
    )
