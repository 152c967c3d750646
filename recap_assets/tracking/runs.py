"""What training, evaluation and report send to the experiment's tracker, where it has one."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from recap_assets.graph.node import Step
from recap_assets.graph.project import Project
from recap_assets.lineage.words import flattened
from recap_assets.specs.kinds import fitting
from recap_assets.tracking.kind import RunIdentity, Tracker
from recap_assets.tracking.notes import Note
from recap_assets.tracking.sending import Sender
from recap_assets.untrusted.showing import one_line

KEY_DIGITS = 16
Facts = Mapping[str, str | int | float]


class TrackedTraining:
    """One training as its tracker sees it; without a tracker nothing is done."""

    def __init__(self, sender: Sender | None, note: Note, path: Path) -> None:
        self._sender, self._note, self._path = sender, note, path

    def point(self, step: int, figures: Mapping[str, float]) -> None:
        """Send a point of the curve, unless that of this step was sent before."""
        if self._sender is None or step in self._note.steps:
            return

        def remember() -> None:
            self._note.steps.append(step)
            self._note.write(self._path)

        self._sender.send(lambda run: run.log(step, figures), remember)

    def finish(self, curve: pl.DataFrame, epoch: int, version: str) -> None:
        """Send what of the whole curve was not sent, and end the run.

        Args:
            curve: Columns step, samples_seen, loss, learning_rate_factor.
            epoch: Samples of one pass over the mix; 0 where that is not known.
            version: Data version of the trained model.
        """
        if self._sender is None:
            return
        for row in curve.to_dicts():
            passes = {"epoch": row["samples_seen"] / epoch} if epoch else {}
            self.point(row.pop("step"), {**row, **passes})
        self._sender.close("finished")
        self._note.version = version
        self._note.write(self._path)

    def abort(self) -> None:
        """End the run as failed; a training that resumes opens it again."""
        if self._sender is not None:
            self._sender.close("failed")

    @property
    def facts(self) -> Facts:
        """What was not sent, for the materialization."""
        return self._sender.facts if self._sender else {}


@contextmanager
def tracked_training(project: Project, mix: str, step: Step) -> Iterator[TrackedTraining]:
    """Track a training with the experiment's tracker; the same run where it is one that resumes."""
    path, tracker = _note_of(project, mix, step.partition), tracker_of(project)
    note = Note.of_training(path, step.fingerprint) if tracker else Note(step.fingerprint)
    sender = (
        None if tracker is None else _sender(project, tracker, _identity(project, mix, step, note))
    )
    training = TrackedTraining(sender, note, path)
    try:
        yield training
    except BaseException:  # an interruption as well
        training.abort()
        raise


def track_results(project: Project, mix: str, step: Step, results: pl.DataFrame) -> Facts:
    """Add the results of a trained model to the run of its training.

    A model that was taken over, and not trained here, has a run of its own.

    Args:
        project: The experiment and its workspace.
        mix: What was trained on.
        step: Its partition is the seed.
        results: Columns task, metric, value.

    Returns:
        What was not sent, for the materialization.
    """
    tracker = tracker_of(project)
    if tracker is None:
        return {}
    version = step.reads.get(f"trained_clip/{mix}", "")
    known = Note.read(_note_of(project, mix, step.partition))
    is_of_it = known is not None and known.version in ("", version)
    note = known if known is not None and is_of_it else Note(version)
    sender = _sender(project, tracker, _identity(project, mix, step, note))
    rows = results.select("task", "metric", "value").iter_rows()
    figures = {_name(f"{task}/{metric}"): value for task, metric, value in rows}
    sender.send(lambda run: run.summarize(figures))
    sender.close("finished")
    return sender.facts


def track_leaderboard(project: Project, board: pl.DataFrame) -> Facts:
    """Keep the leaderboard in a run of its own, one for the experiment.

    Args:
        project: The experiment and its workspace.
        board: LEADERBOARD.

    Returns:
        What was not sent, for the materialization.
    """
    tracker = tracker_of(project)
    if tracker is None:
        return {}
    name = project.experiment.name
    run = RunIdentity(_key(name, "leaderboard"), f"{name}/leaderboard", name, {"experiment": name})
    sender = _sender(project, tracker, run)
    means = board.filter(pl.col("mean").is_finite())
    rows = means.select("mix", "task", "metric", "mean").iter_rows()
    figures = {_name(f"{task}/{metric}/{mix}"): value for mix, task, metric, value in rows}
    sender.send(lambda run: run.summarize(figures))
    sender.send(lambda run: run.table("leaderboard", board))
    sender.close("finished")
    return sender.facts


def tracker_of(project: Project) -> Tracker | None:
    """The experiment's tracker, if it has one."""
    track = project.experiment.training.track
    return None if track is None else fitting("training.track", track, Tracker)


def _sender(project: Project, tracker: Tracker, run: RunIdentity) -> Sender:
    folder = project.workspace.data / "tracking"
    return Sender(lambda: tracker.open(run, folder), f"training.track: {tracker.word}")


def _identity(project: Project, mix: str, step: Step, note: Note) -> RunIdentity:
    experiment, seed = project.experiment, step.partition
    settings = flattened(experiment.training.decides())
    return RunIdentity(
        key=_key(experiment.name, mix, seed, note.fingerprint, str(note.attempt)),
        name=f"{experiment.name}/{mix}/seed-{seed}",
        group=experiment.name,
        params={
            "experiment": experiment.name,
            "mix": mix,
            "seed": seed,
            **{_name(f"training.{name}"): value for name, value in settings.items()},
            **{_name(f"version.{name}"): version for name, version in step.reads.items()},
        },
        tags={name: value for name, value in step.commit.items() if name.startswith("recap.")},
    )


def _key(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:KEY_DIGITS]


def _name(text: str) -> str:
    """A name that every tracker takes."""
    return "".join(c if c.isalnum() or c in "_-./ " else "_" for c in one_line(text, 200))


def _note_of(project: Project, mix: str, seed: str) -> Path:
    return project.workspace.checkpoint(mix, int(seed)).with_name(f".{seed}.tracked.json")
