"""`recap reproduce`: build an old version again from its receipt, in a new place, and compare."""

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recap_assets.cli import terminal
from recap_assets.cli.output import print_json
from recap_assets.cli.progress import print_failures, show_progress
from recap_assets.cli.tracing import copy_receipts
from recap_assets.defs.building import Build
from recap_assets.defs.session import HOME_VARIABLE, Session
from recap_assets.graph.selection import asset_named
from recap_assets.lineage.origin import Origin
from recap_assets.lineage.pins import (
    Pinned,
    ReceiptError,
    reached_outside,
    read_receipt,
    receipts_of,
    write_experiment,
)
from recap_assets.lineage.rows import LineageError
from recap_assets.lineage.verification import Comparison, compare
from recap_assets.lineage.walk import lineage_of
from recap_assets.lineage.words import printable
from recap_assets.storage.files import write_atomically
from recap_assets.storage.workspace import DATA_VARIABLE, TABLES_VARIABLE

COPY = "receipt.json"
OWN_INSTANCE = b"telemetry:\n  enabled: false\n"


def run_reproduction(
    session: Session, words: str, into: Path | None, jobs: int, *, as_json: bool = False
) -> int:
    """Build the version that a receipt keeps in another folder; 0 where the asset came out equal.

    Args:
        session: The experiment, whose receipts are looked up by name.
        words: `ASSET@NAME`, or the path of a receipt.
        into: The new data folder; by default beside the receipts.
        jobs: Worker processes.
        as_json: Print an object, and what people read to the error output.
    """
    pinned, asset = _receipt(session, words)
    workspace = session.project.workspace
    folder = (into or workspace.root / "reproduced" / pinned.name).absolute()
    console = terminal.console(stderr=as_json)
    if reached := reached_outside(pinned):
        lines = "\n  ".join(printable(line) for line in reached)
        console.print(Text(f"The receipt reads or asks beyond {folder}:\n  {lines}"))
    again = _prepared(pinned, folder)
    console.print(Text(f"Building {printable(asset)} again in {folder}"), soft_wrap=True)
    if failed := _build(console, again, asset, jobs):
        if as_json:
            print_json(_as_json(asset, folder, [], failed, is_equal=False))
        return 1
    copy_receipts(again)
    recorded = lineage_of(pinned.receipts, asset)
    rebuilt = _rebuilt(again, asset)
    comparisons = list(compare(recorded, rebuilt))
    _print(console, comparisons)
    code = _verdict(console, asset, recorded, rebuilt, comparisons)
    if as_json:
        print_json(_as_json(asset, folder, comparisons, {}, is_equal=code == 0))
    return code


def _as_json(
    asset: str,
    folder: Path,
    comparisons: list[Comparison],
    failed: Mapping[str, str],
    *,
    is_equal: bool,
) -> dict[str, object]:
    """`cli.forms.Reproduced`."""
    assets: list[dict[str, object]] = []
    for name in dict.fromkeys(one.asset for one in comparisons):
        of_asset = [one for one in comparisons if one.asset == name]
        causes = Counter(one.cause for one in of_asset if not one.equal)
        n_equal = sum(one.equal for one in of_asset)
        row = {"asset": name, "equal": n_equal, "differ": causes.total(), "causes": dict(causes)}
        assets.append(row)
    return {
        "asset": asset,
        "data": str(folder),
        "equal": is_equal,
        "failed": dict(failed),
        "assets": assets,
    }


def _receipt(session: Session, words: str) -> tuple[Pinned, str]:
    asset, at, name = words.partition("@")
    asset = asset_named(session.graph, asset) if at else asset
    try:
        if words.endswith(".json"):
            pinned = read_receipt(Path(words))
            return pinned, pinned.asset
        if not at:
            msg = f"{words}: write ASSET@NAME with the name of a receipt, or the path of one"
            raise ReceiptError(msg)
        pinned = read_receipt(name, session.project.workspace)
    except ReceiptError as error:
        raise click.ClickException(str(error)) from error
    if asset not in pinned.origin.ancestors:
        msg = f"the receipt {name} is of {pinned.asset}, and {asset} is not in its tree"
        raise click.ClickException(msg)
    return pinned, asset


def _prepared(pinned: Pinned, folder: Path) -> Session:
    """The experiment of the receipt in a data folder and a Dagster instance of its own."""
    copy = folder / COPY
    content = pinned.path.read_bytes()
    if copy.exists() and copy.read_bytes() != content:
        msg = f"{folder} holds the rebuild of another receipt; name another folder with --into"
        raise click.ClickException(msg)
    if not copy.exists() and folder.exists() and any(folder.iterdir()):
        msg = f"{folder} is not empty; name a new folder with --into"
        raise click.ClickException(msg)
    write_atomically(copy, content)
    path = folder / "experiment.yaml"
    write_experiment(pinned, path)
    os.environ[DATA_VARIABLE] = str(folder)
    # Tables elsewhere would be those of the experiment itself.
    os.environ.pop(TABLES_VARIABLE, None)
    again = Session(path)
    workspace = again.project.workspace
    os.environ[HOME_VARIABLE] = str(workspace.instance)
    write_atomically(workspace.instance / "dagster.yaml", OWN_INSTANCE)
    if not workspace.manifest.exists() and not again.project.pool.is_drawn:
        again.project.freeze(pinned.shards)
    again.export()
    return again


def _build(console: Console, again: Session, asset: str, jobs: int) -> dict[str, str]:
    build = Build(again, jobs, [asset])
    failed = show_progress(console, build) if build.plan() else {}
    if failed:
        print_failures(console, failed)
    return failed


def _rebuilt(again: Session, asset: str) -> Origin:
    receipts = receipts_of(again.project.workspace, asset)
    members = again.graph.partitions(again.graph.nodes[asset])
    try:
        return lineage_of(receipts, asset, members=members)
    except LineageError as error:
        raise click.ClickException(str(error)) from error


def _print(console: Console, comparisons: list[Comparison]) -> None:
    table = Table()
    for name in ("asset", "equal", "differ", "probable cause"):
        table.add_column(
            name, overflow="fold", justify="right" if name in ("equal", "differ") else "left"
        )
    for asset in dict.fromkeys(one.asset for one in comparisons):
        of_asset = [one for one in comparisons if one.asset == asset]
        causes = Counter(one.cause for one in of_asset if not one.equal)
        table.add_row(
            Text(printable(asset)),
            str(sum(one.equal for one in of_asset)),
            str(causes.total() or ""),
            Text("\n".join(printable(f"{n} x {cause}") for cause, n in causes.most_common(3))),
        )
    console.print(table)


def _verdict(
    console: Console, asset: str, recorded: Origin, again: Origin, comparisons: list[Comparison]
) -> int:
    own = [one for one in comparisons if one.asset == asset]
    n_equal = sum(one.equal for one in own)
    more = again.root.rows["partition"].n_unique() - len(own)
    if n_equal == len(own) and not more:
        text = f"{asset} came out equal: version {recorded.root.version}"
        console.print(Text(printable(text), "green"))
        return 0
    words = f" and {more} partitions that the receipt does not have" if more > 0 else ""
    text = f"{asset}: {n_equal} of {len(own)} partitions equal{words}"
    console.print(Text(printable(text), "red"))
    return 1
