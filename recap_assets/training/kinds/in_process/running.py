"""A mix trained on in the process of the build."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from recap_assets.engines.devices import amp_of, resolve_device
from recap_assets.engines.trained import image_side
from recap_assets.graph.node import Step
from recap_assets.graph.project import Project
from recap_assets.training.engine.clip import train_clip
from recap_assets.training.kind import Trained
from recap_assets.training.kinds.in_process.spec import InProcessSpec
from recap_assets.training.loading import curve_frame, mix_pairs
from recap_assets.training.prefixes import with_prefix

if TYPE_CHECKING:
    from recap_assets.training.engine.curve import CurvePoint
    from recap_assets.training.engine.pairs import TrainingPairs


def train_in_memory(project: Project, training: InProcessSpec, mix: str, step: Step) -> Trained:
    """Train to the end; a run that was killed continues from its last checkpoint."""
    seed = int(step.partition)
    pairs = mix_pairs(project, mix, image_side(training.tower), with_sources=training.marks_sources)
    if training.marks_sources:
        pairs = replace(pairs, texts=list(map(with_prefix, pairs.sources, pairs.texts)))
    device = resolve_device("auto")
    amp = amp_of(training.precision, device)
    checkpoint = project.workspace.checkpoint(mix, seed).with_name(f"{seed}.checkpoint")
    trained = train_clip(
        pairs,
        training.tower,
        training.optimizer,
        samples_seen=training.samples_seen,
        batch_size=training.batch_size,
        seed=seed,
        loss=training.loss,
        all_positives=training.positives == "all",
        checkpoint=checkpoint,
        checkpoint_every=training.checkpoint_every,
        on_progress=lambda seen, _loss: step.progress(seen / training.samples_seen),
        on_point=lambda point: step.track(point.step, _figures(point, _an_epoch(pairs))),
        device=device,
        amp=amp,
    )
    return Trained(
        save=trained.save,
        curve=curve_frame(trained.curve),
        facts={
            "pairs": len(pairs.texts),
            "images": len(pairs.images),
            "passes": round(training.samples_seen / max(_an_epoch(pairs), 1), 2),
            **({"amp_bits": amp.itemsize * 8} if amp else {}),
        },
        clear=partial(checkpoint.unlink, missing_ok=True),
        epoch=_an_epoch(pairs),
    )


def _figures(point: "CurvePoint", epoch: int) -> dict[str, float]:
    return {
        "samples_seen": point.samples_seen,
        "loss": point.loss,
        "learning_rate_factor": point.learning_rate_factor,
        "epoch": point.samples_seen / max(epoch, 1),
    }


def _an_epoch(pairs: "TrainingPairs") -> int:
    return len(pairs.images) if pairs.copies is None else int(pairs.copies.sum())
