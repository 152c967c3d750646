"""Of several machines with one object store one process at a time holds a claim."""

import json
import math
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.storage import lease_objects, tables
from recap_assets.storage.changes import about_to_change
from recap_assets.storage.locks import FILES_ALONE, Claims
from recap_assets.storage.store_claims import LeaseLostError, StoreClaims
from recap_assets.storage.tables import StorageError, TableStore
from recap_assets.untrusted.errors import RecapError
from recap_assets_tests.faults.proxy import How, Proxy, Trouble
from recap_assets_tests.faults.shim import FOR_EVER
from recap_assets_tests.storage.s3 import careless_server, environment, moto_server
from recap_assets_tests.storage.test_tables import AT, scores
from recap_assets_tests.waiting import SECONDS, wait_for

pytest.importorskip("moto", reason="the extra dev brings a stand-in for S3")
botocore_session = pytest.importorskip("botocore.session", reason="the extra s3 brings it")

pytestmark = pytest.mark.long(reason="an object store in a process of its own")

REPOSITORY = Path(__file__).parents[2]
NAME = "captions/a[00000]"
SHORT = 2.0
LESS_SHORT = 6.0

HOLDER = """
import sys, time
from pathlib import Path
from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.storage.locks import Claims
from recap_assets.storage.store_claims import StoreClaims
from recap_assets.storage.tables import TableStore
from recap_assets_tests.storage.test_tables import AT, scores

folder, root, seconds, shift, name = sys.argv[1:]
real = time.time
time.time = lambda: real() + float(shift)
with Claims(Path(folder), StoreClaims(root, float(seconds))).hold(name):
    print("held", flush=True)
    for _ in sys.stdin:
        TableStore(root).replace(CLIP_SCORES, AT, scores(0.1))
        print("written", flush=True)
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def root(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in environment(endpoint).items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{uuid.uuid4().hex}"
    client().create_bucket(Bucket=bucket)
    return f"s3://{bucket}/tables"


def client() -> "botocore_session.botocore.client.BaseClient":
    return botocore_session.get_session().create_client("s3", "us-east-1")


def objects(root: str) -> dict[str, int]:
    """The lengths of the leases that there are, by their keys."""
    found = client().list_objects_v2(Bucket=root.split("/")[2], Prefix="tables/.claims/")
    return {one["Key"].rpartition("/")[2]: one["Size"] for one in found.get("Contents", [])}


def renewals(root: str) -> int:
    """How often the only lease was renewed."""
    (key,) = objects(root)
    found = client().get_object(Bucket=root.split("/")[2], Key=f"tables/.claims/{key}")
    return json.loads(found["Body"].read())["renewals"]


def renewed(root: str) -> float:
    """When the only lease was renewed last, cut to a whole second."""
    (key,) = objects(root)
    found = client().head_object(Bucket=root.split("/")[2], Key=f"tables/.claims/{key}")
    return found["LastModified"].timestamp()


def claims(folder: Path, root: str, seconds: float = SHORT) -> Claims:
    """Those of one machine: its folder is not another's."""
    return Claims(folder, StoreClaims(root, seconds))


