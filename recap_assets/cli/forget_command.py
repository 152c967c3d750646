"""The command `recap forget`: removal that holds."""

import sys
from pathlib import Path

import click

from recap_assets.cli.chosen import Chosen, of_experiment


@click.command()
@click.option("--uid", "uids", multiple=True, metavar="UID", help="A sample; may be repeated.")
@click.option(
    "--sha256",
    "hashes",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A file with the SHA-256 of an image in each line, in hex.",
)
@click.option(
    "--url-list",
    "urls",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A file with a URL in each line.",
)
@click.option("--dry-run", is_flag=True, help="Show what would go, and stop.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask before removing.")
@click.option(
    "--certificate",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to write what was removed; by default forgotten-TIME.json here.",
)
@click.option("--json", "as_json", is_flag=True, help="The certificate.")
@of_experiment
def forget(
    chosen: Chosen,  # noqa: ARG001 - of every command; all experiments of the folder are meant
    uids: tuple[str, ...],
    hashes: Path | None,
    urls: Path | None,
    certificate: Path | None,
    **flags: bool,
) -> None:
    """Remove samples from all experiments of the data folder, with their history, for good.

    Tables, exports, reports, cached replies and old versions lose them; later builds and downloads
    refuse them. Trained models, exports elsewhere and pools that are not ours are named. A call
    that was interrupted is completed by the next, whatever that names, and without any option.
    """
    from recap_assets.cli.forgetting import Asked, run_forget

    sys.exit(run_forget(Asked(uids, hashes, urls, certificate, **flags)))
