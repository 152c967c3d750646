"""Models that the platform trains itself: scorers, image towers, captioners."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import polars as pl

from recap_assets.artefacts.previews import image_markdown
from recap_assets.artefacts.training import MODELS
from recap_assets.graph.content import StoredFiles, files_below
from recap_assets.graph.node import Dependency, ForAll, Node, Outcome, Step
from recap_assets.graph.outside import Outside, both, outside_of
from recap_assets.graph.project import Setting
from recap_assets.plots.rendering import chart_png
from recap_assets.plots.training import training_curves
from recap_assets.specs.base import deciding
from recap_assets.specs.models import Model, TrainedCaptioner
from recap_assets.storage.content import files_version
from recap_assets.storage.files import replaced_directory
from recap_assets.training.corpora.assets import corpus_of
from recap_assets.training.corpora.kind import CorpusKind
from recap_assets.training.loading import corpus_pairs, curve_frame

if TYPE_CHECKING:
    from recap_assets.training.engine.captioner import TrainedCaptionerModel
    from recap_assets.training.engine.clip import TrainedClipModel

VERSION = 2
STAGE = "models"
SECONDS_PER_SAMPLE = 0.0015


def nodes(setting: Setting) -> list[Node]:
    """A node for each model of the experiment."""
    return [_node(setting, name, model) for name, model in setting.experiment.models.items()]


def _node(setting: Setting, name: str, model: Model) -> Node:
    corpus = corpus_of(setting, model.corpus)
    made_by = corpus.made_by(model.corpus)
    reads = [] if made_by is None else [Dependency(made_by, "all")]
    if isinstance(model, TrainedCaptioner):
        reads += [
            Dependency(MODELS.key(other), "all")
            for other in (model.backbone, model.start_from)
            if other
        ]
    folder = setting.workspace.model(name)
    return Node(
        key=MODELS.key(name),
        stage=STAGE,
        dimension="none",
        dependencies=tuple(reads),
        implementation=VERSION,
        decides=deciding(model=model, **corpus.decides_models()),
        compute=lambda step: train_model(setting, name, step),
        description=f"A {model.kind} trained here on the corpus {model.corpus}.",
        outside=both(outside_of(setting, model), _corpus_outside(corpus, made_by)),
        content=StoredFiles(lambda _: folder, lambda _: files_below(folder)),
        seconds=model.samples_seen * SECONDS_PER_SAMPLE,
        pool="gpu",
        kinds=("pytorch",),
    )


def _corpus_outside(corpus: CorpusKind, made_by: str | None) -> Outside | None:
    return None if made_by is not None else ForAll(lambda: corpus.version() or "")


def train_model(setting: Setting, name: str, step: Step) -> Outcome:
    """Train one model and put its folder in place."""
    model = setting.experiment.models[name]
    folder = setting.workspace.model(name)
    trained = _train(setting, model, lambda seen, _: step.progress(seen / model.samples_seen))
    with replaced_directory(folder, listed=True) as new:
        trained.save(new)
    curve = curve_frame(trained.curve)
    return Outcome(
        files_version(files_below(folder), folder),
        curve.height,
        facts={"samples_seen": model.samples_seen, "final_loss": round(curve["loss"][-1], 4)},
        markdown={
            "training_curve": image_markdown(
                chart_png(training_curves(curve.with_columns(mix=pl.lit(name))))
            )
        },
    )


def _train(
    setting: Setting, model: Model, on_progress: Callable[[int, float], None]
) -> "TrainedClipModel | TrainedCaptionerModel":
    from recap_assets.engines.trained import image_side
    from recap_assets.training.engine.captioner import train_captioner
    from recap_assets.training.engine.clip import train_clip

    if isinstance(model, TrainedCaptioner):
        backbone = setting.experiment.models[model.backbone]
        return train_captioner(
            corpus_pairs(setting, model.corpus, image_side(backbone.tower)),  # type: ignore[union-attr]
            model,
            setting.workspace.model(model.backbone),
            setting.workspace.model(model.start_from) if model.start_from else None,
            on_progress=on_progress,
        )
    return train_clip(
        corpus_pairs(setting, model.corpus, image_side(model.tower)),
        model.tower,
        model.optimizer,
        samples_seen=model.samples_seen,
        batch_size=model.batch_size,
        seed=model.seed,
        tag_loss=model.tag_loss,
        on_progress=on_progress,
    )
