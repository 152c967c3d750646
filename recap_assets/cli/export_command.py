"""The command `recap export` with its options."""

import sys

import click

from recap_assets.cli.chosen import Chosen


@click.command()
@click.argument("name", metavar="[MIX|EXPORT|FOLDER]")
@click.option(
    "--to",
    type=click.Choice(["subset", "webdataset", "huggingface", "text_to_image"]),
    help="Form of the export; without it NAME is an export that the experiment declares.",
)
@click.option("--out", "folder", metavar="FOLDER", help="New folder, or a bucket's URL.")
@click.option("--verify", is_flag=True, help="Hash the files of the export in FOLDER anew.")
@click.option("--arguments", is_flag=True, help="Print open_clip's arguments for FOLDER.")
@click.option("--replace", is_flag=True, help="Remove another export that is in the folder.")
@click.option("--samples-per-shard", type=click.IntRange(min=1), help="Most samples of a shard.")
@click.option("--captions", metavar="A,B", help="Sources whose captions go along; default: all.")
@click.option("--formats", metavar="jpg,png", help="Image formats that are written.")
@click.option("--shuffle", type=int, metavar="SEED", help="webdataset: order by (seed, uid).")
@click.option(
    "--positives",
    type=click.Choice(["samples", "json"]),
    help="webdataset: several pairs of one image as samples, or in one sample's json.",
)
@click.option("--by-weight/--one-folder", default=None, help="webdataset: a folder a weight.")
@click.option("--images/--no-images", default=None, help="huggingface: embed the images.")
@click.option("--license", metavar="ID", help="huggingface: the Hub's name of the licence.")
@click.option("--min-side", type=int, metavar="PIXELS", help="text_to_image: smallest side.")
@click.option("--max-aspect", type=float, help="text_to_image: longer side / shorter side.")
@click.option("--min-score", type=float, help="text_to_image: smallest score of image and text.")
@click.pass_obj
def export(
    chosen: Chosen,
    name: str,
    verify: bool,  # noqa: FBT001
    arguments: bool,  # noqa: FBT001
    replace: bool,  # noqa: FBT001
    captions: str | None,
    formats: str | None,
    **options: object,
) -> None:
    """Write a mix as shards or files that other tools read; run again, it goes on or updates.

    `recap export MIX --to webdataset --out FOLDER` writes a mix as it is built now. `recap export
    NAME` builds the export NAME of the experiment. Both are resumable. `recap export --verify
    FOLDER` compares the files with their checksums.
    """
    from recap_assets.cli import exporting

    if verify:
        sys.exit(exporting.verify_folder(name))
    if arguments:
        exporting.print_arguments(name)
        return
    if options["to"] is None:
        from recap_assets.cli.building import Asked, run_build

        session = chosen.session()
        exporting.require_declared(session, name)
        sys.exit(run_build(session, 2, Asked(yes=True), (f"exports/{name}",)))
    if options["folder"] is None:
        msg = "say where it goes: --out FOLDER"
        raise click.UsageError(msg)
    lists = {"captions": captions, "formats": formats}
    split = {key: words.split(",") for key, words in lists.items() if words}
    given = {"mix": name, **options, **split}
    sys.exit(exporting.run_export(chosen.session(), given, replace=replace))
