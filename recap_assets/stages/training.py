"""Training a CLIP on each mix: the same budget for every mix, a partition for each seed."""

from pathlib import Path

import polars as pl

from recap_assets.orchestration.graph import Dependency, Node, Outcome, Place, Step
from recap_assets.reporting.plots import chart_png, training_curves
from recap_assets.reporting.previews import image_markdown
from recap_assets.specs.base import deciding
from recap_assets.specs.tables import TRAINING_CURVES
from recap_assets.stages import training_pairs
from recap_assets.stages.pairs import curve_frame, mix_pairs
from recap_assets.stages.setting import Setting
from recap_assets.stages.stored import StoredFiles, files_below
from recap_assets.storage.content import files_version
from recap_assets.storage.files import replaced_directory

VERSION = 2
STAGE = "training"
SECONDS_PER_SAMPLE = 0.0013


class LauncherMissingError(RuntimeError):
    """The experiment asks for a launcher that this version does not have."""


def asset(mix: str) -> str:
    """Key of a mix's trained models."""
    return f"trained_clip/{mix}"


def nodes(setting: Setting) -> list[Node]:
    """A node for each mix."""
    return [_node(setting, mix) for mix in setting.experiment.mixes]


def _node(setting: Setting, mix: str) -> Node:
    training = setting.experiment.training
    decisive = training.all_but("seeds", "checkpoint_every")
    return Node(
        key=asset(mix),
        stage=STAGE,
        dimension="seed",
        dependencies=(Dependency(training_pairs.asset(mix), "all"),),
        implementation=VERSION,
        decides=deciding(training=decisive),
        compute=lambda step: train_on_mix(setting, mix, step),
        description=f"A CLIP trained on {mix}: {training.samples_seen:,} samples seen, whatever "
        "the mix's size; a partition for each seed.",
        content=_checkpoints(setting, mix),
        seconds=training.samples_seen * SECONDS_PER_SAMPLE,
        pool="gpu",
        kinds=("pytorch", "deltalake"),
    )


def _checkpoints(setting: Setting, mix: str) -> StoredFiles:
    def folder(seed: str) -> Path:
        return setting.workspace.checkpoint(mix, int(seed))

    return StoredFiles(
        root=folder,
        files=lambda seed: files_below(folder(seed)),
        partitions=lambda: [str(seed) for seed in setting.experiment.training.seeds],
        beside=lambda seed: (Place(TRAINING_CURVES, {"mix": mix, "seed": int(seed)}),),
    )


def train_on_mix(setting: Setting, mix: str, step: Step) -> Outcome:
    """Train one CLIP; a run that was killed goes on from its last checkpoint."""
    from recap_assets.engines.devices import resolve_device
    from recap_assets.engines.trained import image_side
    from recap_assets.engines.training.clip import train_clip

    training = setting.experiment.training
    if training.launcher != "in_process":
        msg = "training.launcher: torchrun needs exported shards, which this version cannot write"
        raise LauncherMissingError(msg)
    seed = int(step.partition)
    pairs = mix_pairs(setting, mix, image_side(training.tower))
    folder = setting.workspace.checkpoint(mix, seed)
    checkpoint = folder.with_name(f"{seed}.checkpoint")
    trained = train_clip(
        pairs,
        training.tower,
        training.optimizer,
        samples_seen=training.samples_seen,
        batch_size=training.batch_size,
        seed=seed,
        checkpoint=checkpoint,
        checkpoint_every=training.checkpoint_every,
        on_progress=lambda seen, _loss: step.progress(seen / training.samples_seen),
        device=resolve_device("auto"),
    )
    with replaced_directory(folder) as new:
        trained.save(new)
    checkpoint.unlink(missing_ok=True)
    curve = curve_frame(trained.curve)
    written = setting.workspace.tables.replace(
        TRAINING_CURVES, {"mix": mix, "seed": seed}, curve, commit=step.commit
    )
    return Outcome(
        files_version(files_below(folder), folder),
        curve.height,
        facts={
            "pairs": len(pairs.texts),
            "images": len(pairs.images),
            "passes": round(training.samples_seen / max(len(pairs.images), 1), 2),
            "final_loss": round(curve["loss"][-1], 4),
        },
        markdown={
            "training_curve": image_markdown(
                chart_png(training_curves(curve.with_columns(mix=pl.lit(mix))))
            )
        },
        written=(written,),
    )
