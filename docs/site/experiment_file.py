"""The page on the experiment file: every section, kind and key, from the classes that check it."""

import inspect
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from recap_assets.specs.experiment import Experiment
from recap_assets.specs.kinds import FAMILIES, Kind, kinds_of

Schema = Mapping[str, Any]

KIND = "one of the kinds"
"""What stands for a class that has a part of its own."""

HEAD = """# The experiment file

One YAML file declares an experiment. These are its sections and what may be in each, from the
classes that check it; [experiment.schema.json](experiment.schema.json) is for editors, and
`recap init` writes a commented file to begin with. Of a part with `kind:` the kinds follow below;
packages may add their own ([how](guides/write_a_kind.md)).
"""


def experiment_page() -> str:
    """The page, in markdown."""
    schema = Experiment.model_json_schema()
    mappings = dict(_mappings(schema))
    parts = [HEAD, "## Sections\n", _table(schema, mappings)]
    for family, about in FAMILIES.items():
        parts.append(f"## {family.replace('_', ' ').capitalize()}\n")
        parts.append(f"What {about.called} may be.\n")
        for kind in kinds_of(family).values():
            if kind.is_ours:
                of_kind = _schema_of(kind)
                mappings |= dict(_mappings(of_kind))
                parts.append(_of_kind(kind, about.field, of_kind, mappings))
    parts.append("## Mappings\n")
    parts += [_of_mapping(name, mappings) for name in sorted(mappings)]
    return "\n".join(parts)


def _schema_of(kind: Kind) -> Schema:
    assert kind.spec is not None, "our own kinds can be used"  # noqa: S101 - `is_ours`
    return kind.spec.model_json_schema()


def _mappings(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """What is a mapping of keys within others, and no kind, which has a part of its own."""
    for name, one in schema.get("$defs", {}).items():
        if one.get("type") == "object" and one.get("properties") and name not in _kinds():
            yield name, one


@cache
def _kinds() -> frozenset[str]:
    """The names of the classes of all kinds."""
    found = (kind.spec for family in FAMILIES for kind in kinds_of(family).values())
    return frozenset(spec.__name__ for spec in found if spec is not None)


def _of_mapping(name: str, mappings: Schema) -> str:
    about = mappings[name].get("description", "")
    return "\n".join([f"### {name}\n", f"{about}\n", _table(mappings[name], mappings)])


def _of_kind(kind: Kind, field: str | None, schema: Schema, mappings: Schema) -> str:
    title = f"{field}: {kind.name}" if field else kind.name
    needs = f"Needs `{kind.needs}`.\n" if kind.needs else ""
    written = getattr(kind.spec, "example", "").rstrip()
    example = f"```yaml\n{written}\n```\n" if written else ""
    about = inspect.cleandoc(kind.spec.__doc__ or "")
    return "\n".join([f"### `{title}`\n", f"{about}\n", needs, example, _table(schema, mappings)])


def _table(schema: Schema, definitions: Schema) -> str:
    rows = list(_rows(schema, definitions))
    if not rows:
        return ""
    return "\n".join(["| key | value | by default | |", "| --- | --- | --- | --- |", *rows, ""])


def _rows(schema: Schema, definitions: Schema) -> Iterator[str]:
    required = set(schema.get("required", ()))
    for name, value in schema.get("properties", {}).items():
        if "const" in value:
            continue
        default = "required" if name in required else _default(value)
        cells = (f"`{name}`", _shape(value, definitions), default, value.get("description", ""))
        yield f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _default(value: Schema) -> str:
    default = value.get("default")
    if default is None or default in ({}, [], ""):
        return ""
    written = json.dumps(default, ensure_ascii=False)
    return f"`{written}`" if len(written) <= 40 else ""


def _shape(value: Schema, definitions: Schema) -> str:
    """What a key may hold, in words."""
    if "$ref" in value:
        return _named(value["$ref"].rpartition("/")[2], definitions)
    if "const" in value or "enum" in value:
        return ", ".join(f"`{one}`" for one in value.get("enum", [value.get("const")]))
    several = [one for key in ("anyOf", "oneOf", "allOf") for one in value.get(key, ())]
    if several:
        shapes = [_shape(one, definitions) for one in several if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(shapes))
    if value.get("type") == "array":
        items = value.get("items") or next(iter(value.get("prefixItems", ())), {})
        return f"list of {_shape(items, definitions)}"
    if value.get("type") == "object":
        return _mapping(value, definitions)
    return _plain(value)


def _named(name: str, definitions: Schema) -> str:
    if name in definitions:
        return f"[{name}](#{name.lower()})"
    return KIND if name in _kinds() else "anything"


def _plain(value: Schema) -> str:
    words = {
        "integer": f"whole number{_bounds(value)}",
        "number": f"number{_bounds(value)}",
        "string": "text",
        "boolean": "`true`, `false`",
    }
    return words.get(value.get("type", ""), "anything")


def _mapping(value: Schema, definitions: Schema) -> str:
    inside = value.get("additionalProperties")
    if not isinstance(inside, Mapping) or not inside:
        return "mapping"
    return f"mapping of names to {_shape(inside, definitions)}"


def _bounds(value: Schema) -> str:
    low, high = value.get("minimum"), value.get("maximum")
    above, below = value.get("exclusiveMinimum"), value.get("exclusiveMaximum")
    said = [
        f"{word} {bound:g}"
        for word, bound in (("≥", low), (">", above), ("≤", high), ("<", below))
        if bound is not None
    ]
    return f" {', '.join(said)}" if said else ""
