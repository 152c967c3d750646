"""The Hub's metadata of a dataset, in YAML before the card's text."""

import pyarrow as pa
import yaml

from recap_assets.exports.facts import Curation, Holdings
from recap_assets.exports.kinds.huggingface.about import About
from recap_assets.exports.kinds.huggingface.parquets import hub_columns
from recap_assets.specs.sources import RAW

SIZES = (
    (1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"), (1_000_000_000, "100M<n<1B"),
    (10_000_000_000, "1B<n<10B"), (100_000_000_000, "10B<n<100B"), (10**12, "100B<n<1T"),
)  # fmt: skip
"""The Hub's size categories, each with what is below it."""


TASKS = ("image-to-text", "text-to-image", "zero-shot-image-classification")
"""The Hub's categories of what pairs of image and text are good for."""


def front_matter(held: Holdings, curation: Curation, about: About, *, with_images: bool) -> str:
    """What comes before the text of README.md."""
    split = {"name": "train", "num_bytes": held.n_bytes, "num_examples": held.n_samples}
    features = _yaml_features(with_images=with_images, with_copies=curation.has_copies)
    values: dict[str, object] = {
        **about.on_the_hub(curation.languages, is_drawn=curation.is_drawn),
        **_creators(held, curation),
        "pretty_name": curation.mix,
        "task_categories": list(TASKS),
        "tags": ["image-text", *(["synthetic-captions"] if curation.sources else [])],
        "size_categories": [_size_category(held.n_samples)],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": "train", "path": "**/train-*.parquet"}],
            }
        ],
        "dataset_info": {
            "features": features,
            "splits": [split],
            "download_size": held.n_bytes,
            "dataset_size": held.n_bytes,
        },
    }
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}---\n\n"


def _creators(held: Holdings, curation: Curation) -> dict[str, object]:
    """Who wrote the texts: the chosen ones and those that go along."""
    by_machine = ["machine-generated"] if curation.sources else []
    found = ["found"] if RAW in held.by_source or not by_machine else []
    return {
        "annotations_creators": by_machine or ["no-annotation"],
        "language_creators": [*found, *by_machine],
    }


def _size_category(n: int) -> str:
    return next((name for limit, name in SIZES if n < limit), "n>1T")


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
