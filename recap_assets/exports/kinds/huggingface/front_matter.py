"""The Hub's metadata of a dataset, in YAML before the card's text."""

import pyarrow as pa
import yaml

from recap_assets.exports.facts import Curation, Holdings
from recap_assets.exports.kinds.huggingface.parquets import hub_columns

SIZES = (
    (1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"), (1_000_000_000, "100M<n<1B"),
)  # fmt: skip
"""The Hub's size categories, each with what is below it."""


def front_matter(
    held: Holdings, curation: Curation, *, with_images: bool, licence: str | None
) -> str:
    """What comes before the text of README.md."""
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
            "features": _yaml_features(with_images=with_images, with_copies=curation.has_copies),
            "splits": [split],
            "download_size": held.n_bytes,
            "dataset_size": held.n_bytes,
        },
    }
    if licence:
        values = {"license": licence, **values}
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}---\n\n"


def _size_category(n: int) -> str:
    return next((name for limit, name in SIZES if n < limit), "n>1B")


_NAMES = {
    pa.string(): "string", pa.float32(): "float32", pa.int16(): "int16", pa.int32(): "int32",
    pa.int64(): "int64",
}  # fmt: skip


def _yaml_features(*, with_images: bool, with_copies: bool) -> list[dict[str, object]]:
    columns = hub_columns(with_images=with_images, with_copies=with_copies)
    return [_yaml_feature(name, kind) for name, kind in columns.items()]


def _yaml_feature(name: str, kind: pa.DataType) -> dict[str, object]:
    if name == "image":
        return {"name": name, "dtype": "image"}
    if pa.types.is_list(kind):
        fields = kind.value_type
        return {"name": name, "list": [{"name": f.name, "dtype": _NAMES[f.type]} for f in fields]}
    return {"name": name, "dtype": _NAMES[kind]}
