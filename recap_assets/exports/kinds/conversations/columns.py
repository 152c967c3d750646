"""Columns of conversations in parquet."""

import json

import pyarrow as pa

_TURN = pa.struct({"user": pa.string(), "assistant": pa.string()})
_IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
_TEXT = {"dtype": "string", "_type": "Value"}


def schema() -> pa.Schema:
    """The Arrow types, with what `datasets` reads of them."""
    columns = {
        "images": pa.list_(_IMAGE), "texts": pa.list_(_TURN), "source": pa.string(),
        "part": pa.string(), "tokens": pa.int32(), "uid": pa.string(),
    }  # fmt: skip
    told = {"info": {"features": _features()}}
    return pa.schema(columns).with_metadata({"huggingface": json.dumps(told)})


def _features() -> dict[str, object]:
    return {
        "images": {"feature": {"_type": "Image"}, "_type": "List"},
        "texts": {"feature": {"user": _TEXT, "assistant": _TEXT}, "_type": "List"},
        "source": _TEXT,
        "part": _TEXT,
        "tokens": {"dtype": "int32", "_type": "Value"},
        "uid": _TEXT,
    }
