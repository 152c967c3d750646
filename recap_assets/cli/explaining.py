"""`recap lineage --uid`: why one image is in a mix with this caption, or what dropped it."""

import json
from collections.abc import Iterator

import click
import polars as pl
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.uids import SubsetFileError
from recap_assets.cli import terminal
from recap_assets.cli.output import echo
from recap_assets.cli.terminal import plain
from recap_assets.defs.session import Session
from recap_assets.mixes.explanation import EvaluatedClause, EvaluatedRule
from recap_assets.mixes.of_image import (
    ImageAnswer,
    MixAnswer,
    UidError,
    answer_as_json,
    explain_image,
)

_HOLDS = {True: "green", False: "red", None: "yellow"}
_OUTCOMES = {"takes": "green", "passes_on": "red", "not_asked": "dim"}


def print_explanation(session: Session, uid: str, mix: str | None, *, as_json: bool) -> None:
    """Print where an image is, its captions, and what each mix makes of it.

    Args:
        session: The experiment.
        uid: 32 hex digits, or at least the first six where they are one image's alone.
        mix: One mix; by default all.
        as_json: Print an object instead.

    Raises:
        click.ClickException: The uid or the mix is unknown; the text says what is known.
    """
    known = session.project.experiment.mixes
    mix = None if mix is None else CURATED_MIXES.named(mix)
    if mix is not None and mix not in known:
        msg = f"there is no mix {mix!r}; known are {', '.join(sorted(known)) or 'none'}"
        raise click.ClickException(msg)
    try:
        answer = explain_image(session.project, uid, mix)
    except (UidError, SubsetFileError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        echo(json.dumps(answer_as_json(answer), indent=2))
        return
    console = terminal.console()
    for part in _printed(answer):
        console.print(part, highlight=False)


def _printed(answer: ImageAnswer) -> Iterator[Text | Table | Tree]:
    yield Text(f"uid {answer.uid.hex()}", style="bold")
    for row in answer.samples.iter_rows(named=True):
        yield _sample(row)
    if not answer.captions.is_empty():
        yield _captions(answer.captions)
    if not answer.mixes:
        yield plain("No mix sees the image: the pool set it aside.", "red")
    several = len({one.partition for one in answer.mixes}) > 1
    for one in answer.mixes:
        yield _mix(one, name_partition=several)


def _sample(row: dict[str, object]) -> Text:
    place = f"partition {row['partition']}, shard {row['shard']} ({row['shard_name'] or 'gone'})"
    if row["reject_reason"] is None:
        return plain(f"{place}, key {row['key']}: usable")
    return plain(f"{place}, key {row['key']}: set aside, {row['reject_reason']}", "red")


def _captions(captions: pl.DataFrame) -> Table:
    table = Table(title="Captions", title_justify="left")
    scorers = [name for name in captions.columns if name.startswith("score.")]
    table.add_column("source", no_wrap=True)
    table.add_column("no.", justify="right")
    for name in scorers:
        table.add_column(name.removeprefix("score."), justify="right", overflow="fold")
    table.add_column("text", overflow="fold")
    for row in captions.iter_rows(named=True):
        scores = ["-" if row[name] is None else f"{row[name]:.4f}" for name in scorers]
        aside = "" if row["reject_reason"] is None else f"set aside, {row['reject_reason']}"
        text = plain(aside or "no text", "dim") if row["text"] is None else plain(row["text"])
        if aside and row["text"] is not None:
            text.append(f" ({aside})", style="red")
        table.add_row(row["source"], str(row["candidate"]), *scores, text)
    return table


def _mix(answer: MixAnswer, *, name_partition: bool) -> Tree:
    found = answer.explanation
    title = Text(answer.mix, style="bold")
    if name_partition:
        title.append(f" [{answer.partition}]")
    if found is not None:
        title.append(f": {found.words}", style="not bold")
    title.append(f" (scores by {answer.scorer})", style="dim not bold")
    tree = Tree(title, guide_style="dim")
    if answer.problem is not None:
        tree.add(plain(answer.problem, "yellow"))
    if found is not None:
        if found.within is not None:
            tree.add(plain(found.within))
        for rule in found.rules:
            _add_rule(tree, rule)
    for row in answer.stored.iter_rows(named=True):
        score = "no score" if row["score"] is None else f"score {row['score']:.4f}"
        times = "" if row["copies"] == 1 else f", {row['copies']} copies"
        pair = f"stored: {row['source']}, {score}, weight {row['weight']:g}{times}: {row['text']}"
        tree.add(plain(pair, "cyan"))
    return tree


def _add_rule(tree: Tree, rule: EvaluatedRule) -> None:
    branch = tree.add(plain(rule.words, _OUTCOMES[rule.outcome]))
    if rule.where is None or rule.outcome == "not_asked":
        return
    # A single comparison that passed the image on is the rule's own words already.
    if rule.where.parts or rule.where.words not in rule.words:
        _add_clause(branch, rule.where)


def _add_clause(branch: Tree, clause: EvaluatedClause) -> None:
    inner = branch.add(plain(clause.words, _HOLDS[clause.holds]))
    for part in clause.parts:
        _add_clause(inner, part)
