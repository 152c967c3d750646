"""The dataset card: what an export holds, how it was curated, and how it is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import yaml

from recap_assets.exports.forms import hub_columns
from recap_assets.exports.rows import LEFT_OUT_REASONS
from recap_assets.specs.exports import Export, HuggingFaceExport

SIZES = (
    (1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"), (1_000_000_000, "100M<n<1B"),
)  # fmt: skip
"""The Hub's size categories, each with what is below it."""


@dataclass(frozen=True)
class Curation:
    """How a mix came about.

    Attributes:
        experiment: Name of the experiment.
        mix: Name of the mix.
        rules: The mix as the experiment writes it, in JSON values.
        cutoffs: The cut-offs as realised, a mapping each.
        sources: What wrote the captions of each source, in JSON values.
        scorer: What scored them, in JSON values.
        versions: Versions of what the export was made from: `recap verify` compares them.
    """

    experiment: str
    mix: str
    rules: Mapping[str, object]
    cutoffs: Sequence[Mapping[str, object]]
    sources: Mapping[str, Mapping[str, object]]
    scorer: Mapping[str, object]
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Holdings:
    """What an export holds.

    Attributes:
        n_samples: Samples, rows, or uids.
        n_pairs: Pairs of the mix that they stand for.
        n_bytes: Bytes of its shards.
        by_source: Samples by the source of their text.
        left_out: Pairs of the mix that are not in it, by reason.
    """

    n_samples: int
    n_pairs: int
    n_bytes: int
    by_source: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)


def card(export: Export, held: Holdings, curation: Curation) -> bytes:
    """The file README.md; for the Hub with its metadata in YAML before the text."""
    front = _front_matter(export, held, curation) if isinstance(export, HuggingFaceExport) else ""
    parts = [
        f"# {curation.mix}",
        f"{held.n_samples:,} samples of image and text, curated by rule from a pool of image-text "
        f"pairs whose captions come from several sources. Experiment `{curation.experiment}`, mix "
        f"`{curation.mix}`.",
        "## What is in it\n\n" + _holdings(held),
        "## How it is read\n\n" + how_to_read(export),
        "## How it was curated\n\n" + _curation(curation),
        "## Whether it is whole\n\n`checksums.json` has the sha256 of every file; "
        "`recap export --verify FOLDER` compares them.",
    ]
    return (front + "\n\n".join(parts) + "\n").encode()


def how_to_read(export: Export, folder: str = "FOLDER") -> str:
    """One example, as markdown."""
    match export.to:
        case "subset":
            code = f'uids = numpy.load("{folder}/sample_ids_raw.npy")  # dtype u8,u8, sorted'
            return f"DataComp's subset files, one for each caption source:\n\n{_code(code)}"
        case "webdataset":
            printed = _code(f"recap export --arguments {folder}", "bash")
            return (
                "The chosen text of each image is in its `.txt`; its `.json` has the caption of "
                "every source as `caption_<source>`. open_clip's arguments are what this prints:"
                f"\n\n{printed}\n\nTo draw among the captions instead, add `--json-text-key "
                "'caption_a;caption_b' --json-text-key-probs 0.5 0.5` (open_clip 4)."
            )
        case "huggingface":
            return _code(f'datasets.load_dataset("{folder}", split="train")')
        case "text_to_image":
            code = _code(f'datasets.load_dataset("imagefolder", data_dir="{folder}")')
            return f"As diffusers' trainers do with `--train_data_dir {folder}`:\n\n{code}"


def _code(text: str, language: str = "python") -> str:
    return f"```{language}\n{text}\n```"


def _holdings(held: Holdings) -> str:
    lines = ["| source of the text | samples |", "| --- | ---: |"]
    lines += [f"| `{source}` | {n:,} |" for source, n in sorted(held.by_source.items())]
    if held.left_out:
        lines.append("\nLeft out of the mix's pairs:\n")
        reasons = sorted(held.left_out.items())
        lines += [f"- {n:,}: {LEFT_OUT_REASONS[reason]} (`{reason}`)" for reason, n in reasons]
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


def _front_matter(export: HuggingFaceExport, held: Holdings, curation: Curation) -> str:
    split = {"name": "train", "num_bytes": held.n_bytes, "num_examples": held.n_samples}
    values: dict[str, object] = {
        "pretty_name": curation.mix,
        "task_categories": ["image-to-text", "text-to-image", "zero-shot-image-classification"],
        "tags": ["image-text", "synthetic-captions"],
        "size_categories": [_size_category(held.n_samples)],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": "train", "path": "**/train-*.parquet"}],
            }
        ],
        "dataset_info": {
            "features": _yaml_features(with_images=export.images),
            "splits": [split],
            "download_size": held.n_bytes,
            "dataset_size": held.n_bytes,
        },
    }
    if export.license:
        values = {"license": export.license, **values}
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}---\n\n"


def _size_category(n: int) -> str:
    return next((name for limit, name in SIZES if n < limit), "n>1B")


_NAMES = {
    pa.string(): "string", pa.float32(): "float32", pa.int16(): "int16", pa.int32(): "int32",
    pa.int64(): "int64",
}  # fmt: skip


def _yaml_features(*, with_images: bool) -> list[dict[str, object]]:
    columns = hub_columns(with_images=with_images)
    return [_yaml_feature(name, kind) for name, kind in columns.items()]


def _yaml_feature(name: str, kind: pa.DataType) -> dict[str, object]:
    if name == "image":
        return {"name": name, "dtype": "image"}
    if pa.types.is_list(kind):
        fields = kind.value_type
        return {"name": name, "list": [{"name": f.name, "dtype": _NAMES[f.type]} for f in fields]}
    return {"name": name, "dtype": _NAMES[kind]}
