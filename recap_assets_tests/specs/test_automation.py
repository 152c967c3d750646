"""Cron lines, stages and zones are refused in words; nothing here decides what is in a table."""

import pytest
from dagster._utils.schedules import is_valid_cron_string
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from recap_assets.assembly.graph import STAGES as MODULES
from recap_assets.report import assets as report
from recap_assets.specs.automation import STAGES, Automation
from recap_assets.specs.loading import ExperimentError
from recap_assets_tests.tiny import Bench, tiny_experiment

FIELDS = st.one_of(
    st.just("*"),
    st.integers(-1, 70).map(str),
    st.builds("{}-{}".format, st.integers(0, 62), st.integers(0, 62)),
    st.builds("*/{}".format, st.integers(0, 62)),
    st.builds("{}-{}/{}".format, st.integers(0, 12), st.integers(5, 32), st.integers(0, 9)),
    st.builds("{},{}".format, st.integers(0, 32), st.integers(0, 32)),
    st.sampled_from(["mon", "SUN", "jan", "mon-fri", "jan-mar", "mars", "", "1-", "?", "L"]),
)


def accepted(cron: str) -> bool:
    try:
        Automation(schedules={"captions": cron})
    except ValidationError:
        return False
    return True


@given(st.lists(FIELDS, min_size=4, max_size=6).map(" ".join))
def test_what_is_accepted_is_a_cron_line_for_dagster(cron: str) -> None:
    assert not accepted(cron) or is_valid_cron_string(cron)


@pytest.mark.parametrize(
    "cron",
    [
        "0 2 * * *", "*/15 * * * *", "15 9-17/2 * * mon-fri", "0 0 1,15 * 0", "0 0 29 2 *",
        "@daily", "0 0 31 jan-mar *", "0 0 * * 7",
    ],
)  # fmt: skip
def test_usual_cron_lines_are_accepted(cron: str) -> None:
    assert accepted(cron)


@pytest.mark.parametrize(
    ("automation", "words"),
    [
        ({"schedules": {"captions": "0 25 * * *"}}, "the hour is '25'; .* from 0 to 23"),
        ({"schedules": {"captions": "at night"}}, "has five fields .*; this one is 'at night'"),
        ({"schedules": {"captions": "0 0 31 2 *"}}, "names a day that none of its months has"),
        ({"schedules": {"caption": "0 2 * * *"}}, "automation.schedules.caption: .*'captions'"),
        ({"stages": ["mix"]}, "automation.stages.0: .*'mixes'"),
        ({"timezone": "Mars"}, "automation.timezone: there is no time zone 'Mars'"),
        ({"partitions_per_run": 0}, "automation.partitions_per_run: .*greater than 0"),
    ],
)
def test_nonsense_is_refused_where_it_stands(automation: dict[str, object], words: str) -> None:
    with pytest.raises(ExperimentError, match=words):
        tiny_experiment(automation=automation)


def test_every_stage_of_the_graph_has_its_name(tmp_path):
    experiment = tiny_experiment(
        sets={"all": {"kind": "no_filter"}},
        exports={"uids": {"mix": "raw", "to": "subset"}},
        searches={
            "best": {
                "over": {"mixes.mixed.rules.0.where.top": {"low": 0.1, "high": 0.5}},
                "samples_seen": 16,
            }
        },
    )
    bench = Bench(tmp_path, experiment)
    assert {node.stage for node in bench.graph.nodes.values()} == set(STAGES)
    of_modules = [node.stage for module in MODULES for node in module.nodes(bench.project)]
    assert {*of_modules, report.STAGE} == set(STAGES)


def test_no_code_version_depends_on_it(tmp_path):
    automation = {"enabled": True, "stages": ["pool"], "partitions_per_run": 2, "max_attempts": 9}
    with_it = Bench(tmp_path, tiny_experiment(automation=automation)).graph
    without = Bench(tmp_path, tiny_experiment()).graph
    assert {key: node.code_version for key, node in with_it.nodes.items()} == {
        key: node.code_version for key, node in without.nodes.items()
    }
