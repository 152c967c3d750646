"""How a mix came about in the terms of PROV-O, as Croissant 1.1 recommends."""

from collections.abc import Mapping
from importlib import metadata

from recap_assets.exports.facts import Ancestor, Curation, Holdings
from recap_assets.specs.sources import RAW

PROV = "http://www.w3.org/ns/prov#"


def provenance(curation: Curation) -> Mapping[str, object]:
    """Of the dataset: what it was derived from, and the activities that led to it, in their order.

    An entity is an asset with its data version; an activity is what made one, named by the hashes
    of code and settings, and uses other entities. Without receipts there is the mix alone.
    """
    ancestors = curation.ancestors or _mix_alone(curation)
    entities = {one.asset: _entity_id(curation, one) for one in ancestors}
    return {
        "prov:wasDerivedFrom": [
            {
                "@type": "prov:Entity",
                "@id": entities[one.asset],
                "prov:label": one.asset,
                "version": one.version,
            }
            for one in ancestors
        ],
        "prov:wasGeneratedBy": [_activity(curation, one, entities) for one in ancestors],
    }


def authorship(held: Holdings, curation: Curation) -> Mapping[str, object]:
    """Of the chosen texts: the agents that wrote them."""
    used = [name for name in (RAW, *curation.sources) if name == RAW or name in curation.sources]
    known = [name for name in used if _writes(name, held)]
    return {"prov:wasAttributedTo": [_agent(curation, name) for name in known]} if known else {}


def _writes(source: str, held: Holdings) -> bool:
    # The text of a `join` is of several sources, whose names a plus connects.
    return any(source in name.split("+") for name in held.by_source)


def _mix_alone(curation: Curation) -> tuple[Ancestor, ...]:
    return tuple(Ancestor(name, version, (), ()) for name, version in curation.versions.items())


def _urn(curation: Curation, *parts: str) -> str:
    return ":".join(("urn:recap", curation.experiment, *parts))


def _entity_id(curation: Curation, one: Ancestor) -> str:
    return _urn(curation, one.asset, one.version)


def _activity(
    curation: Curation, one: Ancestor, entities: Mapping[str, str]
) -> Mapping[str, object]:
    activity: dict[str, object] = {
        "@type": "prov:Activity",
        "@id": _urn(curation, "making", one.asset, one.version),
        "prov:label": f"Making {one.asset}",
        "prov:generated": {"@id": entities[one.asset]},
        "prov:wasAssociatedWith": _program(),
    }
    if one.reads:
        activity["prov:used"] = [{"@id": entities[name]} for name in one.reads]
    if one.code_versions:
        activity["identifier"] = list(one.code_versions)
    return activity


def _program() -> Mapping[str, object]:
    version = metadata.version("recap-assets")
    return {
        "@type": "prov:SoftwareAgent",
        "@id": f"urn:recap:recap-assets:{version}",
        "prov:label": f"recap-assets {version}",
    }


def _agent(curation: Curation, source: str) -> Mapping[str, object]:
    if source == RAW:
        label, kind = "Whoever wrote the pool's own text", "prov:Agent"
    else:
        said = curation.sources[source]
        words = [str(said[name]) for name in ("kind", "model", "revision") if said.get(name)]
        label, kind = f"{source}: {' '.join(words)}", "prov:SoftwareAgent"
    return {"@type": kind, "@id": _urn(curation, "source", source), "prov:label": label}
