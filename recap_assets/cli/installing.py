"""`recap install-img2dataset`: the environment of the downloader."""

import subprocess
from pathlib import Path

import click

from recap_assets.cli.output import echo
from recap_assets.pool.kinds.urls.tool import VARIABLE, default_environment, install


def run_installation(into: Path | None) -> None:
    """Make the environment, and say where it is."""
    folder = (into or default_environment()).absolute()
    echo(f"Installing img2dataset into {folder}: about a minute, 0.7 GB")
    try:
        install(folder)
    except (subprocess.CalledProcessError, OSError) as error:
        raise click.ClickException(f"{folder} was not made: {error}") from error
    echo("Done.")
    if folder != default_environment():
        echo(f"Say where it is: export {VARIABLE}={folder / 'bin' / 'img2dataset'}")
