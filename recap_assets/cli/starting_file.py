"""`recap init`: the embedded demo with its comments, then the kinds that may take its places.

For a pool that is there `starting_pool` writes another file.
"""

from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

from recap_assets.specs.kinds import FAMILIES, Kind, kinds_of
from recap_assets.specs.loading import DEMO

_LINE = "-" * 97
_MIXES = """\
mixes:
  raw_top30_blip2_filtered:                    # the paper's best mix
    - {use: raw, where: {top: 0.3}}
    - {use: blip2, where: {at_least: {top: 0.3, of: raw}}}
  raw_top30_blip2:                             # trained without each of its sources, too
    leave_one_source_out: true                 # adds raw_top30_blip2_without_raw, ..._without_blip2
    rules:
      - {use: raw, where: {top: 0.3}}
      - {use: blip2}
"""
_AUTOMATION = """\
automation:
  enabled: true                                # after an edit, and when shards land in the pool
  stages: [pool, captions, scores, diversity, mixes]   # optional: leave out what costs too much
  schedules:                                   # backfills of what is out of date, as cron lines
    captions: 0 2 * * *                        # every night at two
    scores: 15 * * * *                         # every hour
  timezone: Europe/Berlin
  partitions_per_run: 64
  max_attempts: 3                              # launches of a partition that keeps failing
"""


EMBEDDED = "embedded"


def starting_text(pool: str | None) -> tuple[str, str]:
    """The text of a starting file, and in words what it is for.

    Args:
        pool: A folder with a pool, or `embedded` for the demo; by default the shards in the
            current folder, or else the demo.

    Raises:
        NoPoolError: There is no pool in the folder.
    """
    from recap_assets.cli.starting_pool import file_for, found_in_words, pool_at, pool_beside

    found = pool_beside(Path.cwd()) if pool is None else None
    if pool is not None and pool != EMBEDDED:
        found = pool_at(Path(pool))
    if found is None:
        return starting_file(), "the embedded world"
    return file_for(found), found_in_words(found)


def starting_file() -> str:
    """The text of a commented experiment file that runs as it is.

    What is commented out are the examples of all kinds that are installed.
    """
    text = DEMO.read_text(encoding="utf-8").replace("name: demo\n", "name: my_experiment\n")
    lines = [line for part in _parts() for line in part.splitlines()]
    return "\n".join([text.rstrip(), "", *(f"# {line}".rstrip() for line in lines), ""])


def _parts() -> Iterator[str]:
    yield f"{_LINE}\nA pool of your own. Put one of these in place of `pool` above.\n\n"
    for kind in _shown("pools"):
        yield f"{kind.summary}\n\npool:\n{indent(example_of(kind), '  ')}\n"
    yield "What models that are trained here may learn from beside, and such models:\n\n"
    for section in ("corpora", "models"):
        yield _section(section, section)
    yield (
        "Captioners, and a scorer from the hub, in place of the ones trained above (`corpora` and\n"
        "`models` then go):\n\n"
    )
    for section, family in (
        ("sources", "captions"), ("scorers", "scores"), ("image_scorers", "image_scorers"),
        ("languages", "languages"), ("sets", "sets"),
    ):  # fmt: skip
        yield _section(section, family)
    yield f"{_words('use', 'uses')}\n{_words('where', 'conditions')}\n\n{_MIXES}\n"
    yield "Mixes written out in the form that another tool reads; see docs/exports.md:\n\n"
    yield _section("exports", "exports")
    yield (
        f"{_LINE}\nWhat the daemon does by itself while `recap ui` runs. Nothing here changes what "
        "is in a table.\n\n"
    )
    yield _AUTOMATION


def _section(section: str, family: str) -> str:
    examples = "".join(indent(example_of(kind), "  ") for kind in _shown(family))
    return f"{section}:\n{examples}\n" if examples else ""


def _words(key: str, family: str) -> str:
    return f"`{key}` has one of: {', '.join(kinds_of(family))}."


def _shown(family: str) -> list[Kind]:
    """Those that can be used: of other packages all, of ours those that the demo lacks."""
    kinds = [kind for kind in kinds_of(family).values() if kind.spec is not None]
    return [kind for kind in kinds if not kind.is_ours or (kind.spec and kind.spec.example)]


def example_of(kind: Kind) -> str:
    """The kind's own example, or one of the fields that it must have."""
    spec = kind.spec
    if spec is None or spec.example:
        return spec.example if spec else ""
    fields = {FAMILIES[kind.family].field: kind.name}
    needed = [name for name, field in spec.model_fields.items() if field.is_required()]
    lines = [f"{name}: {fields.get(name, '...')}" for name in needed]
    if kind.family == "pools":
        return "".join(f"{line}\n" for line in lines)
    return f"{kind.name}: {{{', '.join(lines)}}}   # {kind.summary}\n"
