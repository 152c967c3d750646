"""Training a CLIP on each mix: the same budget for every mix, a partition for each seed."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import polars as pl

from recap_assets.artefacts.previews import image_markdown
from recap_assets.artefacts.training import (
    TRAINED_CLIP,
    TRAINING_CURVES,
    TRAINING_PAIRS,
)
from recap_assets.graph.content import StoredFiles, files_below
from recap_assets.graph.node import Node, Outcome, Place, Step
from recap_assets.graph.outside import outside_of
from recap_assets.graph.project import Project
from recap_assets.plots.rendering import chart_png
from recap_assets.plots.training import training_curves
from recap_assets.specs.base import deciding
from recap_assets.storage.content import files_version
from recap_assets.storage.files import replaced_directory
from recap_assets.tracking.runs import tracked_training
from recap_assets.training.kind import Launcher, Trained
from recap_assets.training.seen import edge_to

VERSION = 2
STAGE = "training"
SECONDS_PER_SAMPLE = 0.0013


def nodes(project: Project) -> list[Node]:
    """The launcher's own nodes, and one for each mix; none where nothing is measured."""
    if not project.experiment.trains:
        return []
    launcher = launcher_of(project)
    trained = [_node(project, launcher, mix) for mix in project.experiment.mixes]
    return [*launcher.nodes(project), *trained]


def launcher_of(project: Project) -> Launcher:
    """What trains: the registry takes nothing else."""
    return cast("Launcher", project.experiment.training)


def _node(project: Project, training: Launcher, mix: str) -> Node:
    reads = [TRAINING_PAIRS.key(mix), *training.reads(mix)]
    return Node(
        key=TRAINED_CLIP.key(mix),
        stage=STAGE,
        dimension="seed",
        dependencies=tuple(map(edge_to, reads)),
        implementation=VERSION,
        decides=deciding(training=training),
        compute=lambda step: train_on_mix(project, mix, step),
        description=f"A CLIP trained on {mix}: {training.samples_seen:,} samples seen, whatever "
        "the mix's size; a partition for each seed.",
        outside=outside_of(project, training),
        content=_checkpoints(project, mix),
        seconds=training.samples_seen * SECONDS_PER_SAMPLE,
        pool="gpu" if training.on_gpu else "cpu",
        n_gpus=training.n_gpus,
        spreads=training.spreads,
        kinds=("pytorch", "deltalake"),
        is_worth_keeping=True,
        any_name=training.repeats,
    )


def _checkpoints(project: Project, mix: str) -> StoredFiles:
    def folder(seed: str) -> Path:
        return project.workspace.checkpoint(mix, int(seed))

    return StoredFiles(
        root=folder,
        files=lambda seed: files_below(folder(seed)),
        partitions=lambda: [str(seed) for seed in project.experiment.training.seeds],
        beside=lambda seed: (Place(TRAINING_CURVES, {"mix": mix, "seed": int(seed)}),),
    )


def train_on_mix(project: Project, mix: str, step: Step) -> Outcome:
    """Train one CLIP, and put it in place; a run that was killed continues from its checkpoint."""
    with tracked_training(project, mix, step) as tracked:
        trained = launcher_of(project).train(project, mix, replace(step, track=tracked.point))
        outcome = _keep(project, mix, step, trained)
        trained.clear()
        tracked.finish(trained.curve, trained.epoch, outcome.data_version)
    return replace(outcome, facts={**outcome.facts, **tracked.facts})


def _keep(project: Project, mix: str, step: Step, trained: Trained) -> Outcome:
    seed = int(step.partition)
    folder = project.workspace.checkpoint(mix, seed)
    curve = trained.curve
    with replaced_directory(folder, listed=True) as new:
        trained.save(new)
    written = project.workspace.tables.replace(
        TRAINING_CURVES, {"mix": mix, "seed": seed}, curve, commit=step.commit
    )
    chart = chart_png(training_curves(curve.with_columns(mix=pl.lit(mix))))
    return Outcome(
        files_version(files_below(folder), folder),
        curve.height,
        facts={**trained.facts, "final_loss": round(curve["loss"][-1], 4)},
        markdown={"training_curve": image_markdown(chart)},
        written=(written,),
        machine=launcher_of(project).given_by,
    )
