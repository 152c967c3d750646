"""What a node's edges say that it does not read may be anything: its rows stay what they are."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.facets import (
    CAPTION_FACETS,
    FILES,
    IMAGES,
    MIX_FACETS,
    POOL_FACETS,
    Facet,
)
from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import Table
from recap_assets.assembly.graph import build_graph
from recap_assets.graph.building import build_partition
from recap_assets.graph.content import StoredRows
from recap_assets.graph.node import Dependency, Node, Outcome, Rows, Step
from recap_assets.graph.project import Project
from recap_assets.specs.loading import parse_experiment
from recap_assets.storage.content import facet_version, slice_version
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.assembly.decisions import every_kind
from recap_assets_tests.tiny import EXPERIMENT, Bench
from recap_assets_tests.trained_once import trained_once

PARTITION = "00001"
FACETS: Mapping[str, tuple[Table, Mapping[str, Facet]]] = {
    "raw_pool": (RAW_POOL, POOL_FACETS),
    "synthetic_captions": (SYNTHETIC_CAPTIONS, CAPTION_FACETS),
    "curated_mixes": (CURATED_MIXES, MIX_FACETS),
}
PLACE = ("key", "offset", "size")
"""Of an image that has a hash: a reader finds it there, and knows it by its hash."""

SETS: Mapping[str, Any] = {
    "same_bytes": {"kind": "unique", "by": "sha256"},
    "alike": {"kind": "unique", "by": "perceptual", "bits": 4},
    "like": {"kind": "unique", "by": "embedding", "scorer": "clip", "clusters": 3},
    "same_text": {"kind": "unique", "by": "text", "source": "raw"},
    "same_caption": {"kind": "unique", "by": "text", "source": "a", "keep": "first"},
    "spread": {
        "kind": "balanced", "scorer": "clip", "clusters": 3, "per_cluster": 2, "best_by": "a",
    },
    "near": {"kind": "image_based", "scorer": "clip", "clusters": 3, "target": {"task": "coarse"}},
    "usual": {"kind": "frequency", "source": "raw", "images_per_text": 5},
    "worldly": {"kind": "basic", "identifier": "cld3"},
}  # fmt: skip


def experiment_of(folder: Path) -> Mapping[str, Any]:
    entries = folder / "entries.txt"
    entries.write_text("red\nblue\nsmall\n")
    sets = {**SETS, "curated": {"kind": "entries", "entries": str(entries)}}
    return {
        **EXPERIMENT,
        "pool": {**EXPERIMENT["pool"], "columns": {"label": "json.fine"}},
        "sources": {
            "a": {**EXPERIMENT["sources"]["a"], "candidates": 2},
            "titled": {"kind": "template", "template": "{a}, {raw}"},
            "parts": {"kind": "split", "source": "raw"},
            "best": {"kind": "reranked", "source": "a", "scorer": "clip", "keep": 1},
            "of_label": {"kind": "shared", "source": "a", "group": "label", "keep": 3},
            "of_raw": {"kind": "shared", "source": "raw", "group": "label", "keep": 3},
        },
        "scorers": {
            **EXPERIMENT["scorers"],
            "contrast": {"kind": "neg_clip_loss", "scorer": "clip"},
            "sieve": {"kind": "text_similarity", "captions": "a", "scorer": "clip"},
            "length": {"kind": "words", "measure": "listed_share", "words": str(entries)},
            "least": {"kind": "combined", "how": "min", "of": [{"scorer": "clip"}]},
        },
        "sets": sets,
        "exports": {"tars": {"mix": "mixed", "to": "webdataset", "captions": ["a"]}},
        "mixes": {
            **{n: {"scorer": "clip", "rules": rules} for n, rules in EXPERIMENT["mixes"].items()},
            "of_sets": {
                "scorer": "clip",
                "rules": [{"use": "raw", "where": {"any": [{"in_set": name} for name in sets]}}],
            },
            "copies": {
                "scorer": "clip",
                "rules": [{"use": {"random_of": {"raw": 1, "a": 1}}}],
                "copies": {"of": "clip.used", "size": 60, "cap": 5},
            },
        },
    }  # fmt: skip


def reads_facets(node: Node) -> bool:
    """Whether it does, and is made of nothing that is trained; the page has the time on it."""
    is_trained = node.stage in ("models", "training")
    return (
        node.stage != "report"
        and not is_trained
        and any(dependency.facets for dependency in node.dependencies)
    )


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A pool with captions and all that reads facets, built."""
    folder = tmp_path_factory.mktemp("facets")
    bench = Bench(folder / "data", parse_experiment(experiment_of(folder)))
    wanted = bench.graph.ancestors(n.key for n in bench.graph.nodes.values() if reads_facets(n))
    for key in [key for key in bench.graph.nodes if key in wanted]:
        node = trained_once(bench.graph.nodes[key])
        for partition in bench.graph.partitions(node):
            built = build_partition(bench.graph, bench.memory, node, partition)
            bench.memory.keep(node, partition, built)
    return bench


