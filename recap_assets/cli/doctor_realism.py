"""What `recap doctor` finds where a pool of real images meets parts of the embedded world."""

from collections.abc import Iterator

from recap_assets.specs.experiment import Experiment
from recap_assets.specs.findings import Finding
from recap_assets.specs.models import SmallTower

SMALL_SIDE = 64
"""Pixels of a side up to which a CLIP sees too little of a photograph to say what fits it."""


def drawn_parts(experiment: Experiment) -> Iterator[Finding]:
    """Parts of the embedded world, and small judges, where the pool is of real images."""
    if experiment.pool.is_drawn:
        return
    yield from _drawn_tasks(experiment)
    yield from _small_scorers(experiment)
    if experiment.diversity.nouns == "embedded":
        yield (
            None,
            "diversity.nouns: the embedded world's list knows few nouns of real texts; leave it "
            "out for English, or name a list of your language",
        )


def _drawn_tasks(experiment: Experiment) -> Iterator[Finding]:
    from recap_assets.evalsets.kind import tasks_of

    tasks = tasks_of(experiment.tasks)
    drawn = [name for name, task in tasks.items() if task.is_drawn]
    drawn += [name for name, task in tasks.items() if task.rests_on in drawn]
    for name in drawn:
        yield (
            None,
            f"evaluation.tasks.{name}: a drawn set says nothing of models of a real pool; use a "
            "set of real images (docs/evaluation.md)",
        )


def _small_scorers(experiment: Experiment) -> Iterator[Finding]:
    for name, scorer in experiment.scorers.items():
        trained: str | None = getattr(scorer, "trained_model", None)
        model = experiment.models.get(trained or "")
        tower = getattr(model, "tower", None)
        if isinstance(tower, SmallTower) and tower.image_size <= SMALL_SIDE:
            yield (
                None,
                f"scorers.{name}: a small CLIP of {tower.image_size} pixels trained here scores "
                "real images; enough to try the commands, and no judge: use `kind: open_clip`",
            )
