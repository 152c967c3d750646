"""The commands that trace what was built: `recap lineage`, `pin`, `verify` and `reproduce`."""

import sys
from pathlib import Path

import click

from recap_assets.cli import completing
from recap_assets.cli.chosen import Chosen, of_experiment


@click.command()
@click.argument("asset", metavar="ASSET[@NAME]", required=False, shell_complete=completing.assets)
@click.option("--uid", help="Show instead why one image is in each mix, or which rule dropped it.")
@click.option("--mix", help="With --uid: only this mix.", shell_complete=completing.mixes)
@click.option("--partition", "-p", help="Only this partition of the asset.")
@click.option("--at", metavar="TIME|EVENT", help="The state as of then; a time is UTC.")
@click.option("--json", "as_json", is_flag=True, help="Everything, every partition.")
@click.option("--openlineage", is_flag=True, help="Send it as events by OpenLineage's client.")
@of_experiment
def lineage(
    chosen: Chosen,
    asset: str | None,
    uid: str | None,
    mix: str | None,
    partition: str | None,
    at: str | None,
    as_json: bool,  # noqa: FBT001 - click's flags
    openlineage: bool,  # noqa: FBT001
) -> None:
    """Show where an asset comes from, back to the pool's shards; ASSET@NAME as it was pinned."""
    if uid is not None:
        from recap_assets.cli.explaining import print_explanation

        print_explanation(chosen.reading(), uid, mix, as_json=as_json)
        return
    if asset is None:
        msg = "name an asset, such as curated_mixes/MIX, or an image with --uid"
        raise click.UsageError(msg)
    from recap_assets.cli.tracing import print_lineage

    print_lineage(
        chosen.reading(),
        asset,
        partition=partition,
        at=at,
        as_json=as_json,
        openlineage=openlineage,
    )


@click.command()
@click.argument("asset", shell_complete=completing.assets)
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="An object of the receipt.")
@of_experiment
def pin(chosen: Chosen, asset: str, name: str, as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """Write a receipt NAME of the asset's present state; `recap gc` keeps what it names."""
    from recap_assets.cli.tracing import pin_asset

    pin_asset(chosen.session(), asset, name, as_json=as_json)


@click.command()
@click.argument("asset", metavar="ASSET[@NAME]", shell_complete=completing.assets)
@click.option("--json", "as_json", is_flag=True, help="An object with every difference.")
@of_experiment
def verify(chosen: Chosen, asset: str, as_json: bool) -> None:  # noqa: FBT001 - click's flags
    """Hash the asset and all that it came from again, and report any difference."""
    from recap_assets.cli.verifying import run_verification

    sys.exit(run_verification(chosen.reading(), asset, as_json=as_json))


@click.command()
@click.argument("asset", metavar="ASSET@NAME|RECEIPT.json", shell_complete=completing.assets)
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    help="New data folder; by default below the experiment's, in reproduced/NAME.",
)
@click.option("--jobs", "-j", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="An object of what came out equal.")
@of_experiment
def reproduce(chosen: Chosen, asset: str, into: Path | None, jobs: int, as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """Build a pinned version again in a new place, and compare it with its receipt."""
    from recap_assets.cli.reproducing import run_reproduction

    sys.exit(run_reproduction(chosen.session(), asset, into, jobs, as_json=as_json))