def other_values(rows: pl.DataFrame, column: str) -> pl.Series:
    """Values that the column has not, of its type."""
    dtype, numbers = rows.schema[column], range(1, rows.height + 1)
    if column == "status":
        return pl.Series(column, ["truncated"] * rows.height)
    if dtype == pl.Binary:
        return pl.Series(column, [bytes([number]) * 16 for number in numbers], dtype)
    if dtype == pl.String:
        return pl.Series(column, [f"other {number}" for number in numbers], dtype)
    return (rows[column].fill_null(0) + pl.Series(numbers)).cast(dtype).alias(column)


def with_one_aside(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows, and one that is set aside, where some can be."""
    if "status" not in rows.columns:
        return rows
    lost = {"status": "rejected", "reject_reason": "other", "uid": b"lost" * 4, "text": "lost"}
    aside = rows[:1].with_columns(pl.lit(value).alias(name) for name, value in lost.items())
    return pl.concat([rows, aside.cast(rows.schema)])  # type: ignore[arg-type]


def perturbed(rows: pl.DataFrame, facets: Sequence[Facet], kept: Collection[str]) -> pl.DataFrame:
    """The rows with everything changed that is in none of the facets, by whatever they hold."""

    def holds(changed: pl.DataFrame) -> bool:
        return all(facet_version(of(rows)) == facet_version(of(changed)) for of in facets)

    # Whoever counts what is set aside names the facet that holds it.
    changed = with_one_aside(rows)
    changed = changed if holds(changed) else rows
    n_changed = 0
    for column in rows.columns:
        usable = pl.col("status") != "rejected" if "status" in rows.columns else pl.lit(value=True)
        values = pl.when(usable).then(other_values(changed, column)).otherwise(column)
        other = changed.with_columns(values.alias(column))
        if column not in kept and holds(other):
            changed, n_changed = other, n_changed + 1
    assert n_changed > 1
    return changed


def versions_of(bench: Bench, node: Node) -> dict[str, str]:
    """Hashes of what a node computes from the tables as they are now."""
    found = {}
    content = node.content
    for partition in bench.graph.partitions(node):
        computed = node.compute(Step(partition))
        if isinstance(computed, Outcome):
            found[partition] = computed.data_version
            continue
        assert isinstance(computed, Rows)
        assert isinstance(content, StoredRows)
        rows = computed.frame
        missing = {name: rows.schema.get(name) is None for name in content.table.columns}
        at = [pl.lit("").alias(name) for name, is_missing in missing.items() if is_missing]
        found[partition] = slice_version(content.table, rows.with_columns(at))
    return found


def test_every_facet_that_an_edge_names_is_one_of_what_it_reads(tmp_path: Path) -> None:
    n_edges = 0
    for experiment in every_kind():
        graph = build_graph(Project(experiment, Workspace(tmp_path, experiment.name)))
        for node in graph.nodes.values():
            for dependency in node.dependencies:
                content = graph.nodes[dependency.asset].content
                known = content.facets if isinstance(content, StoredRows) else {}
                assert set(dependency.facets) <= set(known), (node.key, dependency)
                n_edges += bool(dependency.facets)
    assert n_edges > 100


def edges_of(bench: Bench) -> dict[str, list[tuple[Node, Dependency]]]:
    """By asset the edges that name facets of it."""
    found: dict[str, list[tuple[Node, Dependency]]] = {}
    for node in bench.graph.nodes.values():
        for dependency in node.dependencies:
            if dependency.facets and reads_facets(node):
                found.setdefault(dependency.asset, []).append((node, dependency))
    return found


def test_rows_depend_on_nothing_that_the_facets_leave_out(bench: Bench, tmp_path: Path) -> None:
    bench = bench.copied(tmp_path / "data")
    readers = [node for node in bench.graph.nodes.values() if reads_facets(node)]
    known = {node.key: versions_of(bench, node) for node in readers}
    tables = bench.project.workspace.tables
    checked = set()
    for asset, edges in edges_of(bench).items():
        table, facets = FACETS[asset.partition("/")[0]]
        content = bench.graph.nodes[asset].content
        assert isinstance(content, StoredRows)
        at = {**content.at, "partition": PARTITION}
        rows = tables.read(table, None, **at).drop(table.slices)
        for read in {edge.facets for _, edge in edges}:
            kept = PLACE if {IMAGES, FILES}.intersection(read) else ()
            tables.replace(table, at, perturbed(rows, [facets[name] for name in read], kept))
            for node in [node for node, edge in edges if edge.facets == read]:
                assert versions_of(bench, node) == known[node.key], (node.key, asset, read)
                checked.add((asset.partition("/")[0], node.key.partition("/")[0], read))
        tables.replace(table, at, rows)
    assert len(checked) > 20
