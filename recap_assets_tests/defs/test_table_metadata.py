"""Dagster's own names for what a table is: its columns, what they are made of, its place."""

from pathlib import Path

import dagster as dg
import pytest

from recap_assets.artefacts.catalogue import TABLES
from recap_assets.artefacts.column_origins import ORIGINS
from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.defs.session import Session
from recap_assets.defs.table_metadata import described, place_of
from recap_assets.graph.node import Node


def lineage_of(session: Session, asset: str) -> dict[str, set[str]]:
    """Of each column the columns that it is made of, as `asset.column`."""
    value = described(session.project, session.graph.nodes[asset])["dagster/column_lineage"].value
    assert isinstance(value, dg.TableColumnLineage)
    return {
        name: {f"{dep.asset_key.to_user_string()}.{dep.column_name}" for dep in deps}
        for name, deps in value.deps_by_column.items()
    }


def test_every_origin_is_a_column_that_there_is() -> None:
    for table, columns in ORIGINS.items():
        for name, origins in columns.items():
            assert name in TABLES[table].columns, (table, name)
            for read, names in origins:
                assert set(names) <= set(read.columns), (table, name, read.name)


def test_a_mix_says_where_its_columns_come_from(session: Session) -> None:
    lineage = lineage_of(session, "curated_mixes/mixed")
    assert lineage["text"] == {"raw_pool.text", "synthetic_captions/a.text"}
    assert lineage["score"] == {"clip_scores/clip/raw.score", "clip_scores/clip/a.score"}
    assert lineage["image_hash"] == {"raw_pool.sha256"}
    # A mix of raw texts has none of the captioner.
    assert lineage_of(session, "curated_mixes/raw")["text"] == {"raw_pool.text"}


def test_what_reads_images_alone_is_made_of_no_text(session: Session) -> None:
    lineage = lineage_of(session, "image_embeddings/clip")
    assert lineage["embedding"] == {"raw_pool.offset", "raw_pool.size"}
    assert lineage_of(session, "synthetic_captions/a")["text"] == lineage["embedding"]


def test_only_what_an_asset_reads_is_in_its_lineage(session: Session) -> None:
    for key, node in session.graph.nodes.items():
        if "dagster/column_lineage" in described(session.project, node):
            made_of = set().union(*lineage_of(session, key).values())
            read = {dependency.asset for dependency in node.dependencies}
            assert {column.rpartition(".")[0] for column in made_of} <= read, key


def test_a_tables_columns_name_and_place(session: Session) -> None:
    found = described(session.project, session.graph.nodes["curated_mixes/mixed"])
    schema = found["dagster/column_schema"].value
    assert isinstance(schema, dg.TableSchema)
    assert [column.name for column in schema.columns] == list(CURATED_MIXES.columns)
    assert {c.name for c in schema.columns if c.constraints.nullable} == {
        name for name, column in CURATED_MIXES.columns.items() if column.nullable
    }
    assert found["dagster/table_name"].value == "tiny.curated_mixes"
    assert found["dagster/storage_kind"].value == "deltalake"
    table = session.project.workspace.root / "tables" / "curated_mixes"
    assert found["dagster/uri"].value == table.as_uri()


def test_the_place_of_files_is_their_folder(session: Session) -> None:
    node = session.graph.nodes["trained_clip/raw"]
    place = place_of(node, "0")["dagster/uri"].value
    assert isinstance(place, str)
    assert Path(place.removeprefix("file://")).is_relative_to(session.project.workspace.root)
    assert place_of(session.graph.nodes["raw_pool"], "00000") == {}


def test_no_password_of_a_place_is_shown(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    node: Node = session.graph.nodes["raw_pool"]
    place = "https://me:hunter2@host/tables/raw_pool"
    monkeypatch.setattr(type(node.content.tables), "uri", lambda *_: place)
    assert described(session.project, node)["dagster/uri"].value == (
        "https://me:[hidden]@host/tables/raw_pool"
    )
