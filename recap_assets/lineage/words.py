"""An origin for people: what each state of an asset was built from, for the terminal and the UI."""

import html
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.lineage.origin import Ancestor, Origin, State
from recap_assets.lineage.rows import JSON_COLUMNS, Receipt, Receipts, canonical
from recap_assets.lineage.walk import lineage_of
from recap_assets.untrusted.showing import safe_text

STATES_SHOWN = 4
MARKDOWN_LINES = 60
LINE_LENGTH = 400
VERSION_SHOWN = 12
MODEL_KEYS = ("model", "backbone", "start_from", "pretrained", "revision", "adapter")

Line = tuple[str, str]
"""A line's label, and what it says; neither is escaped for any medium."""


def headline(ancestor: Ancestor) -> str:
    """One line on an asset: its version to cite, partitions and rows."""
    rows = ancestor.rows
    counted = _counted(int(rows["n_rows"].sum()), "row")
    if rows["partition"].ne("").any():
        counted = f"{_counted(rows['partition'].n_unique(), 'partition')}, {counted}"
    return f"version {ancestor.version}, {counted}"


def state_lines(state: State, above: Receipt | None = None) -> Iterator[Line]:
    """What partitions that were built alike were built from.

    Args:
        state: The partitions.
        above: A receipt shown before; commit and libraries are shown only where they differ.
    """
    newest = state.newest
    yield "built", _built(state)
    spec = flattened(_unwrapped(json.loads(newest.decides)))
    if models := _models(spec):
        yield "model", _listed(models)
    if seeds := {k: v for k, v in spec.items() if k.rpartition(".")[2] == "seed"}:
        yield "seed", _listed(seeds)
    shown = models.keys() | seeds.keys()
    if rest := {name: value for name, value in spec.items() if name not in shown}:
        yield "spec", _listed(rest)
    if state.facts:
        yield "realised", _listed(state.facts)
    if state.inputs:
        yield "read", _inputs(state.inputs)
    if state.table_versions:
        yield "tables", _tables(state.table_versions)
    alike = above is not None and above.provenance == newest.provenance
    if not alike and newest.provenance:
        yield "by", _provenance(newest.provenance)
    yield "runs", _runs(state)


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _built(state: State) -> str:
    rows = state.rows
    first, last = (f"{time:%Y-%m-%d %H:%M:%S}" for time in _ends(rows["built_at"]))
    same_day = first[:10] == last[:10]
    times = first if first == last else f"{first} to {last[11:] if same_day else last}"
    keys = state.partitions
    if len(keys) == 1:
        which = f"partition {keys[0]}, " if keys[0] else ""
    else:
        which = f"{len(keys):,} partitions ({keys[0]} to {keys[-1]}), "
    seconds = rows["seconds"].sum()
    return (
        f"{which}{_counted(int(rows['n_rows'].sum()), 'row')}, {times} UTC, {seconds:,.1f} s on "
        f"{state.newest.device}, code {state.newest.code_version[:VERSION_SHOWN]} "
        f"(implementation {state.newest.implementation})"
    )


def _ends(times: pl.Series) -> tuple[datetime, datetime]:
    first, last = times.min(), times.max()
    assert isinstance(first, datetime)  # noqa: S101 - for the type checker
    assert isinstance(last, datetime)  # noqa: S101
    return first, last


def _unwrapped(decides: object) -> object:
    if isinstance(decides, dict) and len(decides) == 1:
        (only,) = decides.values()
        return only if isinstance(only, dict) else decides
    return decides


def flattened(value: object, prefix: str = "") -> dict[str, str]:
    """Nested JSON as dotted paths; what is null or empty is left out."""
    if isinstance(value, Mapping):
        parts = [flattened(inner, f"{prefix}.{key}") for key, inner in value.items()]
    elif isinstance(value, list) and any(isinstance(inner, dict | list) for inner in value):
        parts = [flattened(inner, f"{prefix}.{i}") for i, inner in enumerate(value)]
    elif value is None or value in ([], ""):
        return {}
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return {prefix.removeprefix("."): text}
    return {name: text for part in parts for name, text in part.items()}


def _models(spec: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in spec.items() if name.rpartition(".")[2] in MODEL_KEYS}


def _listed(values: Mapping[str, str]) -> str:
    return _short(", ".join(f"{name} {value}" for name, value in values.items()))


