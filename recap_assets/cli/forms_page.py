"""The page docs/json.md, from the forms."""

from collections.abc import Iterator, Mapping
from typing import Any

from recap_assets.cli.forms import FORMAT, FORMS, schema_of


def forms_page() -> str:
    """docs/json.md: every form as a table."""
    return "\n".join([_INTRODUCTION, *(part for name in FORMS for part in _parts(name))])


_INTRODUCTION = f"""# What commands print with `--json`

Made by `recap schema --commands`; a test holds it to the code, and others hold the commands to it.
`recap schema COMMAND` prints the JSON schema of one, such as `recap schema 'mix try'`. Only JSON
goes to the standard output then; progress, tables and warnings go to the error output, and the exit
code is what it is without `--json`. This is format {FORMAT}: keys are added to it, and none is
renamed, removed or given another type.

`recap schema` itself prints JSON, `install-img2dataset` and `serve-captioner` what the programs
print that they start.
"""


def _parts(command: str) -> Iterator[str]:
    schema = schema_of(command)
    yield f"## `recap {command} --json`\n"
    if schema.get("type") == "array":
        yield "A list of objects.\n"
        schema = {**schema["items"], "$defs": schema.get("$defs", {})}
    known: dict[str, Any] = schema.get("$defs", {})
    whole = [{"$ref": one["$ref"]} for one in schema.get("anyOf", ())] or [schema]
    for one in whole:
        form = known[_named(one)] if "$ref" in one else one
        yield from _table(form)
    tops = {_named(one) for one in whole if "$ref" in one}
    for name, form in known.items():
        if name not in tops:
            yield f"`{name}`:\n"
            yield from _table(form)


def _table(form: Mapping[str, Any]) -> Iterator[str]:
    yield f"{form.get('description', '')}\n"
    yield "| key | type | meaning |\n| --- | --- | --- |"
    needed: list[str] = form.get("required", [])
    for name, field in form["properties"].items():
        where = "" if name in needed else "Not always there. "
        yield f"| `{name}` | {_type(field)} | {where}{field.get('description', '')} |"
    yield ""


def _named(field: Mapping[str, Any]) -> str:
    return str(field["$ref"]).rpartition("/")[2]


def _type(field: Mapping[str, Any]) -> str:
    if "$ref" in field:
        return f"`{_named(field)}`"
    if "anyOf" in field:
        return " or ".join(_type(one) for one in field["anyOf"])
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    if field.get("type") == "object":
        values = field.get("additionalProperties")
        return f"object of {_type(values)}" if isinstance(values, dict) else "object"
    return str(field.get("type", "any"))
