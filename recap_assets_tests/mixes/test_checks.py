"""What is wrong with the pairs of any partition is found, and counted over all of them."""

import polars as pl
import pytest

from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.graph.checks import Verdict
from recap_assets.graph.project import Project
from recap_assets.mixes.assets import nodes
from recap_assets_tests.mixes.written_mixes import build_mixes, mixes_experiment, written_pool

MIX = "either"
RULES = [{"use": "raw", "where": {"top": 0.3}}, {"use": "a", "where": {"top": 0.6}}]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    mixes = {MIX: {"scorer": "clip", "rules": RULES}}
    project = written_pool(tmp_path_factory.mktemp("checks"), mixes_experiment(mixes=mixes))
    build_mixes(project)
    return project


def verdict(project: Project) -> Verdict:
    (node,) = (one for one in nodes(project) if one.key == CURATED_MIXES.key(MIX))
    (check,) = node.checks
    return check.evaluate(list(project.partitions))


def test_sound_pairs_are_counted_by_source_over_all_partitions(project: Project) -> None:
    pairs = project.workspace.tables.read(CURATED_MIXES, mix=MIX)
    assert pairs["partition"].n_unique() > 1
    shares = dict(pairs.group_by("source").agg(pl.len() / pairs.height).iter_rows())
    assert len(shares) == 2
    found = verdict(project)
    assert found.passed
    assert found.figures == {
        "pairs": pairs.height,
        "two_rules": 0,
        "bad": 0,
        **{f"share/{source}": pytest.approx(share) for source, share in shares.items()},
    }


def test_a_pair_without_text_and_an_image_of_two_rules_are_wrong(project: Project) -> None:
    last = list(project.partitions)[-1]
    at = {"mix": MIX, "partition": last}
    tables = project.workspace.tables
    pairs = tables.read(CURATED_MIXES, None, **at).drop("mix", "partition")
    other = pairs[:1].with_columns(rule=9, candidate=pl.lit(7, pl.Int16)).cast(pairs.schema)
    wrong = pl.concat(
        [pairs.with_columns(text=pl.col("text").replace(pairs["text"][1], "")), other]
    )
    tables.replace(CURATED_MIXES, at, wrong)
    try:
        found = verdict(project)
    finally:
        tables.replace(CURATED_MIXES, at, pairs)
    assert not found.passed
    assert found.figures["two_rules"] == 1
    assert int(found.figures["bad"]) >= 1
