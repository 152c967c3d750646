"""Exports on the Hub: only what changed is sent, in what order, and what stands in the way."""

import gzip
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants

from recap_assets.exports.checksums import check_folder
from recap_assets.exports.hub import client, plan
from recap_assets.exports.hub.push import push
from recap_assets.exports.hub.target import HubError, Target
from recap_assets.storage.folders import Folder, FolderError
from recap_assets_tests.exports.pushed import shards, written
from recap_assets_tests.hub_server import (
    TOKEN,
    Answer,
    Asked,
    Dataset,
    HubServer,
    Stored,
    hub_server,
    refused,
)

REPO = "team/best"
TARGET = Target(REPO)
COMMIT = "/commit/"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with hub_server(monkeypatch) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "export"


def parquets(contents: dict[str, bytes]) -> dict[str, bytes]:
    return {Path(name).stem.removeprefix("train-"): content
            for name, content in contents.items() if name.endswith(".parquet")}  # fmt: skip


def downloaded(dataset: Dataset, folder: Path) -> Folder:
    """What `hf download` leaves of a dataset."""
    for name, file in dataset.tree().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(file.content)
    cache = folder / ".cache" / "huggingface" / "download"
    cache.mkdir(parents=True)
    (cache / "README.md.metadata").write_text("x")
    return Folder(str(folder))


