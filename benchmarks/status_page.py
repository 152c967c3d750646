"""The UI's page of an asset with 2,000 and 10,000 partitions: what it asks, how long, how much.

Each of six assets has a materialization of every partition. They are copies of a real event of the
platform's, with the partition's name replaced, written straight into the event log: 60,000 events
by runs would take an hour. The web server is a process of its own on the repository's SQLite
configuration. Measured are the query that draws an asset's partitions (PartitionHealthQuery, word
for word as Dagster 1.13's page sends it) and, where there is a Chromium, the whole page with every
query that it sends; the picture is kept with --screenshot.

    python benchmarks/status_page.py [--partitions 2000 10000] [--screenshot page.png]
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import browser
import dagster as dg
import sqlalchemy
from dagster._core.storage.event_log.schema import AssetEventTagsTable, SqlEventLogStorageTable
from trivial_location import ASSET, ASSETS, PARTITIONS_VARIABLE, definitions, partition_keys
from verdicts import machine, verdict

from recap_assets.defs.assets import POOL_PARTITIONS, asset_key
from recap_assets.defs.ranges import range_tags

REPOSITORY = Path(__file__).parents[1]
LOCATION = Path(__file__).with_name("trivial_location.py")
TARGET_SECONDS = 1.0
"""A page that answers within a second does not break the thread of thought."""

PARTITION_HEALTH = """
  query PartitionHealthQuery($assetKey: AssetKeyInput!) {
    assetNodeOrError(assetKey: $assetKey) {
      ... on AssetNode {
        id
        partitionKeysByDimension { name type partitionKeys }
        assetPartitionStatuses {
          ... on TimePartitionStatuses { ranges { status startTime endTime startKey endKey } }
          ... on DefaultPartitionStatuses {
            materializedPartitions materializingPartitions failedPartitions
          }
          ... on MultiPartitionStatuses {
            primaryDimensionName
            ranges {
              primaryDimStartKey primaryDimEndKey primaryDimStartTime primaryDimEndTime
              secondaryDim {
                ... on TimePartitionStatuses {
                  ranges { status startTime endTime startKey endKey }
                }
                ... on DefaultPartitionStatuses {
                  materializedPartitions materializingPartitions failedPartitions
                }
              }
            }
          }
        }
      }
    }
  }
"""


def fill(instance: dg.DagsterInstance) -> int:
    """A materialization of every partition of every asset; how many events."""
    keys = partition_keys()
    instance.add_dynamic_partitions(POOL_PARTITIONS, keys)
    job = definitions(in_pools=False).resolve_implicit_global_asset_job_def()
    done = job.execute_in_process(
        instance=instance,
        asset_selection=[asset_key(asset) for asset in ASSETS],
        tags=range_tags(keys[:1]),
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    assert done.success
    storage = instance.event_log_storage
    with storage.index_connection() as connection:
        return sum(_copy(connection, asset, keys) for asset in ASSETS)


def _copy(connection: sqlalchemy.Connection, asset: str, keys: list[str]) -> int:
    events, tags = SqlEventLogStorageTable, AssetEventTagsTable
    is_first = (events.c.asset_key == asset_key(asset).to_string()) & (
        events.c.partition == keys[0]
    )
    is_built = events.c.dagster_event_type == "ASSET_MATERIALIZATION"
    found = connection.execute(sqlalchemy.select(events).where(is_first & is_built))
    (first,) = [dict(row) for row in found.mappings()]
    number = first.pop("id")
    name = f'"{keys[0]}"'
    assert name in first["event"]
    rows = [
        {**first, "partition": key, "event": first["event"].replace(name, f'"{key}"')}
        for key in keys[1:]
    ]
    connection.execute(sqlalchemy.insert(events), rows)
    is_copy = (events.c.asset_key == first["asset_key"]) & (events.c.id > number) & is_built
    numbers = [row[0] for row in connection.execute(sqlalchemy.select(events.c.id).where(is_copy))]
    of_first = sqlalchemy.select(tags).where(tags.c.event_id == number)
    for tag in [dict(row) for row in connection.execute(of_first).mappings()]:
        tag.pop("id", None)
        connection.execute(sqlalchemy.insert(tags), [{**tag, "event_id": n} for n in numbers])
    return len(numbers) + 1


@contextmanager
def web_server() -> Iterator[str]:
    """Dagster's web server on a free port of the loopback; its URL, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "dagster_webserver", "-f", str(LOCATION), "-a", "defs",
        "-h", "127.0.0.1", "-p", str(port), "--log-level", "error",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for(f"{url}/server_info")
            yield url
        finally:
            server.terminate()


def _wait_for(url: str) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(url).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise TimeoutError(url)


def ask(url: str, asset: str) -> tuple[float, int, dict[str, object]]:
    """Send the page's query; seconds, bytes and the answer."""
    variables = {"assetKey": {"path": asset.split("/")}}
    body = {
        "operationName": "PartitionHealthQuery", "query": PARTITION_HEALTH, "variables": variables,
    }  # fmt: skip
    request = urllib.request.Request(
        f"{url}/graphql", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    started = time.perf_counter()
    with urllib.request.urlopen(request) as answer:
        content = answer.read()
    seconds = time.perf_counter() - started
    return seconds, len(content), json.loads(content)["data"]["assetNodeOrError"]


def measure(n: int, rounds: int, screenshot: Path | None) -> None:
    os.environ[PARTITIONS_VARIABLE] = str(n)
    with TemporaryDirectory() as scratch:
        for name in ("RECAP_INSTANCE", "RECAP_DATA"):
            os.environ[name] = scratch
        started = time.perf_counter()
        with dg.DagsterInstance.get() as instance:
            events = fill(instance)
        seconds = time.perf_counter() - started
        print(f"{n} partitions x {len(ASSETS)} assets: {events} events in {seconds:.0f} s")
        with web_server() as url:
            cold = ask(url, ASSET)[0]
            taken = []
            for asset in [asset for asset in ASSETS for _ in range(rounds)]:
                seconds, size, node = ask(url, asset)
                assert len(node["assetPartitionStatuses"]["materializedPartitions"]) == n, asset
                taken.append(seconds)
            warm = statistics.median(taken)
            print(f"  PartitionHealthQuery: {warm:.3f} s, first {cold:.3f} s, {size / 1e3:.0f} kB")
            verdict(f"partitions of an asset, {n} of them, seconds", warm, TARGET_SECONDS,
                    at_most=True)  # fmt: skip
            if browser.program():
                visit(url, n, screenshot)


def visit(url: str, n: int, screenshot: Path | None) -> None:
    path = screenshot and screenshot.with_stem(f"{screenshot.stem}-{n}")
    asked, seconds = browser.visit(f"{url}/assets/{ASSET}?view=partitions", path)
    print(f"  the page in a browser: {seconds:.1f} s to the last of {len(asked)} answers")
    for one in sorted(asked, key=lambda one: -one.seconds)[:8]:
        print(f"    {one.operation:36} {one.seconds:6.2f} s  {one.n_bytes / 1e3:7.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--partitions", type=int, nargs="+", default=[2_000, 10_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--screenshot", type=Path)
    args = parser.parse_args()
    print(machine())
    os.environ["DAGSTER_HOME"] = str(REPOSITORY)
    os.environ["PYTHONPATH"] = f"{REPOSITORY}:{os.environ.get('PYTHONPATH', '')}"
    for n in args.partitions:
        measure(n, args.rounds, args.screenshot)


if __name__ == "__main__":
    main()
