"""`recap imports`: how third-party captions and the pool fit together."""

import json
from collections.abc import Mapping

import click
import polars as pl
from rich.table import Table

from recap_assets.artefacts.captions import IMPORT_REPORTS, OF_FILES, OF_POOL, SYNTHETIC_CAPTIONS
from recap_assets.captions.kind import CaptionSource
from recap_assets.cli.output import echo
from recap_assets.cli.terminal import console, plain
from recap_assets.defs.session import Session
from recap_assets.specs.kinds import fitting

_MEANINGS: Mapping[tuple[str, str], str] = {
    (OF_FILES, "files"): "files read",
    (OF_FILES, "rows"): "rows in them",
    (OF_FILES, "damaged_rows"): "rows that cannot be read: left out",
    (OF_FILES, "malformed_keys"): "rows whose key is malformed: left out",
    (OF_FILES, "empty_rows"): "rows without a caption",
    (OF_FILES, "undecodable_texts"): "rows with a text in no known encoding: without it",
    (
        OF_FILES,
        "mended_texts",
    ): "rows with a text that is no UTF-8: read as Western, or without half a character",
    (OF_FILES, "keys"): "different keys",
    (OF_FILES, "repeated_rows"): "rows that are there again",
    (OF_FILES, "conflicting_keys"): "keys with several different captions",
    (OF_POOL, "images"): "usable images of the pool",
    (OF_POOL, "matched"): "images that the files have",
    (OF_POOL, "missing"): "images that the files do not have",
    (OF_POOL, "empty"): "images whose caption is empty",
    (OF_POOL, "repeated_rows"): "rows of matched images that are there again",
    (OF_POOL, "conflicting"): "images with several different captions",
    (OF_POOL, "texts_compared"): "captions whose raw text could be compared",
    (OF_POOL, "text_mismatches"): "of them with another raw text: captions of other images",
    (OF_POOL, "orphaned_keys"): "keys that no sample of the pool has",
    (OF_POOL, "keys_of_rejected_samples"): "keys of samples that the pool set aside",
}
"""Every count of a report, in the order in which it is shown."""


def print_imports(session: Session, name: str | None, *, as_json: bool) -> None:
    """Print the report of one import, or of all.

    Raises:
        click.ClickException: There is no such import, or none at all.
    """
    sources = session.project.experiment.sources
    known = [n for n, spec in sources.items() if fitting(n, spec, CaptionSource).has_import_report]
    name = None if name is None else SYNTHETIC_CAPTIONS.named(name)
    if name is not None and name not in known:
        msg = f"there is no import {name!r}; known are {', '.join(known) or 'none'}"
        raise click.ClickException(msg)
    if not known:
        msg = "the experiment imports no captions: declare a source of kind import"
        raise click.ClickException(msg)
    rows = session.project.workspace.tables.read(IMPORT_REPORTS)
    for source in [name] if name else known:
        found = rows.filter(
            (pl.col("source") == source) & pl.col("partition").is_in([OF_FILES, OF_POOL])
        )
        if as_json:
            echo(json.dumps(_as_object(source, found)))
        else:
            console().print(_table(source, found))


def _as_object(source: str, found: pl.DataFrame) -> dict[str, object]:
    counts: dict[str, dict[str, object]] = {OF_FILES: {}, OF_POOL: {}}
    for row in found.iter_rows(named=True):
        counts[row["partition"]][row["what"]] = {"n": row["n"], "examples": row["examples"]}
    return {"source": source, **counts}


def _table(source: str, found: pl.DataFrame) -> Table:
    missing = "" if found.height else ": not built yet, run `recap build`"
    table = Table(title=f"{source}{missing}", title_justify="left")
    table.add_column("of", no_wrap=True)
    table.add_column("what", overflow="fold")
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("such as", overflow="fold")
    counts = {(row["partition"], row["what"]): row for row in found.iter_rows(named=True)}
    for at, meaning in _MEANINGS.items():
        if (row := counts.get(at)) is not None:
            table.add_row(at[0], meaning, f"{row['n']:,}", plain(_example(row["examples"])))
    return table


def _example(examples: list[Mapping[str, str | None]]) -> str:
    first = examples[0] if examples else {}
    named = {"caption": "caption", "expected_text": "expected", "raw_text": "the pool has"}
    named_fields = [f"{words} {first[role]!r}" for role, words in named.items() if first.get(role)]
    return ": ".join(filter(None, [first.get("key"), ", ".join(named_fields)]))