def test_a_first_push_makes_a_private_dataset_that_verifies(
    hub: HubServer, folder: Path, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    done = push(written(folder, shards(7)), TARGET, progress=lambda *of: told.append(of))
    dataset = hub.datasets[REPO]
    assert dataset.private
    assert parquets(dataset.contents()) == shards(7)
    # Records are for continuing an export; the Hub's loaders would take them for data.
    assert set(dataset.contents()) - {f"data/train-{name}.parquet" for name in shards(7)} == {
        "README.md", "export.json", "checksums.json",
    }  # fmt: skip
    assert (done.is_new, len(done.plan.lacking), done.plan.n_unchanged) == (True, 10, 0)
    assert told[-1][0] == told[-1][1] == done.plan.n_bytes
    assert done.url == f"{hub.url}/datasets/{REPO}"
    assert len(dataset.messages) == 2  # the Hub's own, and one commit of everything
    found = check_folder(downloaded(dataset, tmp_path / "there"))
    assert (dict(found.problems), found.n_checked) == ({}, 9)


def test_a_second_push_sends_only_what_changed_and_removes_what_left(
    hub: HubServer, folder: Path
) -> None:
    push(written(folder, shards(5)), TARGET)
    dataset, sent = hub.datasets[REPO], hub.sent
    dataset.add("main", {**dataset.tree(), "LICENSE": Stored(b"mine", is_large=False)}, "by hand")
    changed = {**shards(4), "00000002": b"another"}
    done = push(written(folder, changed), TARGET)
    assert hub.sent - sent == len(b"another")
    assert {file.name for file in done.plan.lacking} == {
        "data/train-00000002.parquet", "README.md", "checksums.json",
    }  # fmt: skip
    assert done.plan.stale == ("data/train-00000004.parquet",)
    assert parquets(dataset.contents()) == changed
    assert dataset.contents()["LICENSE"] == b"mine"
    n_commits, n_puts = len(dataset.messages), hub.n_asked("PUT", "/lfs/")
    again = push(Folder(str(folder)), TARGET)
    assert (again.plan.commits, again.plan.lacking) == ((), ())
    assert (len(dataset.messages), hub.n_asked("PUT", "/lfs/")) == (n_commits, n_puts)


def test_a_branch_is_made_and_the_others_stay(hub: HubServer, folder: Path) -> None:
    push(written(folder, shards(2)), TARGET)
    before = hub.datasets[REPO].contents()
    done = push(written(folder, shards(3)), Target.parse(f"hf://datasets/{REPO}@v2/small"))
    assert hub.datasets[REPO].contents() == before
    assert parquets(hub.datasets[REPO].contents("v2/small")) == shards(3)
    assert len(done.plan.lacking) == 3  # the third shard, card and checksums
    assert done.url.endswith("/tree/v2/small")


def breaking(
    hub: HubServer, method: str, path: str, after: int, instead: Callable[[], Answer]
) -> None:
    """From the request number `after` of a kind on, something else is answered."""
    seen = 0

    def before(asked: Asked) -> Answer | None:
        nonlocal seen
        if asked.method == method and path in asked.path:
            seen += 1
            return instead() if seen > after else None
        return None

    hub.before = before


def broken() -> Answer:
    raise ConnectionAbortedError


def test_a_push_that_breaks_off_is_seen_as_half_and_continues(
    hub: HubServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "FILES_PER_COMMIT", 3)
    push(written(folder, shards(4)), TARGET)
    export = written(folder, shards(12, salt="new"))
    breaking(hub, "PUT", "/lfs/", 5, broken)
    with pytest.raises(HubError, match=r"cannot be reached .*: run the same again, it continues"):
        push(export, TARGET)
    dataset = hub.datasets[REPO]
    assert 0 < sum(content.startswith(b"new") for content in dataset.contents().values()) < 12
    with pytest.raises(FolderError, match="no finished export"):
        check_folder(downloaded(dataset, tmp_path / "half"))
    hub.before = lambda _asked: None
    sent = hub.sent
    done = push(export, TARGET)
    assert parquets(dataset.contents()) == shards(12, salt="new")
    # Whatever came through before was kept, also what no commit had yet.
    assert hub.sent == 12_000 + 4_000
    assert sent >= 4_000 + 5_000
    assert done.plan.commits[-1].sent[-1].name == "checksums.json"
    assert not check_folder(downloaded(dataset, tmp_path / "whole")).problems


def test_of_several_commits_the_first_takes_the_old_checksums_away(
    hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "FILES_PER_COMMIT", 2)
    push(written(folder, shards(3)), TARGET)
    push(written(folder, shards(5, salt="new")), TARGET)
    dataset = hub.datasets[REPO]
    whole = ["checksums.json" in tree for tree in dataset.trees.values()]
    (end,) = [number for number, has in enumerate(whole) if has][:-1]
    assert whole[:end] == [False] * end
    assert whole[end + 1 : -1] == [False] * (len(whole) - end - 2)
    assert all("export.json" in tree for tree in list(dataset.trees.values())[1:])
    assert dataset.messages[1] == "Recap export of best (1 of 3)"


def test_what_an_interrupted_push_left_goes_though_no_list_names_it(
    hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "FILES_PER_COMMIT", 3)
    breaking(hub, "POST", COMMIT, 2, broken)
    with pytest.raises(HubError):
        push(written(folder, shards(9)), TARGET)
    hub.before = lambda _asked: None
    assert len(parquets(hub.datasets[REPO].contents())) > 2
    push(written(folder, shards(2)), TARGET)
    assert parquets(hub.datasets[REPO].contents()) == shards(2)


def test_a_dry_run_sends_nothing_and_needs_no_token(
    hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = written(folder, shards(3))
    new = push(export, TARGET, dry_run=True)
    assert (new.is_new, len(new.plan.lacking)) == (True, 6)
    assert hub.datasets == {}
    push(export, TARGET)
    n_commits = len(hub.datasets[REPO].messages)
    changed = written(folder, {**shards(3), "00000001": b"other"})
    dry = push(changed, Target(REPO, "there/is/none"), dry_run=True)
    assert [file.name for file in dry.plan.lacking] == [
        "data/train-00000001.parquet", "checksums.json",
    ]  # fmt: skip
    assert len(hub.datasets[REPO].messages) == n_commits
    monkeypatch.delenv("HF_TOKEN")
    assert push(export, TARGET, dry_run=True).is_new  # what it may not see it takes for new
    with pytest.raises(HubError, match="no token of the Hub: `hf auth login`, or set HF_TOKEN"):
        push(export, TARGET)


def test_nothing_of_a_stranger_is_written_over(hub: HubServer, folder: Path) -> None:
    hub.datasets[REPO] = Dataset()
    hub.datasets[REPO].add("main", {"cats.csv": Stored(b"cat\n", is_large=False)}, "mine")
    with pytest.raises(HubError, match=r"has files \(cats.csv\) and no export of Recap"):
        push(written(folder, shards(1)), TARGET, replace=True)
    assert hub.datasets[REPO].contents() == {"cats.csv": b"cat\n"}


def test_another_export_is_replaced_only_where_that_is_asked(hub: HubServer, folder: Path) -> None:
    push(written(folder, shards(3)), TARGET)
    other = written(folder, shards(1, salt="other"), export="another")
    with pytest.raises(HubError, match=r"another export, as its export.json says.*--replace"):
        push(other, TARGET)
    push(other, TARGET, replace=True)
    assert parquets(hub.datasets[REPO].contents()) == shards(1, salt="other")
    # The same export with other settings is the same one; without a name all of it must agree.
    push(written(folder, shards(2), export="another", options={"mix": "best", "x": 1}), TARGET)
    push(written(folder, shards(2), export="", options={"mix": "best"}), TARGET, replace=True)
    with pytest.raises(HubError, match="another export"):
        push(written(folder, shards(2), export="", options={"mix": "worst"}), TARGET)


@pytest.mark.parametrize(
    ("at", "answer", "said"),
    [
        (("GET", "/api/datasets"), refused(401, f"bad {TOKEN}"), "not accepted: `hf auth login`"),
        (("POST", "/create"), refused(403, "no rights"), "answers 403 .*no right to write there"),
        (("POST", COMMIT), refused(403, "storage quota exceeded"), "403 .storage quota exceeded"),
        (("POST", "/create"), refused(402, "pay"), "the plan of its owner does not allow it"),
        (("POST", "preupload"), refused(404, "gone"), "404 .gone.: there is no such repository"),
        (("POST", COMMIT), refused(409, "busy"), "409 .busy.: something else changes it"),
        (("POST", COMMIT), refused(412, "moved"), "412 .moved.: something else was pushed there"),
        (("POST", COMMIT), refused(429, "slow"), "429 .slow.: too many requests"),
        (("POST", COMMIT), refused(500, "oops"), "answers 500 .oops.: run the same again"),
        (("POST", COMMIT), refused(413, "big"), "give the export fewer samples in a shard"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_what_the_hub_refuses_is_said_in_words_without_the_token(
    hub: HubServer, folder: Path, at: tuple[str, str], answer: Answer, said: str
) -> None:
    breaking(hub, *at, 0, lambda: answer)
    with pytest.raises(HubError, match=said) as refusal:
        push(written(folder, shards(2)), TARGET)
    assert str(refusal.value).startswith(f"hf://datasets/{REPO}: ")
    assert TOKEN not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_too_many_requests_are_waited_for_within_bounds(hub: HubServer, folder: Path) -> None:
    calls = []

    def before(asked: Asked) -> Answer | None:
        if "preupload" in asked.path:
            calls.append(asked)
            return refused(429, "slow", **{"retry-after": "2"}) if len(calls) < 3 else None
        return None

    hub.before = before
    push(written(folder, shards(2)), TARGET)
    assert len(calls) == 3
    breaking(hub, "POST", "preupload", 0, lambda: refused(429, "", **{"retry-after": "86400"}))
    with pytest.raises(HubError, match="asks to wait 86,400 seconds"):
        push(written(folder, shards(3)), TARGET)
    limit = {"ratelimit": '"api";r=0;t=99999999'}
    breaking(hub, "POST", "preupload", 0, lambda: refused(429, "", **limit))
    with pytest.raises(HubError, match="asks to wait 99,999,999 seconds"):
        push(written(folder, shards(3)), TARGET)


def rows(n: int) -> list[dict[str, Any]]:
    return [Stored(b"", is_large=False).row(f"{k}.txt") for k in range(n)]


@pytest.mark.parametrize(
    ("at", "answer", "said"),
    [
        ("/tree/", Answer(b"<html>" + b"x" * 100), "listing it failed"),
        ("/tree/", Answer([{"type": "file"}]), "listing it failed"),
        ("/tree/", Answer({"not": "a list"}), "listing it failed"),
        ("/tree/", Answer([1, 2]), "listing it failed"),
        ("/tree/", Answer(b"[" * 2**19), "listing it failed"),
        ("/tree/", Answer(b" " * (2**20 + 1)), "a reply of more than 1 MiB"),
        (
            "/tree/",
            Answer(gzip.compress(b" " * 2**24), headers={"content-encoding": "gzip"}),
            "a reply of more than 1 MiB",
        ),
        ("/tree/", Answer(b"x", headers={"content-encoding": "br"}), "packed as 'br'"),
        ("preupload", Answer({"files": [{"path": 1}]}), "sending to it failed"),
        ("preupload", Answer({"files": []}), "sending to it failed"),
        ("objects/batch", Answer({"objects": [{"oid": "x", "size": 1, "actions": {}}]}), "sending"),
        ("objects/batch", Answer({"objects": "no"}), "sending to it failed"),
        (COMMIT, Answer({}), "sending to it failed"),
        (COMMIT, Answer([]), "sending to it failed"),
    ],
    ids=range(14),
)
def test_hostile_replies_are_errors_of_ours(
    hub: HubServer,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    at: str,
    answer: Answer,
    said: str,
) -> None:
    monkeypatch.setattr(client, "MAX_REPLY_BYTES", 2**20)
    hub.before = lambda asked: answer if at in asked.path else None
    with pytest.raises(HubError, match=said) as refusal:
        push(written(folder, shards(2)), TARGET)
    assert len(str(refusal.value)) < 1_000


def test_a_listing_without_an_end_has_one(
    hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MAX_PAGES", 20)
    hub.before = lambda asked: (
        Answer([], headers={"link": f'<{hub.url}{asked.path}>; rel="next"'})
        if "/tree/" in asked.path
        else None
    )
    with pytest.raises(HubError, match="more than 20 pages"):
        push(written(folder, shards(1)), TARGET)


def test_no_server_makes_it_hold_a_large_file_in_memory(
    hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "SMALL_BYTES", 500)
    monkeypatch.setattr("recap_assets.exports.hub.repository.SMALL_BYTES", 500)

    def inline(asked: Asked) -> Answer | None:
        if "preupload" not in asked.path:
            return None
        files = [one["path"] for one in json.loads(asked.body)["files"]]
        modes = {"uploadMode": "regular", "shouldIgnore": False, "oid": "0" * 40}
        return Answer({"files": [{"path": path, **modes} for path in files]})

    hub.before = inline
    with pytest.raises(HubError, match="parquet within a commit, which is too large"):
        push(written(folder, shards(2)), TARGET)


def test_what_the_repository_ignores_is_no_whole_push(hub: HubServer, folder: Path) -> None:
    def ignoring(asked: Asked) -> Answer | None:
        if "preupload" not in asked.path:
            return None
        files = [one["path"] for one in json.loads(asked.body)["files"]]
        return Answer({"files": [
            {"path": path, "uploadMode": "regular", "shouldIgnore": path.endswith(".parquet")}
            for path in files
        ]})  # fmt: skip

    hub.before = ignoring
    with pytest.raises(HubError, match=r"does not have everything .*\.gitignore"):
        push(written(folder, shards(2)), TARGET)


def test_what_the_hub_warns_of_in_the_card_is_said(hub: HubServer, folder: Path) -> None:
    warned = [{"message": "empty \x1b[2Jmetadata"}]
    hub.before = lambda asked: (
        Answer({"errors": [], "warnings": warned}) if "validate-yaml" in asked.path else None
    )
    (note,) = push(written(folder, shards(1)), TARGET).notes
    assert "empty \\x1b[2Jmetadata" in note
    wrong = {"errors": [{"message": "no licence"}], "warnings": []}
    hub.before = lambda asked: Answer(wrong, 400) if "validate-yaml" in asked.path else None
    with pytest.raises(HubError, match=r"sending to it failed: .*no licence"):
        push(written(folder, shards(2)), TARGET)


def test_a_file_that_is_not_as_it_was_written_is_not_sent(hub: HubServer, folder: Path) -> None:
    export = written(folder, shards(2))
    (folder / "data" / "train-00000001.parquet").write_bytes(b"?" * 1_000)
    with pytest.raises(HubError, match=r"train-00000001\.parquet is not as it was written"):
        push(export, TARGET)
    assert hub.datasets[REPO].contents() == {}
    (folder / "checksums.json").unlink()
    with pytest.raises(FolderError, match="no finished export"):
        push(export, TARGET)


@pytest.mark.usefixtures("hub")
def test_a_server_that_is_not_there_or_forbidden_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = written(folder, shards(1))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE forbids to reach it"):
        push(export, TARGET)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match=r"http://127\.0\.0\.1:9 cannot be reached"):
        push(export, TARGET)


@pytest.mark.usefixtures("hub")
def test_without_xet_storage_the_way_around_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hf_xet")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    with pytest.raises(HubError, match="HF_HUB_DISABLE_XET=1"):
        push(written(folder, shards(1)), TARGET)


@pytest.mark.usefixtures("hub")
def test_the_library_is_as_before_afterwards(folder: Path) -> None:
    push(written(folder, shards(1)), TARGET)
    assert type(huggingface_hub.get_session()).__name__ == "Client"
    assert "HF_HUB_DISABLE_PROGRESS_BARS" not in os.environ


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("hf://models/a/b", "one of the Hub's models, and an export is a dataset"),
        ("hf://spaces/a/b", "one of the Hub's spaces"),
        ("hf://a/b", "names no dataset of the Hub: name hf://datasets/OWNER/NAME"),
        ("hf://datasets/b", "names no dataset"),
        ("hf://datasets/a/b/c", "names no dataset"),
        ("hf://datasets/a/b@", "names no dataset"),
        ("hf://datasets/a/b@\x1b[1m", "names no dataset"),
        ("https://huggingface.co/datasets/a/b", "names no dataset"),
    ],
)
def test_a_place_that_is_no_dataset_is_refused(place: str, said: str) -> None:
    with pytest.raises(HubError, match=said):
        Target.parse(place)


def test_a_place_is_owner_name_and_branch() -> None:
    assert Target.parse("hf://datasets/a-b/c.d_e") == Target("a-b/c.d_e", "main")
    assert str(Target.parse("hf://datasets/a/b@v1.0")) == "hf://datasets/a/b@v1.0"
