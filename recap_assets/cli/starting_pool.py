"""`recap init` for a pool that is there: a file with real models, training and evaluation for it.

What is beside the pool is found: its metadata, and evaluation sets in CLIP_benchmark's layout.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from recap_assets.untrusted.errors import RecapError
from recap_assets.untrusted.showing import one_line

MAX_LOOKED_AT = 10_000
"""Entries of one folder that are looked at."""
MAX_SETS = 40
_TABLES = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson")
_IMAGES = (".jpg", ".jpeg", ".png", ".webp")


class NoPoolError(RecapError, ValueError):
    """No pool is where one was named. The text says what was looked for."""


@dataclass(frozen=True)
class FoundPool:
    """A pool on this machine.

    Attributes:
        kind: `webdataset` or `folder`.
        lines: The section `pool`, as YAML.
        sets: Evaluation sets beside it, by a name for each.
    """

    kind: str
    lines: str
    sets: dict[str, Path]


def pool_at(folder: Path) -> FoundPool:
    """The pool in a folder.

    Args:
        folder: With `shards/*.tar` or `*.tar`, or with images beside a table of their texts.

    Raises:
        NoPoolError: There is none.
    """
    found = _pool(folder)
    if found is None:
        msg = (
            f"{folder}: no pool was found. Looked for shards/*.tar and *.tar (webdataset), and for "
            f"images beside a table of texts ({', '.join(_TABLES)}); write `pool` by hand for "
            "others, as `recap init --pool embedded --stdout` shows"
        )
        raise NoPoolError(msg)
    return found


def pool_beside(folder: Path) -> FoundPool | None:
    """The shards of a pool in a folder itself, where somebody stands with them; None without."""
    return _webdataset(folder)


def file_for(pool: FoundPool) -> str:
    """The text of an experiment file for a pool: it is well formed as it is."""
    return _TEXT.replace("{pool}", pool.lines.replace("\n", "\n  ")).replace(
        "{evaluation}", _evaluation(pool.sets)
    )


def _pool(folder: Path) -> FoundPool | None:
    return _webdataset(folder) or _plain(folder)


def _webdataset(folder: Path) -> FoundPool | None:
    for shards in (folder / "shards", folder):
        if any(_with(shards, (".tar",))):
            metadata = folder / "metadata"
            lines = f"kind: webdataset\nshards: {_quoted(shards)}"
            if any(_with(metadata, (".parquet",))):
                lines += f"\nmetadata: {_quoted(metadata)}"
            return FoundPool("webdataset", lines, sets_beside(folder))
    return None


def _plain(folder: Path) -> FoundPool | None:
    table = next(iter(sorted(_with(folder, _TABLES))), None)
    images = next((at for at in (folder / "images", folder) if any(_with(at, _IMAGES))), None)
    if table is None or images is None:
        return None
    columns = "     # columns `image` and `text`; name others with image_column and text_column"
    lines = f"kind: folder\nimages: {_quoted(images)}\ntexts: {_quoted(table)}{columns}"
    return FoundPool("folder", lines, sets_beside(folder))


def sets_beside(folder: Path) -> dict[str, Path]:
    """Evaluation sets below the folder, or beside it up to two folders above, by name."""
    found: dict[str, Path] = {}
    here = folder.absolute()
    for above in (here, here.parent, here.parent.parent):
        for one in (above, *(above / name for name in ("eval", "evaluation"))):
            for place in _folders(one):
                if (place / "test" / "nshards.txt").is_file() and len(found) < MAX_SETS:
                    found.setdefault(_name(place.name), place)
    return found


def _with(folder: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    files = (path for path in _entries(folder) if path.suffix.lower() in endings)
    return (path for path in files if path.is_file())


def _folders(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(_entries(folder)) if path.is_dir())


def _entries(folder: Path) -> list[Path]:
    try:
        return list(islice(folder.iterdir(), MAX_LOOKED_AT))
    except OSError:
        return []


def _name(folder: str) -> str:
    kept = "".join(c if c.isascii() and c.isalnum() else "_" for c in folder.lower()).strip("_")
    return kept[:60] if kept[:1].isalpha() else f"set_{kept}"[:60]


def _quoted(path: Path) -> str:
    """The path as YAML's double-quoted text; `$` is doubled, since `${NAME}` has a meaning."""
    return json.dumps(str(path.absolute()).replace("${", "$${"))


def _evaluation(sets: dict[str, Path]) -> str:
    if not sets:
        return _NO_SETS
    lines = [f"    {name}: {{kind: webdataset, path: {_quoted(at)}}}" for name, at in sets.items()]
    head = ["evaluation:", "  tasks:                     # found beside the pool"]
    return "\n".join([*head, *lines])


def found_in_words(pool: FoundPool) -> str:
    """What was found, for people."""
    names = ", ".join(one_line(name, 60) for name in pool.sets) or "none"
    return f"a {pool.kind} pool; evaluation sets beside it: {names}"


_NO_SETS = """\
# Without `evaluation` nothing is trained: mixes are built, compared and exported. No set in
# CLIP_benchmark's layout was found beside the pool. With DataComp's (docs/evaluation.md), or sets
# of yours as `tasks: {mine: {kind: webdataset, path: FOLDER}}`, a CLIP is trained on each mix:
# evaluation:
#   datacomp: {root: datacomp_sets, tasks: available}"""

_TEXT = """\
# Raw alt-text against captions on a pool of real images. `recap doctor` says what is missing,
# `recap plan` what a build will cost, `recap build` builds. No part of it is drawn by the program:
# for a trial of the commands without any download, use `recap init --pool embedded`.
name: my_experiment

pool:
  {pool}

sources:                     # `raw`, the pool's own alt-text, is always there
  blip:                      # from the hub, or a local folder; others: `recap kinds captions`
    kind: transformers
    model: Salesforce/blip-image-captioning-base
    decoding: {max_tokens: 30}

scorers:                     # says how well a text fits its image
  clip: {kind: open_clip, model: ViT-B-32, pretrained: openai}
  # On a machine without a hub, train both here on captioned images (docs/guides/your_pool.md).
  # A small CLIP of 64 pixels is for trying the commands, and no judge of real images.

mixes:                       # an image takes the first rule that accepts it
  raw: [{use: raw}]
  raw_top30: [{use: raw, where: {top: 0.3}}]
  blip: [{use: blip}]
  raw_top30_blip_rest:
    - {use: raw, where: {top: 0.3}}
    - {use: blip}

diversity:
  nouns: english             # or a list of your language: one noun a line, `# language: de` above

training:                    # one CLIP a mix and seed, all with the same budget
  tower: {kind: open_clip, name: ViT-B-32}
  samples_seen: 1280000      # DataComp's small scale sees 12,800,000
  batch_size: 256
  seeds: [0, 1, 2]

{evaluation}

report: {raw: raw, raw_filtered: raw_top30, synthetic: [blip], mixed: [raw_top30_blip_rest]}
"""