def _short(text: str) -> str:
    return text if len(text) <= LINE_LENGTH else f"{text[: LINE_LENGTH - 4]} ..."


def _inputs(inputs: Mapping[str, tuple[str, ...]]) -> str:
    parts = []
    for name, versions in inputs.items():
        one = next(iter(versions))[:VERSION_SHOWN]
        parts.append(f"{name} {one if len(versions) == 1 else f'{len(versions):,} versions'}")
    return _short(", ".join(parts))


def _tables(versions: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(
        f"{table} at Delta version {found[0]}"
        if len(found) == 1
        else f"{table} at {len(found):,} Delta versions from {found[0]} to {found[-1]}"
        for table, found in versions.items()
    )


def _provenance(provenance: Mapping[str, str]) -> str:
    values = {name.removeprefix("recap."): value for name, value in provenance.items()}
    return _listed({name: values[name] for name in sorted(values, key=lambda n: n != "commit")})


def _runs(state: State) -> str:
    runs = state.runs
    return runs[0] if len(runs) == 1 else f"{len(runs):,}, from {runs[0]} to {runs[-1]}"


def each_once(origin: Origin) -> Iterator[tuple[int, Ancestor, bool]]:
    """The tree, depth first: depth, asset, and whether it was shown before."""
    seen: set[str] = set()

    def visit(name: str, depth: int) -> Iterator[tuple[int, Ancestor, bool]]:
        ancestor = origin.ancestors[name]
        before = name in seen
        seen.add(name)
        yield depth, ancestor, before
        if not before:
            for dependency in ancestor.reads:
                if dependency in origin.ancestors:
                    yield from visit(dependency, depth + 1)

    yield from visit(origin.asset, 0)


def preview(receipts: Receipts, row: Mapping[str, Any]) -> str:
    """The tree of a partition that was just built, whose event is about to be written.

    Args:
        receipts: Of the asset and all that it reads, loaded once for a step.
        row: Columns of LINEAGE as far as they are known; JSON columns as text or as mappings.
    """
    frame = LINEAGE.empty().clear(1)
    known = {
        name: canonical(value) if isinstance(value, Mapping) else value
        for name, value in row.items()
    }
    given: dict[str, Any] = {
        **dict.fromkeys((*JSON_COLUMNS, "decides"), "{}"),
        "built_at": datetime.now(UTC), "event_id": 2**62, "reused": False, "implementation": 0,
        "n_rows": 0, "n_bytes": 0, "seconds": 0.0, **known,
    }  # fmt: skip
    values = [
        pl.lit(given.get(name, ""), dtype).alias(name) for name, dtype in LINEAGE.schema.items()
    ]
    origin = lineage_of(
        receipts.joined(frame.select(values)), row["asset"], row["partition"], beyond_whole=False
    )
    return lineage_markdown(origin)


def lineage_markdown(origin: Origin) -> str:
    """The tree as a markdown list of at most 60 lines, for the event of a materialization.

    All that came from data or specs is escaped: it shows as text and nothing else.
    """
    lines: list[str] = []
    above = origin.root.states[0].newest
    for depth, ancestor, before in each_once(origin):
        pad = "  " * depth
        mark = " (see above)" if before else f": {headline(ancestor)}"
        lines.append(f"{pad}- **{_escaped(ancestor.asset)}**{_escaped(mark)}")
        if before:
            continue
        known = None if depth == 0 else above
        for state in ancestor.states[:1]:
            said = dict(state_lines(state, known))
            lines += [
                f"{pad}  - {label}: {_escaped(said[label])}"
                for label in ("model", "seed", "spec", "realised", "read", "tables", "by")
                if label in said
            ]
        if len(ancestor.states) > 1:
            lines.append(f"{pad}  - and {len(ancestor.states) - 1} other states")
    if len(lines) > MARKDOWN_LINES:
        left = len(lines) - MARKDOWN_LINES + 1
        lines = [*lines[: MARKDOWN_LINES - 1], f"- {left} more lines: `recap lineage`"]
    return "\n".join(lines)


_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_[]()#!|~>"})


def _escaped(text: str) -> str:
    return html.escape(printable(text), quote=False).translate(_MARKDOWN)


def printable(text: str) -> str:
    """The text on one line, without secrets; control characters are shown by their code."""
    return safe_text(text).replace("\n", "\\x0a")
