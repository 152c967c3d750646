"""What card and Croissant say beside the content: origin, languages, licence, authors."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from pydantic import ValidationError

from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.sets import TEXT_LANGUAGES
from recap_assets.artefacts.table import Table
from recap_assets.exports.ancestors import ancestors_of
from recap_assets.exports.facts import Ancestor, Curation, Holdings
from recap_assets.exports.kinds.huggingface.front_matter import front_matter
from recap_assets.exports.kinds.huggingface.provenance import authorship, provenance
from recap_assets.exports.languages import identifiers_of, languages_of
from recap_assets.graph.project import Project
from recap_assets.specs.exports import parse_export
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.exports.exported_pools import exported
from recap_assets_tests.exports.test_forms import croissant_rows
from recap_assets_tests.lineage.receipts import small_log
from recap_assets_tests.tiny import tiny_experiment

ANCESTORS = (
    Ancestor("raw_pool", "p1", ("c1",), ()),
    Ancestor("curated_mixes/best", "m1", ("c2", "c3"), ("raw_pool",)),
)


def curation(**changes: Any) -> Curation:
    values: dict[str, Any] = {
        "experiment": "demo", "mix": "best", "rules": {}, "cutoffs": (),
        "sources": {"small": {"kind": "embedded", "model": "captioner"}}, "scorer": {},
        "versions": {"curated_mixes/best": "m1"},
    }  # fmt: skip
    return Curation(**values | changes)


def of_parquet(**fields: Any) -> Any:
    return parse_export({"to": "huggingface", "mix": "best", **fields})


def head_of(held: Holdings, of: Curation, **fields: Any) -> Mapping[str, Any]:
    text = front_matter(held, of, of_parquet(**fields), with_images=True)
    return yaml.safe_load(text.strip().strip("-"))


def test_the_origin_is_a_chain_of_entities_and_activities() -> None:
    said: Any = provenance(curation(ancestors=ANCESTORS))
    pool, mix = said["prov:wasDerivedFrom"]
    assert pool == {
        "@type": "prov:Entity", "@id": "urn:recap:demo:raw_pool:p1", "prov:label": "raw_pool",
        "version": "p1",
    }  # fmt: skip
    of_pool, of_mix = said["prov:wasGeneratedBy"]
    assert "prov:used" not in of_pool
    assert of_mix["prov:used"] == [{"@id": pool["@id"]}]
    assert of_mix["prov:generated"] == {"@id": mix["@id"]}
    assert of_mix["identifier"] == ["c2", "c3"]
    assert of_mix["prov:wasAssociatedWith"]["prov:label"].startswith("recap-assets ")


def test_without_receipts_the_origin_is_the_mix_alone() -> None:
    said: Any = provenance(curation())
    assert [one["@id"] for one in said["prov:wasDerivedFrom"]] == [
        "urn:recap:demo:curated_mixes/best:m1"
    ]


def test_texts_are_attributed_to_those_who_wrote_chosen_ones() -> None:
    of = curation(sources={"small": {"kind": "embedded"}, "unused": {"kind": "openai"}})
    said: Any = authorship(Holdings(3, 3, 9, {"raw+small": 3}), of)
    labels = [agent["prov:label"] for agent in said["prov:wasAttributedTo"]]
    assert labels == ["Whoever wrote the pool's own text", "small: embedded"]
    assert authorship(Holdings(0, 0, 0), of) == {}


def test_receipts_are_those_of_the_exported_pairs_or_none(tmp_path: Path) -> None:
    project = Project(tiny_experiment(), Workspace(tmp_path, "tiny"))
    assert ancestors_of(project, "m", {"00000": "x"}) == ()
    rows = small_log().frame()
    project.workspace.tables.append(LINEAGE, rows)
    of_mix = rows.filter(asset="curated_mixes/m").sort("event_id")
    versions = dict(of_mix.select("partition", "data_version").iter_rows())
    found = ancestors_of(project, "m", versions)
    assert [one.asset for one in found][-1] == "curated_mixes/m"
    assert {one.asset for one in found} == set(rows["asset"])
    for number, one in enumerate(found):
        assert set(one.reads) <= {earlier.asset for earlier in found[:number]}
    assert ancestors_of(project, "m", dict.fromkeys(versions, "other")) == ()


def filled(table: Table, **given: list[Any]) -> pl.DataFrame:
    """Rows of a table with the columns given, and something in all others."""
    n = len(next(iter(given.values())))
    empty: Mapping[Any, object] = {pl.String: "", pl.Binary: b"", pl.Boolean: False}
    columns = {name: [empty.get(dtype, 0)] * n for name, dtype in table.unsliced.items()}
    return pl.DataFrame({**columns, **given}, schema=table.unsliced, strict=False)


@pytest.fixture
def measured(tmp_path: Path) -> Project:
    """A mix of 200 measured texts of `raw`: en 150, iw 48, de 1, und 1."""
    experiment = tiny_experiment(sets={"english": {"kind": "basic"}})
    project = Project(experiment, Workspace(tmp_path, "tiny"))
    mix = next(
        name for name, one in experiment.mixes.items() if "raw" in experiment.reads(one).sources
    )
    uids = [number.to_bytes(16) for number in range(200)]
    tables = project.workspace.tables
    pairs = filled(CURATED_MIXES, uid=uids, source=["raw"] * 200)
    tables.replace(CURATED_MIXES, {"mix": mix, "partition": "00000"}, pairs)
    codes = ["en"] * 150 + ["iw"] * 48 + ["de", "und"]
    (identifier,) = set(identifiers_of(project, mix).values())
    rows = filled(TEXT_LANGUAGES, uid=uids, language=codes)
    tables.replace(
        TEXT_LANGUAGES, {"identifier": identifier, "source": "raw", "partition": "00000"}, rows
    )
    return project


def test_languages_are_those_measured_of_a_hundredth_of_the_texts_in_todays_codes(
    measured: Project,
) -> None:
    (mix,) = {
        name
        for name in measured.experiment.mixes
        if measured.workspace.tables.scan(CURATED_MIXES, mix=name).collect().height
    }
    assert languages_of(measured, mix) == ("en", "he")


def test_where_nothing_was_measured_no_language_is_named(tmp_path: Path) -> None:
    project = Project(tiny_experiment(), Workspace(tmp_path, "tiny"))
    assert languages_of(project, next(iter(project.experiment.mixes))) == ()


def test_the_hubs_metadata_says_who_wrote_and_where_it_is_from() -> None:
    held = Holdings(5_000_000_000, 5_000_000_000, 10, {"raw": 4, "small": 6})
    head = head_of(
        held, curation(languages=("en", "he")), license="other", license_name="ours",
        license_link="https://example.org/l", source_datasets=("mlfoundations/datacomp_1b",),
    )  # fmt: skip
    wanted = {
        "license": "other", "license_name": "ours", "license_link": "https://example.org/l",
        "language": ["en", "he"], "source_datasets": ["mlfoundations/datacomp_1b"],
        "annotations_creators": ["machine-generated"],
        "language_creators": ["found", "machine-generated"], "size_categories": ["1B<n<10B"],
    }  # fmt: skip
    assert {name: head[name] for name in wanted} == wanted
    drawn = head_of(Holdings(1, 1, 1, {"raw": 1}), curation(sources={}, is_drawn=True))
    assert drawn["source_datasets"] == ["original"]
    assert drawn["annotations_creators"] == ["no-annotation"]
    assert drawn["language_creators"] == ["found"]
    assert "synthetic-captions" not in drawn["tags"]
    assert "language" not in drawn


def test_croissant_is_valid_with_all_that_it_requires(project: Project, tmp_path: Path) -> None:
    done = exported(
        project, tmp_path, "paper", "huggingface", license="cc-by-4.0", creators=("Us",),
        url="https://example.org/data", published="2026-11-28", languages=("en",),
        source_datasets=("owner/name",),
    )  # fmt: skip
    assert len(croissant_rows(tmp_path / "croissant.json")) == done.written.n_samples
    said = json.loads((tmp_path / "croissant.json").read_text())
    assert said["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert said["@context"]["prov"] == "http://www.w3.org/ns/prov#"
    assert said["license"] == "https://spdx.org/licenses/CC-BY-4.0"
    assert said["isBasedOn"] == ["https://huggingface.co/datasets/owner/name"]
    assert (said["datePublished"], said["inLanguage"]) == ("2026-11-28", ["en"])
    assert said["creator"] == [{"@type": "sc:Organization", "name": "Us"}]
    (text,) = [f for f in said["recordSet"][0]["field"] if f["name"] == "text"]
    agents = {one["@id"]: one["@type"] for one in text["prov:wasAttributedTo"]}
    assert set(agents.values()) == {"prov:Agent", "prov:SoftwareAgent"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"source_datasets": ["a/b/c"]},
        {"languages": ["English"]},
        {"license_link": "javascript:alert(1)"},
        {"url": 'https://x"><script>'},
        {"creators": ["two\nlines"]},
        {"published": "soon"},
    ],
)
def test_what_would_garble_a_card_is_refused(wrong: Mapping[str, object]) -> None:
    with pytest.raises(ValidationError):
        of_parquet(**wrong)
