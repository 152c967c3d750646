"""Two captions are compared without their sources; what was answered is kept, counted and used."""

import json
import re
from pathlib import Path

import polars as pl
import pytest
from starlette.testclient import TestClient

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS, first_texts
from recap_assets.artefacts.judgements import JUDGEMENTS, last_judgements, preferences
from recap_assets.artefacts.table import is_usable
from recap_assets.look.agreement import agreements, left_share, standings
from recap_assets.look.app import HEADERS
from recap_assets.training.models.kinds.preference import PreferenceModel
from recap_assets.training.models.kinds.preference.reading import compared
from recap_assets_tests.look.conftest import client_of
from recap_assets_tests.tiny import Bench

FIELD = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)"')


@pytest.fixture
def bench(built: Bench, tmp_path: Path) -> Bench:
    """A copy to write judgements in."""
    return built.copied(tmp_path)


def asked(client: TestClient, judge: str, **more: str) -> tuple[dict[str, str], str]:
    """The fields of the next comparison, and the page."""
    page = client.get("/compare", params={"judge": judge, **more}).text
    return dict(FIELD.findall(page)), page


def answered(client: TestClient, judge: str, choice: str, **more: str) -> dict[str, str]:
    fields, _ = asked(client, judge, **more)
    reply = client.post("/compare", data={**fields, "choice": choice}, follow_redirects=False)
    assert reply.status_code == 303
    return fields


def texts_of(bench: Bench, source: str) -> dict[str, str]:
    tables = bench.project.workspace.tables
    parts = [first_texts(tables, source, key) for key in bench.project.partitions]
    return {uid.hex(): text for part in parts for uid, text in part.iter_rows()}


def shown(page: str) -> list[str]:
    return re.findall(r"<kbd>[12]</kbd><bdi>(.*?)</bdi>", page)


def test_an_answer_is_for_the_caption_that_was_shown_there(bench: Bench) -> None:
    raw, written = texts_of(bench, "raw"), texts_of(bench, "a")
    with client_of(bench.project) as client:
        sides = set()
        for choice in "1212010":
            fields, page = asked(client, "ann")
            left, right = shown(page)
            assert {left, right} == {raw[fields["uid"]], written[fields["uid"]]}
            assert left != right
            answered(client, "ann", choice)
            row = last_judgements(bench.project.workspace.tables).filter(
                uid=bytes.fromhex(fields["uid"])
            )
            chosen = row["chosen"].item()
            wanted = {"1": left, "2": right}.get(choice)
            assert (chosen == "neither") == (choice == "0")
            assert wanted is None or row[f"{chosen}_text"].item() == wanted
            sides.add(row["was_swapped"].item())
        assert sides == {True, False}


def test_the_page_does_not_say_whose_captions_they_are(bench: Bench) -> None:
    with client_of(bench.project) as client:
        _, page = asked(client, "ann", of="raw", against="a")
    duel = page[page.index('<form method="post"') : page.index("</form>", page.index("duel"))]
    without = re.sub(r'name="(of|against)" value="[^"]*"', "", duel)
    assert not re.search(r"\braw\b|>a<|source|swapped|first|second", without)


def test_everybody_gets_the_same_in_one_order(bench: Bench) -> None:
    with client_of(bench.project) as client:
        uids = {name: [answered(client, name, "1")["uid"] for _ in range(4)] for name in "ab"}
        assert len(set(uids["a"])) == 4
        assert uids["a"] == uids["b"]


def test_the_last_answer_to_a_comparison_counts(bench: Bench) -> None:
    tables = bench.project.workspace.tables
    with client_of(bench.project) as client:
        uid = answered(client, "ann", "1")["uid"]
        before = last_judgements(tables)["chosen"].item()
        assert "You compared these before" not in asked(client, "ann")[1]
        assert "You compared these before" in asked(client, "ann", again=uid)[1]
        answered(client, "ann", "2", again=uid)
    assert tables.read(JUDGEMENTS).height == 2
    assert {before, last_judgements(tables)["chosen"].item()} == {"first", "second"}


@pytest.mark.parametrize(
    "change",
    [
        {"choice": "3"},
        {"key": "0" * 24},
        {"uid": "0" * 32},
        {"uid": "x"},
        {"judge": "<b>"},
        {"of": "nobody"},
        {"choice": "1" * 5_000},
    ],
)
def test_another_answer_is_refused(bench: Bench, change: dict[str, str]) -> None:
    with client_of(bench.project) as client:
        fields, _ = asked(client, "ann")
        reply = client.post("/compare", data={**fields, "choice": "1", **change})
        assert reply.status_code == 400
        stranger = {"origin": "http://evil.example"}
        data = {**fields, "choice": "1"}
        assert client.post("/compare", data=data, headers=stranger).status_code == 403
        assert reply.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
    assert bench.project.workspace.tables.version(JUDGEMENTS) is None


