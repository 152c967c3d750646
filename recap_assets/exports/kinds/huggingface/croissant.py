"""Croissant metadata of a parquet export: what its files and columns are, for machines."""

import json
from collections.abc import Mapping

from recap_assets.exports.facts import Curation, Holdings
from recap_assets.exports.kinds.huggingface.parquets import hub_columns

FILES = "parquet-files"
RECORDS = "samples"
CONFORMS_TO = "http://mlcommons.org/croissant/1.0"

_CONTEXT: Mapping[str, object] = {
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs",
    "column": "cr:column", "conformsTo": "dct:conformsTo", "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/", "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract", "field": "cr:field", "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty", "fileSet": "cr:fileSet", "format": "cr:format",
    "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath",
    "key": "cr:key", "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/", "recordSet": "cr:recordSet",
    "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated",
    "replace": "cr:replace", "sc": "https://schema.org/", "separator": "cr:separator",
    "source": "cr:source", "subField": "cr:subField", "transform": "cr:transform",
}  # fmt: skip
"""The context that Croissant 1.0 prescribes."""

_MEANINGS: Mapping[str, tuple[str, str]] = {
    "uid": ("sc:Text", "Sample id: 32 hex digits, DataComp's uid."),
    "image": ("sc:ImageObject", "The image, encoded as it was found."),
    "text": ("sc:Text", "The text that the mix chose."),
    "source": ("sc:Text", "Where the text comes from: `raw`, or a captioner."),
    "score": ("sc:Float", "Score of image and text by the mix's scorer."),
    "weight": ("sc:Float", "How often training draws the pair, relatively."),
    "copies": ("sc:Integer", "How many times the pair is in the mix."),
    "url": ("sc:Text", "Where the image was found."),
    "sha256": ("sc:Text", "Of the image's bytes, in hex."),
    "width": ("sc:Integer", "Pixels."),
    "height": ("sc:Integer", "Pixels."),
}


def croissant(
    held: Holdings, curation: Curation, *, with_images: bool, licence: str | None
) -> bytes:
    """The file croissant.json (Croissant 1.0).

    The column `captions`, a list of structures, is in the card only: Croissant has no form for it
    that its own reader follows into parquet.
    """
    known = hub_columns(with_images=with_images, with_copies=curation.has_copies)
    columns = [name for name in known if name in _MEANINGS]
    content: dict[str, object] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": curation.mix,
        "description": f"{held.n_samples:,} samples of image and text: mix {curation.mix} of "
        f"experiment {curation.experiment}; see README.md.",
        "conformsTo": CONFORMS_TO,
        "version": "1.0.0",
        "distribution": [
            {
                "@type": "cr:FileSet",
                "@id": FILES,
                "name": FILES,
                "description": "Parquet files, the images embedded where there are any.",
                "encodingFormat": "application/x-parquet",
                "includes": "**/train-*.parquet",
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": RECORDS,
                "name": RECORDS,
                "description": "A row for each sample.",
                "field": [_field(column) for column in columns],
            }
        ],
    }
    if licence:
        content["license"] = licence
    return json.dumps(content, indent=1).encode()


def _field(column: str) -> dict[str, object]:
    kind, meaning = _MEANINGS[column]
    source: dict[str, object] = {"fileSet": {"@id": FILES}, "extract": {"column": column}}
    if column == "image":
        source["transform"] = {"jsonPath": "bytes"}
    return {
        "@type": "cr:Field",
        "@id": f"{RECORDS}/{column}",
        "name": column,
        "description": meaning,
        "dataType": kind,
        "source": source,
    }
