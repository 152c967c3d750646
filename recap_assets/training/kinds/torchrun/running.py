"""A mix passed to open_clip's trainer."""

import shutil

from recap_assets.graph.node import Step
from recap_assets.graph.project import Project
from recap_assets.training.kind import Trained
from recap_assets.training.kinds.torchrun import shards as training_shards
from recap_assets.training.kinds.torchrun.engine import Point, curve_of, save_trained, train
from recap_assets.training.kinds.torchrun.spec import TorchrunSpec
from recap_assets.training.loading import curve_frame


def train_on_shards(project: Project, training: TorchrunSpec, mix: str, step: Step) -> Trained:
    """Train to the end; a run that was killed continues from its last checkpoint."""
    seed = int(step.partition)
    run = project.workspace.checkpoint(mix, seed).with_name(f".{seed}.{step.fingerprint}.run")
    shards = training_shards.read(project, mix)

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
        step.track(
            point.samples_seen // training.batch_size, _figures(training, point, shards.n_samples)
        )

    train(training, shards.open_clip_arguments(), seed, run, tell, step.machines)

    def clear() -> None:
        for stale in run.parent.glob(f".{seed}.*.run"):
            shutil.rmtree(stale)

    return Trained(
        save=lambda folder: save_trained(training, run, folder),
        curve=curve_frame(curve_of(training, run)),
        facts={"shards": len(shards.shards), "pairs": shards.n_samples},
        clear=clear,
        epoch=shards.n_samples,
    )


def _figures(training: TorchrunSpec, point: Point, epoch: int) -> dict[str, float]:
    return {
        "samples_seen": point.samples_seen,
        "loss": point.loss,
        "learning_rate_factor": point.learning_rate / training.learning_rate,
        "epoch": point.samples_seen / max(epoch, 1),
        "samples_per_second": point.samples_per_second,
    }
