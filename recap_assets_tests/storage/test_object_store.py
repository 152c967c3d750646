"""Tables on an object store behave as on a disk, and a store that loses commits is found out."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.storage.object_store import prove_conditional_put
from recap_assets.storage.retention import MANY_FILES, collect
from recap_assets.storage.tables import StorageError, TableStore
from recap_assets_tests.faults.proxy import How, Proxy, Trouble
from recap_assets_tests.faults.shim import FOR_EVER
from recap_assets_tests.storage.s3 import careless_server, environment, moto_server
from recap_assets_tests.storage.test_tables import AT, EVENTS, events, scores
from recap_assets_tests.waiting import SECONDS

pytest.importorskip("moto", reason="the extra dev brings a stand-in for S3")
botocore_session = pytest.importorskip("botocore.session", reason="the extra s3 brings it")

pytestmark = pytest.mark.long(reason="an object store in a process of its own")

REPOSITORY = Path(__file__).parents[2]
WRITER = """
import sys
from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.storage.tables import TableStore
from recap_assets_tests.storage.test_tables import AT, EVENTS, events, scores

store, partition = TableStore(sys.argv[1]), sys.argv[2]
for i in range(5):
    store.replace(CLIP_SCORES, {**AT, "partition": partition}, scores(i / 10))
    store.append(EVENTS, events(int(partition) * 10 + i))
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in environment(endpoint).items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{uuid.uuid4().hex}"
    client().create_bucket(Bucket=name)
    return name


def client() -> "botocore_session.botocore.client.BaseClient":
    return botocore_session.get_session().create_client("s3", "us-east-1")


def keys(bucket: str) -> list[str]:
    return [found["Key"] for found in client().list_objects_v2(Bucket=bucket).get("Contents", [])]


@pytest.fixture
def store(bucket: str) -> TableStore:
    return TableStore(f"s3://{bucket}/results/tables")


def test_slices_versions_and_removal(store: TableStore) -> None:
    first = store.replace(CLIP_SCORES, AT, scores(0.1, 0.2))
    store.replace(CLIP_SCORES, {**AT, "partition": "00001"}, scores(0.5))
    second = store.replace(CLIP_SCORES, AT, scores(0.3))
    assert store.read(CLIP_SCORES, partition="00000")["score"].to_list() == [pytest.approx(0.3)]
    assert store.read(CLIP_SCORES, first.table_version).height == 2
    assert first.n_bytes > 0
    again = store.replace(CLIP_SCORES, AT, scores(0.3), known_version=second.data_version)
    assert not again.rewritten
    store.remove(CLIP_SCORES, AT)
    assert store.slices(CLIP_SCORES) == [{**AT, "partition": "00001"}]
    assert store.version_at(CLIP_SCORES, datetime.now(UTC)) == store.version(CLIP_SCORES)
    with pytest.raises(StorageError, match="at version 99"):
        store.read(CLIP_SCORES, 99)


def test_two_processes_lose_no_commit(store: TableStore) -> None:
    for table in (CLIP_SCORES, EVENTS):
        store.create(table)
    writers = [
        subprocess.Popen(  # noqa: S603 - our own words
            [sys.executable, "-c", WRITER, store.root, partition], cwd=REPOSITORY
        )
        for partition in ("00000", "00001")
    ]
    assert [writer.wait(timeout=SECONDS) for writer in writers] == [0, 0]
    rows = store.read(CLIP_SCORES).sort("partition")
    assert rows["score"].to_list() == [pytest.approx(0.4)] * 2
    numbers = store.read(EVENTS)["number"].sort().to_list()
    assert numbers == [*range(5), *range(10, 15)]
    assert store.version(EVENTS) == 10


def test_collecting_on_an_object_store(store: TableStore) -> None:
    first = store.replace(CLIP_SCORES, AT, scores(0.1))
    store.replace(CLIP_SCORES, AT, scores(0.2))
    for i in range(MANY_FILES):
        store.append(EVENTS, events(i))
    pins = {"clip_scores": [first.table_version or 0]}
    of_scores, of_events = collect(store, [CLIP_SCORES, EVENTS], pins, dry_run=False)
    assert (of_scores.n_young_files, of_events.n_small_files) == (0, MANY_FILES)
    (unpinned,) = collect(store, [CLIP_SCORES], {}, dry_run=False)
    assert (unpinned.n_files, unpinned.n_young_files) == (0, 1)
    assert unpinned.n_young_bytes == first.n_bytes
    assert store.read(EVENTS)["number"].sort().to_list() == list(range(MANY_FILES))


def test_a_store_with_conditional_put_passes_and_keeps_nothing(bucket: str) -> None:
    prove_conditional_put(f"s3://{bucket}/results")
    prove_conditional_put(f"s3://{bucket}")
    assert keys(bucket) == []


def test_a_store_without_it_is_found_out_and_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    with careless_server() as (url, deleted):
        for name, value in environment(url).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(StorageError, match="wrote a key that was there already"):
            prove_conditional_put("s3://bucket/results")
    (path,) = deleted
    assert path.startswith("/bucket/results/.recap-doctor-")


def test_what_else_can_be_wrong_is_said_in_words(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StorageError, match="there is no such bucket"):
        prove_conditional_put("s3://no-such-bucket/results")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match=r"cannot be written: .*AWS_\* variables"):
        prove_conditional_put(f"s3://{bucket}/results")
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(StorageError, match="extra s3"):
        prove_conditional_put(f"s3://{bucket}/results")


@pytest.mark.parametrize(
    ("how", "told"),
    [("ignored", "wrote a key that was there already"), ("refused", "does not take")],
)
def test_no_table_is_written_where_two_writers_would_lose_commits(
    bucket: str, endpoint: str, monkeypatch: pytest.MonkeyPatch, how: How, told: str
) -> None:
    root = f"s3://{bucket}/results/tables"
    with Proxy(endpoint, Trouble(how, ("PUT",), 1, FOR_EVER)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        with pytest.raises(StorageError, match=f"tables {root}: .*{told}"):
            TableStore(root).replace(CLIP_SCORES, AT, scores(0.1))
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    assert keys(bucket) == []


def test_a_proof_whose_first_answer_was_lost_is_one(
    bucket: str, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = Trouble("dropped", ("PUT",), 1, 1, performed=True)
    with Proxy(endpoint, lost) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        prove_conditional_put(f"s3://{bucket}/results")
    assert proxy.seen.n_done == 1


REPLACER = """
import sys
from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.storage import tables
from recap_assets_tests.storage.test_tables import AT, scores

# Proved already: what breaks off are requests of the table's own.
tables.prove_once = lambda _root: None
for score in (0.2, 0.3, 0.4):
    tables.TableStore(sys.argv[1]).replace(CLIP_SCORES, AT, scores(score))
"""


@pytest.mark.parametrize(("method", "performed"), [("GET", False), ("PUT", False), ("PUT", True)])
def test_a_broken_connection_is_made_again(
    store: TableStore, endpoint: str, method: str, *, performed: bool
) -> None:
    store.replace(CLIP_SCORES, AT, scores(0.1))
    # Another process: deltalake holds the GIL while it waits for an answer.
    with Proxy(endpoint, Trouble("dropped", (method,), 3, 4, performed=performed)) as proxy:
        subprocess.run(  # noqa: S603 - our own words
            [sys.executable, "-c", REPLACER, store.root], cwd=REPOSITORY, check=True,
            timeout=SECONDS, env={**os.environ, **environment(proxy.url)},
        )  # fmt: skip
    assert proxy.seen.n_done == 2
    assert store.read(CLIP_SCORES)["score"].to_list() == [pytest.approx(0.4)]
