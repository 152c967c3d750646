"""The commands `recap serve-captioner`, `recap ui` and `recap look` with their options."""

import sys

import click

from recap_assets.cli.chosen import Chosen, of_experiment
from recap_assets.report.gallery_links import PORT as GALLERY_PORT


@click.command("serve-captioner", context_settings={"ignore_unknown_options": True})
@click.option("--source", metavar="NAME", help="The experiment's source of kind openai to serve.")
@click.option("--model", help="A model to serve instead: a hub id or a local folder.")
@click.option("--revision", help="Commit of the model's hub repository; pin it.")
@click.option("--host", help="Address to listen on; loopback unless you say so.")
@click.option(
    "--port",
    type=click.IntRange(1, 65_535),
    help="Of the first server, the next have the following ones; those of the source, or 8000.",
)
@click.option("--gpus", type=click.IntRange(min=1), help="GPUs to use; all that are visible.")
@click.option(
    "--gpus-per-copy",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="GPUs that one server's model is split over; there are as many servers as fit.",
)
@click.option("--vllm", default="vllm", show_default=True, help="vLLM's executable.")
@click.argument("more", nargs=-1, type=click.UNPROCESSED)
@of_experiment
def serve_captioner(  # noqa: PLR0913, PLR0917 - click's options
    chosen: Chosen,
    source: str | None,
    model: str | None,
    revision: str | None,
    host: str | None,
    port: int | None,
    gpus: int | None,
    gpus_per_copy: int,
    vllm: str,
    more: tuple[str, ...],
) -> None:
    """Start a vLLM server on each GPU for a captioner, and say when all are ready.

    Ctrl-C stops them; where one ends, the others are stopped.

    What follows `--` is passed on to `vllm serve`, such as `-- --max-model-len 4096`.
    """
    from recap_assets.cli.serving_captioner import Wanted, run_servers, served

    one = served(chosen.path, chosen.settings, source, model)
    wanted = Wanted(one, host, port, revision, gpus, gpus_per_copy, more)
    sys.exit(run_servers(wanted, vllm))


HOST = click.option(
    "--host", default="127.0.0.1", show_default=True, help="Loopback unless you say so."
)
NAMES = click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    help="Another host name of this server, such as a proxy's; may be repeated.",
)


@click.command()
@click.option("--port", type=click.IntRange(1, 65_535), default=3000, show_default=True)
@click.option(
    "--look-port",
    type=click.IntRange(1, 65_535),
    help="Of the gallery that is started beside it; by default the next port.",
)
@HOST
@NAMES
@click.option(
    "--take-over", is_flag=True, help="Take the results of another file that has the same name."
)
@click.option("--json", "as_json", is_flag=True, help="An object of where they listen.")
@of_experiment
def ui(
    chosen: Chosen,
    port: int,
    look_port: int | None,
    host: str,
    names: tuple[str, ...],
    take_over: bool,  # noqa: FBT001 - click's flags
    as_json: bool,  # noqa: FBT001
) -> None:
    """Start Dagster's web server and daemon for this experiment, and its gallery."""
    from recap_assets.cli.serving import serve

    gallery = look_port or (port + 1 if port < 65_535 else port - 1)
    sys.exit(
        serve(
            chosen.session(), host, port, names,
            look_port=gallery, take_over=take_over, as_json=as_json,
        )
    )  # fmt: skip


@click.command()
@click.option("--port", type=click.IntRange(1, 65_535), default=GALLERY_PORT, show_default=True)
@HOST
@NAMES
@click.option("--json", "as_json", is_flag=True, help="An object of where they listen.")
@of_experiment
def look(chosen: Chosen, port: int, host: str, names: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001 - click's flag
    """Look at images with their captions, scores and mixes in a browser; nothing is written."""
    from recap_assets.cli.serving import look as serve_look

    serve_look(chosen.reading(), host, port, names, as_json=as_json)
