"""The command `recap kinds`."""

import json

import click

from recap_assets.cli.output import echo
from recap_assets.specs.kinds import FAMILIES, Kind, kinds_of
from recap_assets.specs.requirements import missing

WIDTHS = (14, 16, 20, 26)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="A list of objects.")
def kinds(as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """List the kinds that an experiment may name, and the packages that give them."""
    found = [kind for family in FAMILIES for kind in kinds_of(family).values()]
    if as_json:
        echo(json.dumps([_fields(kind) for kind in found], indent=1))
        return
    echo(_line("family", "kind", "given by", "extra", "what it is"))
    for kind in found:
        given_by = f"{kind.distribution} {kind.version}"
        echo(_line(kind.family, kind.name, given_by, _needs(kind), kind.summary))


def _line(*cells: str) -> str:
    *fixed, last = cells
    padded = (f"{cell:{width}}" for cell, width in zip(fixed, WIDTHS, strict=True))
    return " ".join([*padded, last])


def _needs(kind: Kind) -> str:
    lacking = missing(kind.needs)
    return f"{kind.needs} (lacks {', '.join(lacking)})" if lacking else kind.needs or "-"


def _fields(kind: Kind) -> dict[str, object]:
    return {
        "family": kind.family,
        "kind": kind.name,
        "distribution": kind.distribution,
        "version": kind.version,
        "extra": kind.needs or None,
        "missing": list(missing(kind.needs)),
        "usable": kind.spec is not None,
        "summary": kind.summary,
    }
