"""Croissant metadata of a parquet export: what its files and columns are, for machines."""

import json
from collections.abc import Mapping

from recap_assets.exports.facts import Curation, Holdings
from recap_assets.exports.kinds.huggingface.about import About
from recap_assets.exports.kinds.huggingface.parquets import hub_columns
from recap_assets.exports.kinds.huggingface.provenance import PROV, authorship, provenance

FILES = "parquet-files"
RECORDS = "samples"
CONFORMS_TO = "http://mlcommons.org/croissant/1.1"

_CONTEXT: Mapping[str, object] = {
    "@language": "en", "@vocab": "https://schema.org/", "annotation": "cr:annotation",
    "arrayShape": "cr:arrayShape", "citeAs": "cr:citeAs", "column": "cr:column",
    "conformsTo": "dct:conformsTo", "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/", "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/", "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"}, "excludes": "cr:excludes",
    "extract": "cr:extract", "field": "cr:field", "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty", "fileSet": "cr:fileSet", "format": "cr:format",
    "includes": "cr:includes", "isArray": "cr:isArray", "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath", "key": "cr:key", "md5": "cr:md5",
    "name": {"@container": "@language"}, "parentField": "cr:parentField", "path": "cr:path",
    "prov": PROV, "rai": "http://mlcommons.org/croissant/RAI/", "readLines": "cr:readLines",
    "recordSet": "cr:recordSet", "references": "cr:references", "regex": "cr:regex",
    "repeated": "cr:repeated", "replace": "cr:replace", "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/", "sdVersion": "cr:sdVersion", "separator": "cr:separator",
    "source": "cr:source", "subField": "cr:subField", "transform": "cr:transform",
    "unArchive": "cr:unArchive", "value": "cr:value",
}  # fmt: skip
"""The context of Croissant 1.1 (appendix 1), what its own reader asks for beside, and PROV-O."""

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


def croissant(held: Holdings, curation: Curation, about: About, *, with_images: bool) -> bytes:
    """The file croissant.json (Croissant 1.1, provenance in the terms of PROV-O).

    The column `captions`, a list of structures, is in the card only: Croissant has no form for it
    that its own reader follows into parquet.
    """
    content: dict[str, object] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": curation.mix,
        "description": f"{held.n_samples:,} samples of image and text: mix {curation.mix} of "
        f"experiment {curation.experiment}; see README.md.",
        "conformsTo": CONFORMS_TO,
        "version": "1.0.0",
        **about.in_croissant(curation.languages),
        **provenance(curation),
        "distribution": [_FILE_SET],
        "recordSet": [_records(held, curation, with_images=with_images)],
    }
    return json.dumps(content, indent=1).encode()


_FILE_SET: Mapping[str, object] = {
    "@type": "cr:FileSet",
    "@id": FILES,
    "name": FILES,
    "description": "Parquet files, the images embedded where there are any.",
    "encodingFormat": "application/x-parquet",
    "includes": "**/train-*.parquet",
}


def _records(held: Holdings, curation: Curation, *, with_images: bool) -> dict[str, object]:
    known = hub_columns(with_images=with_images, with_copies=curation.has_copies)
    fields = {name: _field(name) for name in known if name in _MEANINGS}
    fields["text"] |= authorship(held, curation)
    return {
        "@type": "cr:RecordSet",
        "@id": RECORDS,
        "name": RECORDS,
        "description": "A row for each sample.",
        "field": list(fields.values()),
    }


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
