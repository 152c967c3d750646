"""`recap diff`: what differs between two mixes, or two versions of one."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import click
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from recap_assets.cli import terminal
from recap_assets.cli.output import echo
from recap_assets.cli.terminal import plain
from recap_assets.defs.session import Session
from recap_assets.mixes.comparing import (
    PERCENTILES,
    MixDifference,
    MixVersionError,
    compare_mixes,
    difference_as_json,
    mix_version,
    sample_images,
    scores_of,
)
from recap_assets.mixes.difference import CHANGES, MEANINGS, ScoreTally
from recap_assets.mixes.shares import percentages

SAMPLE_ROWS = 5
SCORES_TITLE = "Deciding scores of all pairs and of changed captions, quantiles to 0.0001"
_MARKS = {"before": ("-", "red"), "after": ("+", "green")}


def print_difference(
    session: Session, before: str, after: str, *, as_json: bool, n_samples: int = SAMPLE_ROWS
) -> None:
    """Print counts, scores, diversity and sample images of two mixes.

    Args:
        session: The experiment.
        before: `MIX`, `MIX@12` or `MIX@2026-11-20T10:00`.
        after: The same.
        as_json: Print an object instead.
        n_samples: Sample images of each change.

    Raises:
        click.ClickException: There is no such mix or version; the text lists those that exist.
    """
    project = session.project
    try:
        versions = mix_version(project, before), mix_version(project, after)
    except MixVersionError as error:
        raise click.ClickException(str(error)) from error
    errors = terminal.console(stderr=True)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("comparing", total=None)
        advance: Callable[[int, int], None] = lambda done, all_: progress.update(  # noqa: E731
            task, completed=done, total=all_
        )
        found = compare_mixes(project, *versions, n_samples=n_samples, advance=advance)
    if as_json:
        echo(json.dumps(difference_as_json(found), indent=2))
        return
    console = terminal.console()
    for part in _printed(found):
        console.print(part, highlight=False)


def _printed(found: MixDifference) -> Iterator[Table | Text]:
    yield _counts(found)
    yield _images(found)
    yield _scores(found)
    if len(set(found.scorers) - {None}) > 1:
        scorers = f"{found.before.mix} by {found.scorers[0]}, {found.after.mix} by "
        text = f"The scores are of two scorers ({scorers}{found.scorers[1]}): do not compare them."
        yield plain(text, "yellow")
    diversity = found.diversity
    yield plain(
        f"Distinct trigrams in {diversity.sample_size:,} pairs of each: {diversity.before:,} -> "
        f"{diversity.after:,} ({diversity.after - diversity.before:+,})"
    )
    yield from _samples(found)


def _counts(found: MixDifference) -> Table:
    table = Table(title=f"{found.before} -> {found.after}", title_justify="left")
    table.add_column("", overflow="fold")
    for name in (str(found.before), str(found.after), "change"):
        table.add_column(name, justify="right", overflow="fold")
    sides = found.comparison.before, found.comparison.after
    _add_numbers(table, "pairs", *(side.n_pairs for side in sides))
    _add_numbers(table, "images", *(side.n_images for side in sides))
    if any(side.n_copies > side.n_pairs for side in sides):
        _add_numbers(table, "copies", *(side.n_copies for side in sides))
    for source in sorted(set().union(*(side.n_by_source for side in sides))):
        _add_numbers(
            table, f"pairs of {source}", *(side.n_by_source.get(source, 0) for side in sides)
        )
    return table


def _add_numbers(table: Table, label: str, before: int, after: int) -> None:
    change = f"{after - before:+,}" if after != before else ""
    table.add_row(label, f"{before:,}", f"{after:,}", change)


def _images(found: MixDifference) -> Table:
    table = Table(title="Images", title_justify="left")
    table.add_column("")
    table.add_column("images", justify="right")
    table.add_column("of all", justify="right")
    counts = {
        "the same in both": found.comparison.n_same,
        **{MEANINGS[change]: found.comparison.n_changed[change] for change in CHANGES},
    }
    n_all = max(sum(counts.values()), 1)
    shares = percentages([n / n_all for n in counts.values()])
    for (label, n), share in zip(counts.items(), shares, strict=True):
        table.add_row(label, f"{n:,}", f"{share:.1f} %")
    return table


def _scores(found: MixDifference) -> Table:
    table = Table(title=SCORES_TITLE, title_justify="left")
    table.add_column("")
    for name in ("scored", "mean", *PERCENTILES):
        table.add_column(name, justify="right")
    sides = found.comparison.before, found.comparison.after
    for title, tallies in (
        ("all", [side.scores for side in sides]),
        ("changed", [side.changed_scores for side in sides]),
    ):
        if not any(tally.n for tally in tallies):
            continue
        values = [scores_of(tally) for tally in tallies]
        for when, tally, scores in zip(("before", "after"), tallies, values, strict=True):
            table.add_row(f"{title}, {when}", *_score_cells(tally, scores))
        table.add_row("", "", *_differences(*values), style="bold", end_section=True)
    return table


def _score_cells(tally: ScoreTally, scores: dict[str, float | int | None]) -> list[str]:
    return [f"{tally.n:,}", *(_number(scores[name], "") for name in ("mean", *PERCENTILES))]


def _differences(
    before: dict[str, float | int | None], after: dict[str, float | int | None]
) -> Iterator[str]:
    for name in ("mean", *PERCENTILES):
        old, new = before[name], after[name]
        yield _number(None if old is None or new is None else new - old, "+")


def _number(value: float | None, sign: str) -> str:
    return "-" if value is None else f"{value:{sign}.4f}"


def _samples(found: MixDifference) -> Iterator[Text]:
    shown = sample_images(found.comparison.samples)
    for change in CHANGES:
        images = [image for image in shown if image["change"] == change]
        if not images:
            continue
        of = f"{len(images):,} of {found.comparison.n_changed[change]:,} images"
        yield Text(f"\n{of} {MEANINGS[change]}", style="bold")
        for image in images:
            yield Text(str(image["uid"]), style="dim")
            for side, (mark, colour) in _MARKS.items():
                pairs: Any = image[side]
                for pair in pairs:
                    yield _pair(mark, colour, pair)


def _pair(mark: str, colour: str, pair: dict[str, Any]) -> Text:
    score = "no score" if pair["score"] is None else f"{pair['score']:.4f}"
    weight = "" if pair["weight"] == 1 else f", weight {pair['weight']:g}"
    copies = "" if pair["copies"] == 1 else f", {pair['copies']} copies"
    line = Text(f"  {mark} ", style=colour)
    what = f"{pair['source']} {score}{weight}{copies}: {pair['text']}"
    return line.append_text(plain(what, colour))
