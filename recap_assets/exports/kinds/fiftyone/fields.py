"""The fields of a FiftyOne dataset, as its `metadata.json` declares them.

Of the form that FiftyOne 1.0 wrote; later ones migrate it when they import.
"""

import json
from collections.abc import Iterable, Mapping

VERSION = "1.0.0"
"""FiftyOne refuses what a later version wrote, and brings older forms up to date."""

_FIELDS = "fiftyone.core.fields"
_LABELS = "fiftyone.core.labels"
_STRING, _INT, _FLOAT = (f"{_FIELDS}.{name}Field" for name in ("String", "Int", "Float"))
_LIST, _EMBEDDED = f"{_FIELDS}.ListField", f"{_FIELDS}.EmbeddedDocumentField"

_TYPES: Mapping[str, str] = {
    **dict.fromkeys(("filepath", "_media_type", "uid", "sha256", "source", "url"), _STRING),
    **dict.fromkeys(("candidate", "rule", "copies", "original_width", "original_height"), _INT),
    **dict.fromkeys(("score", "weight"), _FLOAT),
}
_BY_FIFTYONE = ("_dataset_id", "created_at", "last_modified_at")
"""What it sets when it imports."""

_MEANINGS: Mapping[str, str] = {
    "uid": "DataComp's 32 hex digits of the image",
    "mixes": "The mixes of the experiment that take the image",
    "chosen": "The text that the mix took; the confidence is its score",
    "source": "The caption source of the text that the mix took",
    "rule": "Number of the rule that took the image, from 0",
}


def fields_of(
    sample: Mapping[str, object], known: Iterable[str] = ()
) -> dict[str, dict[str, object]]:
    """The declarations of a sample's fields, by name.

    Args:
        sample: A document, as `samples.document_of` makes it.
        known: Names that are declared already.
    """
    names = dict.fromkeys(("id", *sample, *_BY_FIFTYONE))
    wanted = [name for name in names if name != "_id" and name not in set(known)]
    return {name: _declared(name, sample.get(name)) for name in wanted}


def metadata(mix: str, fields: Iterable[Mapping[str, object]]) -> bytes:
    """The document of the dataset itself.

    Args:
        mix: Name of the mix.
        fields: Declarations of all fields.
    """
    document = {
        "name": mix,
        "version": VERSION,
        "persistent": False,
        "media_type": "image",
        "tags": [],
        "description": f"The images of the mix {mix}, with the captions of every source",
        "info": {},
        "classes": {},
        "default_classes": [],
        "mask_targets": {},
        "default_mask_targets": {},
        "skeletons": {},
        "sample_fields": list(fields),
        "frame_fields": [],
        "saved_views": [],
        "workspaces": [],
        "annotation_runs": {},
        "brain_methods": {},
        "evaluations": {},
        "runs": {},
    }
    return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"


def _declared(name: str, value: object) -> dict[str, object]:
    if name in _FIXED:
        return _FIXED[name]
    if isinstance(value, dict):
        of = value["_cls"]
        fields = _LABEL if of == "Classification" else _LABEL_LIST
        return _field(name, _EMBEDDED, of=f"{_LABELS}.{of}", fields=fields)
    if isinstance(value, list):
        return _field(name, _LIST, subfield=_STRING)
    return _field(name, _TYPES.get(name, _FLOAT))


def _field(
    name: str,
    ftype: str,
    *,
    of: str | None = None,
    subfield: str | None = None,
    fields: Iterable[Mapping[str, object]] = (),
    db_field: str | None = None,
    read_only: bool = False,
) -> dict[str, object]:
    return {
        "name": name,
        "ftype": ftype,
        "embedded_doc_type": of,
        "subfield": subfield,
        "fields": list(fields),
        "db_field": db_field or name,
        "description": _MEANINGS.get(name),
        "info": None,
        "read_only": read_only,
    }


_SIZES = (
    _field("size_bytes", _INT),
    _field("mime_type", _STRING),
    *(_field(name, _INT) for name in ("width", "height", "num_channels")),
)
_LABEL = (
    _field("id", f"{_FIELDS}.ObjectIdField", db_field="_id"),
    _field("tags", _LIST, subfield=_STRING),
    _field("label", _STRING),
    _field("confidence", _FLOAT),
    _field("logits", f"{_FIELDS}.VectorField"),
)
_LABEL_LIST = (
    _field(
        "classifications",
        _LIST,
        subfield=_EMBEDDED,
        of=f"{_LABELS}.Classification",
        fields=_LABEL,
    ),
    _field("logits", f"{_FIELDS}.VectorField"),
)
_FIXED: Mapping[str, dict[str, object]] = {
    "id": _field("id", f"{_FIELDS}.ObjectIdField", db_field="_id", read_only=True),
    "_dataset_id": _field("_dataset_id", f"{_FIELDS}.ObjectIdField"),
    "created_at": _field("created_at", f"{_FIELDS}.DateTimeField", read_only=True),
    "last_modified_at": _field("last_modified_at", f"{_FIELDS}.DateTimeField", read_only=True),
    "metadata": _field(
        "metadata", _EMBEDDED, of="fiftyone.core.metadata.ImageMetadata", fields=_SIZES
    ),
}
