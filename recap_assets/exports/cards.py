"""The dataset card: what an export holds, how it was curated, and how it is read."""

from collections.abc import Mapping

import yaml

from recap_assets.exports.facts import Curation, Holdings
from recap_assets.exports.kind import ExportKind


def card(export: ExportKind, held: Holdings, curation: Curation) -> bytes:
    """The file README.md; what the kind says comes before the text."""
    parts = [
        f"# {curation.mix}",
        f"{held.n_samples:,} samples of image and text, curated by rule from a pool of image-text "
        f"pairs whose captions come from several sources. Experiment `{curation.experiment}`, mix "
        f"`{curation.mix}`.",
        "## What is in it\n\n" + _holdings(export, held),
        "## How it is read\n\n" + export.how_to_read("FOLDER"),
        "## How it was curated\n\n" + _curation(curation),
        "## Whether it is whole\n\n`checksums.json` has the sha256 of every file; "
        "`recap export --verify FOLDER` compares them.",
    ]
    return (export.card_head(held, curation) + "\n\n".join(parts) + "\n").encode()


def _holdings(export: ExportKind, held: Holdings) -> str:
    lines = ["| source of the text | samples |", "| --- | ---: |"]
    lines += [f"| `{source}` | {n:,} |" for source, n in sorted(held.by_source.items())]
    if held.left_out:
        lines.append("\nLeft out of the mix's pairs:\n")
        meanings = export.reasons()
        counted = sorted(held.left_out.items())
        lines += [f"- {n:,}: {meanings.get(reason, '')} (`{reason}`)" for reason, n in counted]
    return "\n".join(lines)


def _curation(curation: Curation) -> str:
    parts = [
        "The rules: an image takes the first that accepts it, or all where `combine` is `all`.",
        _as_yaml(curation.rules),
    ]
    if curation.cutoffs:
        lines = [
            "| cut-off | scores of | keep at or above | samples there |",
            "| --- | --- | ---: | ---: |",
        ]
        for row in curation.cutoffs:
            numbers = f"{row['value']:.7g} | {row['n_at_or_above']:,}"
            lines.append(f"| `{row['path']}` | {row['source']} | {numbers} |")
        parts.append("Its cut-offs as realised:\n\n" + "\n".join(lines))
    if curation.has_copies:
        parts.append(
            "A pair may be there several times: `copies` in the rules says how their number was "
            "drawn, and the cut-off of that name is the score of which one copy was expected."
        )
    parts += [
        "The captions, beside the pool's own text (`raw`), and the scorer:",
        _as_yaml({"sources": curation.sources, "scorer": curation.scorer}),
        "Versions of what it was made from (hashes of content):",
        _as_yaml(curation.versions),
    ]
    return "\n\n".join(parts)


def _as_yaml(values: Mapping[str, object]) -> str:
    text = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=100)
    # A text of the experiment's may hold backticks, and must not end the block.
    return f"````yaml\n{text.replace('````', '` ` ` `')}````"