@contextmanager
def held_elsewhere(
    folder: Path, root: str, seconds: float = SHORT, shift: float = 0.0
) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the claim until its input ends, and writes a slice for each line."""
    words = [sys.executable, "-c", HOLDER, str(folder), root, str(seconds), str(shift), NAME]
    process = subprocess.Popen(  # noqa: S603 - our own words
        words, text=True, cwd=REPOSITORY,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_another_machine_waits_and_nothing_is_left_behind(tmp_path: Path, root: str) -> None:
    told: list[str] = []
    with held_elsewhere(tmp_path / "a", root, seconds=600) as process:

        def end(holder: str) -> None:
            assert process.stdin
            told.append(holder)
            process.stdin.close()  # and it lets go

        with claims(tmp_path / "b", root, 600).hold(NAME, end) as interrupted:
            assert process.wait() == 0
            assert interrupted is None
    (holder,) = told
    assert f"process {process.pid} on " in holder
    assert objects(root) == {}


def test_another_name_is_free(tmp_path: Path, root: str) -> None:
    with (
        held_elsewhere(tmp_path / "a", root, seconds=600),
        claims(tmp_path / "b", root).hold("captions/a[00001]", pytest.fail),
    ):
        assert len(objects(root)) == 2


def test_a_holder_renews_and_a_killed_one_is_followed_once_it_is_over(
    tmp_path: Path, root: str
) -> None:
    there = claims(tmp_path / "b", root)
    with held_elsewhere(tmp_path / "a", root, LESS_SHORT) as process:
        wait_for(lambda: renewals(root) >= 2, "it is renewed")
        assert there.unfinished() == {}
        process.kill()
        process.wait()
        renewed_at = renewed(root)
        with there.hold(NAME) as interrupted:
            assert time.time() - renewed_at >= LESS_SHORT
            assert interrupted == math.inf
            assert there.unfinished() == {}
    assert objects(root) == {}


def test_on_the_same_machine_a_killed_holder_is_followed_at_once(tmp_path: Path, root: str) -> None:
    began = time.time()
    with held_elsewhere(tmp_path, root, seconds=3_000) as process:
        process.kill()
        process.wait()
        with claims(tmp_path, root).hold(NAME, pytest.fail) as interrupted:
            assert interrupted is not None
            assert began < interrupted < time.time()
    assert objects(root) == {}


@pytest.mark.parametrize("shift", [-86_400.0, 86_400.0])
def test_clocks_that_are_wrong_by_a_day_change_nothing(
    tmp_path: Path, root: str, shift: float
) -> None:
    there = claims(tmp_path / "b", root, LESS_SHORT)
    with held_elsewhere(tmp_path / "a", root, LESS_SHORT, shift) as process:
        renewed_at: list[float] = []

        def kill(_holder: str) -> None:
            wait_for(lambda: renewals(root) >= 1, "it is renewed")
            process.kill()
            process.wait()
            renewed_at.append(renewed(root))

        with there.hold(NAME, kill) as interrupted:
            assert interrupted == math.inf
            assert time.time() - renewed_at[0] >= LESS_SHORT


def test_who_was_stopped_until_another_took_over_writes_nothing(tmp_path: Path, root: str) -> None:
    store = TableStore(root)
    with held_elsewhere(tmp_path / "a", root) as process:
        assert process.stdin
        process.send_signal(signal.SIGSTOP)
        with claims(tmp_path / "b", root).hold(NAME) as interrupted:
            assert interrupted == math.inf
            store.replace(CLIP_SCORES, AT, scores(0.9))
            process.send_signal(signal.SIGCONT)
            said = process.communicate("write\n", timeout=SECONDS)[1]
    assert f"the claim on {NAME} went to process {os.getpid()} on " in said
    assert process.returncode == 1
    assert store.read(CLIP_SCORES)["score"].to_list() == [pytest.approx(0.9)]
    assert objects(root) == {}


def test_who_was_stopped_and_not_followed_continues(tmp_path: Path, root: str) -> None:
    with held_elsewhere(tmp_path / "a", root) as process:
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.5 * SHORT)
        process.send_signal(signal.SIGCONT)
        assert process.communicate("write\n", timeout=SECONDS)[0] == "written\n"
    assert process.returncode == 0
    assert objects(root) == {}


@pytest.mark.parametrize("is_first", [True, False])
def test_a_commit_that_was_stopped_at_the_last_moment_collides(
    root: str, monkeypatch: pytest.MonkeyPatch, *, is_first: bool
) -> None:
    store, other = TableStore(root), TableStore(root)
    store.create(CLIP_SCORES)
    if not is_first:
        store.replace(CLIP_SCORES, AT, scores(0.1))
    asked: list[str] = []

    def guard() -> None:
        # The first two times it is held; after them another takes it and writes.
        asked.append("")
        if len(asked) == 2:
            with monkeypatch.context() as patch:
                patch.setattr(tables, "refuse_forbidden", lambda: None)
                patch.setattr(tables, "about_to_change", lambda: None)
                other.replace(CLIP_SCORES, AT, scores(0.9))
        if len(asked) > 2:
            raise LeaseLostError

    monkeypatch.setattr(tables, "refuse_forbidden", guard)
    monkeypatch.setattr(tables, "about_to_change", guard)
    with pytest.raises(LeaseLostError):
        store.replace(CLIP_SCORES, AT, scores(0.5))
    assert store.read(CLIP_SCORES)["score"].to_list() == [pytest.approx(0.9)]


class MendableError(RecapError):
    pass


def failed(there: Claims, root: str, *, changes: bool) -> None:
    def build() -> None:
        with there.hold(NAME):
            if changes:
                TableStore(root).replace(CLIP_SCORES, AT, scores(0.5))
            raise MendableError

    with pytest.raises(MendableError):
        build()


def test_what_failed_on_one_machine_is_unfinished_on_another(tmp_path: Path, root: str) -> None:
    here, there = claims(tmp_path / "a", root), claims(tmp_path / "b", root)
    failed(here, root, changes=False)
    assert objects(root) == {}
    failed(here, root, changes=True)
    for _ in range(2):
        wait_for(there.unfinished, "what was left half a lease ago is known")
        assert there.unfinished() == {NAME: math.inf}
        failed(there, root, changes=False)
    # What it left there is suspect on its own machine, too: the other may have changed it.
    failed(there, root, changes=True)
    with here.hold(NAME, pytest.fail) as interrupted:
        assert interrupted == math.inf
    assert there.on_this_machine().unfinished().keys() == {NAME}
    assert objects(root) == {}


@pytest.mark.parametrize(
    "content", [b"{}", b"\xff", b"x" * 10_000, b'{"token": "a", "seconds": 1e9}']
)
def test_a_damaged_lease_is_waited_for_and_then_taken(
    tmp_path: Path, root: str, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    there = claims(tmp_path, root)
    with there.hold(NAME):
        (key,) = objects(root)
    bucket = root.split("/")[2]
    client().put_object(Bucket=bucket, Key=f"tables/.claims/{key}", Body=content)
    monkeypatch.setattr("recap_assets.storage.lease_objects.SECONDS", SHORT)
    told: list[str] = []
    with there.hold(NAME, told.append) as interrupted:
        assert interrupted == math.inf
    assert told == ["a process that is not known"]
    assert objects(root) == {}


@pytest.mark.parametrize(
    ("how", "performed"),
    [("500", False), ("500", True), ("503", True), ("dropped", False), ("dropped", True)],
)
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_a_store_that_fails_for_a_while_is_asked_again(
    tmp_path: Path, root: str, endpoint: str, monkeypatch: pytest.MonkeyPatch,
    how: How, method: str, *, performed: bool,
) -> None:  # fmt: skip
    with Proxy(endpoint, Trouble(how, (method,), 1, 5, performed=performed)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        there = claims(tmp_path, root, 30.0)
        for _ in range(3):
            with there.hold(NAME, pytest.fail) as interrupted:
                assert interrupted is None
                about_to_change()
    assert proxy.seen.n_done >= 3
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with claims(tmp_path, root).hold(NAME, pytest.fail):
        pass
    assert objects(root) == {}


def test_late_answers_do_not_lose_a_lease(
    tmp_path: Path, root: str, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(endpoint, Trouble("late", ("PUT",), 1, FOR_EVER, seconds=0.5)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        with claims(tmp_path, root, 3.0).hold(NAME):
            time.sleep(5)
            about_to_change()
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    assert objects(root) == {}


def test_a_holder_that_the_store_does_not_answer_writes_nothing(
    tmp_path: Path, root: str, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_objects.patiently, "__defaults__", (1.0,))
    there = claims(tmp_path, root)

    def build() -> None:
        trouble = Trouble("503", ("PUT",), 1, FOR_EVER)
        with there.hold(NAME), Proxy(endpoint, trouble) as proxy:
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
            time.sleep(SHORT)
            about_to_change()

    with pytest.raises(StorageError, match=r"a key cannot be written: .*503"):
        build()


@pytest.mark.parametrize("how", ["refused", "ignored"])
def test_without_conditional_overwriting_files_alone_hold_claims_and_it_is_said(
    tmp_path: Path, root: str, endpoint: str, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, how: How,
) -> None:  # fmt: skip
    lacking = Trouble(how, ("PUT",), 1, FOR_EVER, condition="if-match")
    with Proxy(endpoint, lacking) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        there = claims(tmp_path, root)
        for _ in range(2):
            with there.hold(NAME):
                assert objects(root) == {}
        assert there.unfinished() == {}
        assert there.prove() == f"{FILES_ALONE} (`If-Match`)"
    assert caplog.text.count("the store lacks what leases need (`If-Match`)") == 1


def test_a_store_without_any_condition_holds_no_leases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with careless_server() as (url, _deleted):
        for name, value in environment(url).items():
            monkeypatch.setenv(name, value)
        proof = claims(tmp_path, "s3://bucket/tables").prove()
    assert proof == f"{FILES_ALONE} (`If-None-Match: *`)"


def test_without_conditional_deleting_a_lease_is_emptied(
    tmp_path: Path, root: str, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = Trouble("ignored", ("DELETE",), 1, FOR_EVER, condition="if-match")
    with Proxy(endpoint, lacking) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        here, there = claims(tmp_path / "a", root), claims(tmp_path / "b", root)
        for one in (here, there, here):
            with one.hold(NAME, pytest.fail) as interrupted:
                assert interrupted is None
            assert list(objects(root).values()) == [0]
        assert here.unfinished() == {}


def test_the_proof_leaves_nothing(tmp_path: Path, root: str) -> None:
    assert claims(tmp_path, root, 60.0).prove().startswith("leases beside the tables")
    assert Claims(tmp_path).prove().startswith("file locks, among processes")
    assert objects(root) == {}
    assert list(tmp_path.iterdir()) == []
