"""`recap lineage --uid` on the terminal."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import click
import pytest

from recap_assets.cli.explaining import print_explanation
from recap_assets.defs.session import Session
from recap_assets.graph.project import Project
from recap_assets.specs.mixes import Mix
from recap_assets_tests.mixes.written_mixes import MIXES, build_mixes, uid_of, written_pool
from recap_assets_tests.mixes.written_mixes import mixes_experiment as experiment_of

DEEP = {
    "scorer": "clip",
    "rules": [
        {
            "use": {"join": ["raw", "a"]},
            "where": {
                "all": [
                    {"any": [{"top": 0.9, "of": "raw"}, {"at_least": 0.0, "of": "a"}]},
                    {"without": {"at_least": {"best": 3, "of": "raw"}, "of": "a"}},
                ]
            },
        },
        {"use": {"random_of": {"raw": 1.0, "a": 2.0}}},
    ],
    "within": {"fraction": 0.9},
}


@dataclass
class Opened:
    """As much of a session as the command needs: it reads the setting alone."""

    project: Project


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("data")
    project = written_pool(folder, experiment_of(mixes={**MIXES, "deep": DEEP}))
    build_mixes(project)
    return cast("Session", Opened(project))


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


def printed(session: Session, capsys: pytest.CaptureFixture[str], number: int, mix: str) -> str:
    print_explanation(session, uid_of(number).hex(), mix, as_json=False)
    return capsys.readouterr().out


def test_every_rule_is_told_in_order(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(session, capsys, 40, "mixed").splitlines()
    assert lines[0] == f"uid {uid_of(40).hex()}"
    assert "partition 00002, shard 2 (00000002), key 00040: usable" in lines[1]
    tail = lines[-4:]
    assert tail[0].startswith("mixed: in the mix: rules.1 takes it with raw (scores by clip)")
    assert tail[1].endswith("so rules.0 passes it on")
    assert "best_of [raw, a]: raw 0.2095 beats a 0.2063" in tail[2]
    assert tail[3].endswith("stored: raw, score 0.2095, weight 1: raw words of image 40")


def test_a_tree_of_conditions_is_told_part_by_part(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    out = printed(session, capsys, 41, "deep")
    for words in ("all of 2 conditions:", "any of 2 conditions:", "without this condition:"):
        assert words in out
    assert "inside the random 90 % of the pool (seed 0): draw" in out
    assert re.search(
        r"raw score 0\.\d+ [<>]=? cut-off 0\.\d+ \(top 90 % of \d+ by raw score\)", out
    )


@pytest.mark.parametrize("number", [3, 5, 7, 19, 41])
def test_it_fits_a_hundred_columns_and_nothing_hostile_is_obeyed(
    session: Session, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    print_explanation(session, uid_of(number).hex(), None, as_json=False)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    assert not {"\x1b", "\u202e", "\r"} & set(out)
    if number == 3:
        assert "\\x1b[2J[red]bold[/] \\u202eevil <script>" in out


def test_an_image_that_was_set_aside(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(session, capsys, 19, "raw")
    assert "set aside, too_small" in out
    assert "No mix sees the image" in out


def test_json(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    print_explanation(session, uid_of(40).hex()[:10], None, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert [one["mix"] for one in told["mixes"]] == [*MIXES, "deep"]
    assert all(one["agrees"] for one in told["mixes"])


@pytest.mark.parametrize(
    ("uid", "mix", "words"),
    [
        ("xyz", None, "a uid is 32 hex digits"),
        ("0" * 32, None, "no sample of the pool has the uid"),
        ("0" * 32, "nope", "there is no mix 'nope'; known are both, deep, half"),
    ],
)
def test_errors_are_told_in_words(session: Session, uid: str, mix: str | None, words: str) -> None:
    with pytest.raises(click.ClickException, match=words):
        print_explanation(session, uid, mix, as_json=False)


def test_a_missing_set_of_uids_is_told(session: Session, tmp_path: Path) -> None:
    where = {"in_set": "english"}
    experiment = session.project.experiment.model_copy(
        update={
            "mixes": {
                "m": Mix.model_validate(
                    {"scorer": "clip", "rules": [{"use": "raw", "where": where}]}
                )
            },
            "sets": experiment_of(sets={"english": {"uids": str(tmp_path / "no.txt")}}).sets,
        }
    )
    other = cast("Session", Opened(Project(experiment, session.project.workspace)))
    with pytest.raises(click.ClickException, match=r"no\.txt: not a set of uids"):
        print_explanation(other, uid_of(3).hex(), "m", as_json=False)