def test_nothing_but_judgements_is_written(bench: Bench) -> None:
    root = bench.project.workspace.data

    def state() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}

    before = state()
    with client_of(bench.project) as client:
        answered(client, "ann", "1")
    new = {path for path, time in state().items() if before.get(path) != time}
    assert new
    assert {path.relative_to(root).parts[:3] for path in new} == {("tiny", "tables", "judgements")}


def judged(rows: list[tuple[str, int, str]]) -> pl.DataFrame:
    """Judgements of numbered images: judge, image, choice."""
    return pl.DataFrame(
        [
            {
                "judge": judge, "uid": bytes([image]) * 16, "chosen": chosen,
                "first_source": "raw", "first_text": "one", "second_source": "a",
                "second_text": "two", "was_swapped": image % 2 == 1, "judged_at": None,
            }
            for judge, image, chosen in rows
        ],
        schema=JUDGEMENTS.schema,
    )  # fmt: skip


def test_agreement_is_measured_on_what_both_compared() -> None:
    ann = ["first", "first", "second", "second"]
    bob = ["first", "second", "second", "second"]
    rows = [("ann", i, one) for i, one in enumerate(ann)]
    rows += [("bob", i, one) for i, one in enumerate(bob)] + [("bob", 9, "first")]
    (found,) = agreements(judged([*rows, ("eve", 20, "first")]))
    # By hand: they agree on 3 of 4; chance gives 1/2 * 1/4 + 1/2 * 3/4 = 1/2.
    assert (found.one, found.other, found.n, found.share) == ("ann", "bob", 4, 0.75)
    assert found.kappa == pytest.approx(0.5)
    alike = judged([(name, i, "first") for name in "ab" for i in range(3)])
    assert agreements(alike)[0].kappa is None


def test_sources_stand_by_how_often_they_were_chosen() -> None:
    rows = judged([("a", 0, "first"), ("a", 1, "second"), ("a", 2, "second"), ("a", 3, "neither")])
    best, other = standings(rows)
    assert (best.source, best.n, best.n_preferred, best.n_neither) == ("a", 4, 2, 1)
    assert (other.source, other.n, other.n_preferred, other.n_neither) == ("raw", 4, 1, 1)
    # Left was chosen of image 0 (first, not swapped) and 1 (second, swapped), not of 2.
    assert left_share(rows) == pytest.approx(2 / 3)


def test_judgements_are_files_for_a_model_and_for_a_set(bench: Bench) -> None:
    with client_of(bench.project) as client:
        for choice in "1122":
            answered(client, "ann", choice)
        answered(client, "bob", "0")
        lines = client.get("/compare/preferences.jsonl").text.splitlines()
        uids = client.get("/compare/uids.txt?source=a").text.split()
    rows = preferences(bench.project.workspace.tables)
    assert [json.loads(line)["better"] for line in lines] == rows["better"].to_list()
    assert len(lines) == 4
    wanted = rows.filter(better_source="a")["uid"]
    assert sorted(uids) == sorted(uid.hex() for uid in wanted)


def test_a_model_learns_from_the_table(bench: Bench) -> None:
    model = PreferenceModel(
        kind="preference", scorer="clip", preferences="judgements", samples_seen=64
    )
    outside = model.outside(bench.project)
    assert outside is not None
    before = outside("")
    with pytest.raises(ValueError, match="none of 0 in judgements"):
        compared(bench.project, model)
    with client_of(bench.project) as client:
        for choice in "121":
            answered(client, "ann", choice)
    assert outside("") != before
    assert len(compared(bench.project, model).better) == 3


def test_texts_that_were_written_again_are_another_comparison(bench: Bench) -> None:
    with client_of(bench.project) as client:
        fields, _ = asked(client, "ann")
        tables = bench.project.workspace.tables
        frame = tables.read(SYNTHETIC_CAPTIONS)
        other = frame.filter(is_usable()).with_columns(text=pl.lit("another text"))
        for key in frame["partition"].unique():
            at = {"source": "a", "partition": key}
            tables.replace(SYNTHETIC_CAPTIONS, at, other.filter(**at))
        reply = client.post("/compare", data={**fields, "choice": "1"})
        assert reply.status_code == 400
        assert "written again" in reply.text
