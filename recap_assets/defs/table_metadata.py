"""What Dagster knows under names of its own: a table's name, place, columns, and their lineage."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg
import polars as pl

from recap_assets.artefacts.column_origins import ORIGINS, columns_read
from recap_assets.artefacts.table import Column, Table
from recap_assets.graph.content import StoredFiles, StoredRows
from recap_assets.graph.node import Dependency, Node
from recap_assets.graph.project import Project
from recap_assets.untrusted.secrets import redacted

NAMESPACE = "dagster/"
DELTA, FILES = "deltalake", "filesystem"

Metadata = Mapping[str, dg.MetadataValue]


def described(project: Project, node: Node) -> dict[str, dg.MetadataValue]:
    """What holds for all of an asset: its table's name, place, columns and their lineage.

    Args:
        project: Whose experiment's name is the first part of the table's.
        node: The asset.
    """
    content = node.content
    if isinstance(content, StoredRows):
        uri = _uri(content.tables.uri(content.table))
        return {
            **_named(project, content.table),
            f"{NAMESPACE}uri": dg.MetadataValue.text(uri),
            f"{NAMESPACE}storage_kind": dg.MetadataValue.text(DELTA),
            f"{NAMESPACE}column_schema": dg.MetadataValue.table_schema(_schema(content.table)),
            **_lineage(node, content.table),
        }
    if isinstance(content, StoredFiles):
        return {f"{NAMESPACE}storage_kind": dg.MetadataValue.text(FILES)}
    return {}


def place_of(node: Node, partition: str) -> dict[str, dg.MetadataValue]:
    """The folder of a partition whose content is files; nothing for others."""
    if not isinstance(node.content, StoredFiles):
        return {}
    return {f"{NAMESPACE}uri": dg.MetadataValue.text(_uri(str(node.content.root(partition))))}


def _named(project: Project, table: Table) -> Metadata:
    name = f"{project.experiment.name}.{table.name}"
    return {f"{NAMESPACE}table_name": dg.MetadataValue.text(name)}


def _uri(place: str) -> str:
    return redacted(place if "://" in place else Path(place).absolute().as_uri())


def _schema(table: Table) -> dg.TableSchema:
    return dg.TableSchema(
        [_column(name, column, table.schema[name]) for name, column in table.columns.items()],
        dg.TableConstraints([f"{name}: {sql}" for name, sql in table.constraints]),
    )


def _column(name: str, column: Column, dtype: pl.DataType) -> dg.TableColumn:
    constraints = dg.TableColumnConstraints(nullable=column.nullable)
    return dg.TableColumn(name, str(dtype), column.meaning, constraints)


def _lineage(node: Node, table: Table) -> Metadata:
    made_of = {
        name: found
        for name, origins in ORIGINS.get(table.name, {}).items()
        if (found := [dep for origin in origins for dep in _columns(node, *origin)])
    }
    if not made_of:
        return {}
    lineage = dg.TableColumnLineage(made_of)
    return {f"{NAMESPACE}column_lineage": dg.MetadataValue.column_lineage(lineage)}


def _columns(node: Node, table: Table, columns: tuple[str, ...]) -> Iterator[dg.TableColumnDep]:
    """The columns as they are in those assets of the table that the node reads."""
    for read in node.dependencies:
        if _is_of(read, table):
            key = dg.AssetKey(read.asset.split("/"))
            for name in columns_read(columns, read.facets):
                yield dg.TableColumnDep(key, name)


def _is_of(read: Dependency, table: Table) -> bool:
    return read.asset.partition("/")[0] == table.name
