"""Training a CLIP on each mix: the same budget for every mix, a partition for each seed."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl

from recap_assets.artefacts.previews import image_markdown
from recap_assets.artefacts.training import (
    TRAINED_CLIP,
    TRAINING_CURVES,
    TRAINING_PAIRS,
    TRAINING_SHARDS,
)
from recap_assets.graph.content import StoredFiles, files_below
from recap_assets.graph.node import Dependency, Node, Outcome, Place, Step
from recap_assets.graph.outside import outside_of
from recap_assets.graph.project import Setting
from recap_assets.plots.rendering import chart_png
from recap_assets.plots.training import training_curves
from recap_assets.specs.base import deciding
from recap_assets.specs.training import TorchrunTraining
from recap_assets.storage.content import files_version
from recap_assets.storage.files import replaced_directory
from recap_assets.training.kinds.torchrun import shards as training_shards
from recap_assets.training.loading import curve_frame, mix_pairs

VERSION = 2
STAGE = "training"
SECONDS_PER_SAMPLE = 0.0013


def nodes(setting: Setting) -> list[Node]:
    """A node for each mix."""
    return [_node(setting, mix) for mix in setting.experiment.mixes]


def _node(setting: Setting, mix: str) -> Node:
    training = setting.experiment.training
    by_torchrun = isinstance(training, TorchrunTraining)
    shards = (Dependency(TRAINING_SHARDS.key(mix), "all"),) if by_torchrun else ()
    return Node(
        key=TRAINED_CLIP.key(mix),
        stage=STAGE,
        dimension="seed",
        dependencies=(Dependency(TRAINING_PAIRS.key(mix), "all"), *shards),
        implementation=VERSION,
        decides=deciding(training=training),
        compute=lambda step: train_on_mix(setting, mix, step),
        description=f"A CLIP trained on {mix}: {training.samples_seen:,} samples seen, whatever "
        "the mix's size; a partition for each seed.",
        outside=outside_of(setting, training),
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
    from recap_assets.training.engine.clip import train_clip

    training = setting.experiment.training
    if isinstance(training, TorchrunTraining):
        return train_by_torchrun(setting, training, mix, step)
    seed = int(step.partition)
    pairs = mix_pairs(setting, mix, image_side(training.tower))
    checkpoint = setting.workspace.checkpoint(mix, seed).with_name(f"{seed}.checkpoint")
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
    facts = {
        "pairs": len(pairs.texts),
        "images": len(pairs.images),
        "passes": round(training.samples_seen / max(len(pairs.images), 1), 2),
    }
    outcome = _keep(setting, mix, step, trained.save, curve_frame(trained.curve), facts)
    checkpoint.unlink(missing_ok=True)
    return outcome


def train_by_torchrun(
    setting: Setting, training: TorchrunTraining, mix: str, step: Step
) -> Outcome:
    """Hand the mix's training shards to open_clip's trainer; its figures go to the UI."""
    from recap_assets.training.kinds.torchrun.engine import Point, curve_of, save_trained, train

    def tell(point: Point) -> None:
        step.progress(min(point.samples_seen / training.samples_seen, 1.0))
        step.observe(
            {
                "samples_seen": point.samples_seen,
                "loss": point.loss,
                "learning_rate": point.learning_rate,
                "samples_per_second": point.samples_per_second,
            }
        )

    seed = int(step.partition)
    run = setting.workspace.checkpoint(mix, seed).with_name(f".{seed}.{step.fingerprint}.run")
    shards = training_shards.read(setting, mix)
    train(training, shards.open_clip_arguments(), seed, run, tell)
    outcome = _keep(
        setting,
        mix,
        step,
        lambda folder: save_trained(training, run, folder),
        curve_frame(curve_of(training, run)),
        {"shards": len(shards.shards), "pairs": shards.n_samples},
    )
    for stale in run.parent.glob(f".{seed}.*.run"):
        shutil.rmtree(stale)
    return outcome


def _keep(
    setting: Setting,
    mix: str,
    step: Step,
    save: Callable[[Path], None],
    curve: pl.DataFrame,
    facts: Mapping[str, float],
) -> Outcome:
    seed = int(step.partition)
    folder = setting.workspace.checkpoint(mix, seed)
    with replaced_directory(folder, listed=True) as new:
        save(new)
    written = setting.workspace.tables.replace(
        TRAINING_CURVES, {"mix": mix, "seed": seed}, curve, commit=step.commit
    )
    chart = chart_png(training_curves(curve.with_columns(mix=pl.lit(mix))))
    return Outcome(
        files_version(files_below(folder), folder),
        curve.height,
        facts={**facts, "final_loss": round(curve["loss"][-1], 4)},
        markdown={"training_curve": image_markdown(chart)},
        written=(written,),
    )
