"""The command `recap kinds`."""

import json

import click

from recap_assets.cli.output import echo
from recap_assets.specs.kinds import BUILT_IN, Kind, kinds_of


@click.command()
@click.option("--json", "as_json", is_flag=True, help="A list of objects.")
def kinds(as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """List the kinds that an experiment may name, and the packages that give them."""
    found = [kind for family in BUILT_IN for kind in kinds_of(family).values()]
    if as_json:
        echo(json.dumps([_fields(kind) for kind in found], indent=1))
        return
    for kind in found:
        given_by = f"{kind.distribution} {kind.version}"
        echo(f"{kind.family:9} {kind.name:14} {given_by:24} {kind.summary}")


def _fields(kind: Kind) -> dict[str, object]:
    return {
        "family": kind.family,
        "kind": kind.name,
        "distribution": kind.distribution,
        "version": kind.version,
        "usable": kind.spec is not None,
        "summary": kind.summary,
    }
