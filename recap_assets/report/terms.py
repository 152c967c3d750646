"""The words of the page that a reader may not know, each said in a sentence."""

from collections.abc import Iterator

from recap_assets.evalsets.kind import tasks_of
from recap_assets.specs.experiment import Experiment

_DRAWN = {
    "fine": "images of one object; which of 36 narrow classes, such as cottage, castle or tent",
    "tail": "the same with objects of the rarest third of the classes: a pool has few of them",
    "coarse": "images of one object; which of 12 wide classes, such as house, car or bird",
    "retrieval": "finding the image of a caption among all, and the caption of an image",
}
"""What sets of the embedded world ask, by their `task`."""
_WORDS = (
    ("cut-off", "the score that a rule such as `top: 0.3` comes to on this pool"),
    ("realised", "with the cut-offs that the rules came to, and not as the file asks for them"),
    ("score", "how well a text fits its image, by the first scorer"),
    (
        "trigrams",
        "runs of three words, each counted once, in samples of one size: more is more diverse",
    ),
    ("seed", "the number that a training's chance depends on; several show what chance does"),
    ("set aside", "kept as a row with a reason, and not used"),
)


def terms_of(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """Words and what they mean: the names of drawn evaluation sets, then those of the page."""
    for name, task in tasks_of(experiment.tasks).items():
        meaning = _DRAWN.get(str(getattr(task, "task", "")))
        if task.is_drawn and meaning is not None:
            yield name.replace("_", " "), f"evaluation: {meaning}"
    yield from _WORDS
