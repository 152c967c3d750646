"""What Dagster and our own recording cost a run and a partition, with nothing to compute.

Assets of the platform's own factory compute nothing; runs take 1, 16 and 256 partitions. Three ways
to run, as they happen in use, each with SQLite as `dagster.yaml` configures it and with PostgreSQL
as `docs/scale.md` does:

- driver: `recap build`'s worker process executes the run in itself;
- in_process: a run launched as the daemon does (planned events, a process from the code server),
  executed in that process;
- multiprocess: the same with Dagster's default executor, a process more for each step.

The queue (5 s a tick) and the backfill daemon (30 s a tick) are not in it: they add waiting, not
work. Each way, size and storage is run once in each round, in turns; medians are printed, with the
least-squares line of seconds over partitions, and what that makes of a partition's share when a run
takes k partitions.

Waiting for the disk is in the seconds by the clock; TMPDIR=/dev/shm leaves it out.

    python benchmarks/run_overhead.py [--rounds 3] [--sizes 1 16 256] [--storage sqlite postgres]
        [--ways driver in_process multiprocess]
"""

import argparse
import asyncio
import logging
import os
import re
import signal
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import numpy as np
import psutil
import yaml
from dagster._core.execution.submit_asset_runs import submit_asset_run
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import PythonFileTarget
from postgres import private_cluster
from trivial_location import ASSET, PARTITIONS_VARIABLE, UPSTREAM, definitions, partition_keys
from verdicts import machine, verdict

from recap_assets.defs.assets import POOL_PARTITIONS, asset_key
from recap_assets.defs.ranges import range_tags
from recap_assets.specs.automation import Automation

REPOSITORY = Path(__file__).parents[1]
LOCATION = Path(__file__).with_name("trivial_location.py")
WAYS = ("driver", "in_process", "multiprocess")
CANDIDATES = (1, 4, 16, 64, 128, 256)
CHEAPEST_SECONDS = 2.0
"""What the cheapest work on a partition takes: a mix of 400,000 images, see threshold_edit.py."""

PARTITIONS_PER_RUN = Automation().partitions_per_run
TARGET_SHARE = 0.1


def dagster_yaml(storage: str) -> dict[str, Any]:
    """The instance's file, but for the queue: runs are launched as soon as they are submitted."""
    if storage == "sqlite":
        text = (REPOSITORY / "dagster.yaml").read_text()
    else:
        (text,) = re.findall(r"```yaml\n(.*?)```", (REPOSITORY / "docs/scale.md").read_text(), re.S)
    content = yaml.safe_load(text)
    content["concurrency"].pop("runs")
    launcher = {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"}
    return {**content, "run_coordinator": launcher}


class Side:
    """One storage, with all three ways to run."""

    def __init__(self, storage: str, folder: Path, stack: ExitStack) -> None:
        self.storage = storage
        self._processes = [os.getpid()]
        folder.mkdir()
        (folder / "dagster.yaml").write_text(yaml.safe_dump(dagster_yaml(storage)))
        self._environment = {
            "DAGSTER_HOME": str(folder), "RECAP_INSTANCE": str(folder), "RECAP_DATA": str(folder),
        }  # fmt: skip
        if storage == "postgres":
            cluster = stack.enter_context(private_cluster())
            self._environment["RECAP_POSTGRES_URL"] = cluster.url
            self._processes.append(cluster.process)
        with self.environment():
            self.instance = stack.enter_context(dg.DagsterInstance.get())
            self.instance.add_dynamic_partitions(POOL_PARTITIONS, partition_keys())
            self._job = definitions(in_pools=False).resolve_implicit_global_asset_job_def()
            stack.callback(wait_for_children)
            target = PythonFileTarget(str(LOCATION), "defs", str(REPOSITORY), "trivial")
            self._context = stack.enter_context(
                WorkspaceProcessContext(self.instance, target, code_server_log_level="WARNING")
            )
            self.drive(UPSTREAM, partition_keys())

    @contextmanager
    def environment(self) -> Iterator[None]:
        before = dict(os.environ)
        os.environ.update(self._environment)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def drive(self, asset: str, keys: Sequence[str]) -> str:
        """As a worker of `recap build`; the run's id."""
        result = self._job.execute_in_process(
            instance=self.instance,
            asset_selection=[asset_key(asset)],
            tags={**range_tags(keys), "recap/force": "true"},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        assert result.success
        return result.run_id

    def launch(self, asset: str, keys: Sequence[str], executor: str) -> str:
        """As the daemon launches what a backfill asks for; the run's id."""
        request = dg.RunRequest(
            asset_selection=[asset_key(asset)],
            tags={**range_tags(keys), "recap/force": "true"},
            run_config={"execution": {"config": {executor: {}}}},
        )
        run = asyncio.run(
            submit_asset_run(
                None, request, 0, self.instance, self._context,
                self._context.create_request_context(), {}, {},
                logging.getLogger(__name__),
            )
        )  # fmt: skip
        while not (now := self.instance.get_run_by_id(run.run_id)) or not now.is_finished:
            time.sleep(0.2)
        assert now.is_success, self.instance.all_logs(run.run_id)
        return run.run_id

    def measure(self, way: str, size: int) -> "Taken":
        """Execute one run."""
        keys = partition_keys()[:size]
        with self.environment():
            processor, started = self._processor_seconds(), time.time()
            is_driver = way == "driver"
            run_id = self.drive(ASSET, keys) if is_driver else self.launch(ASSET, keys, way)
            processor = self._processor_seconds() - processor
            record = self.instance.get_run_record_by_id(run_id)
            built = self.instance.get_records_for_run(
                run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
            ).records
            n_events = len(self.instance.all_logs(run_id))
        assert len(built) == size, (way, size, len(built))
        assert record
        assert record.end_time
        return Taken(record.end_time - started, processor, n_events)

    def _processor_seconds(self) -> float:
        """Of this process, the code server, all that they started, and the database's server."""
        roots = [psutil.Process(number) for number in self._processes]
        tree = [p for root in roots for p in (root, *root.children(recursive=True))]
        return sum(sum(p.cpu_times()[:4]) for p in tree if p.is_running())


@dataclass(frozen=True)
class Taken:
    """What one run took: seconds by the clock and of processor time; events that it wrote."""

    wall: float
    processor: float
    n_events: int


def wait_for_children() -> None:
    """Let code servers end before the database that they look at."""
    for child in psutil.Process().children():
        if "api" in child.cmdline():
            child.terminate()
            child.wait(60)


Times = dict[tuple[str, str], dict[int, list[Taken]]]


def measure_all(
    sides: Sequence[Side], ways: Sequence[str], sizes: Sequence[int], rounds: int
) -> Times:
    times: Times = {(s.storage, way): {n: [] for n in sizes} for s in sides for way in ways}
    for side in sides:
        for way in ways:
            side.measure(way, 1)  # first imports, first connections
    for turn in range(rounds):
        for size in sizes:
            for way in ways:
                for side in sides if turn % 2 == 0 else sides[::-1]:
                    taken = side.measure(way, size)
                    times[side.storage, way][size].append(taken)
                    print(f"{side.storage}, {way}, {size}: {taken}", flush=True)
    return times


def report(times: Times) -> None:
    print("\n| storage | run by | partitions | s a run | processor s | ms each | events |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for (storage, way), by_size in times.items():
        for n, taken in by_size.items():
            wall = statistics.median(one.wall for one in taken)
            cpu = statistics.median(one.processor for one in taken)
            print(
                f"| {storage} | {way} | {n} | {wall:.2f} | {cpu:.2f} | {1000 * wall / n:.0f} "
                f"| {taken[0].n_events} |"
            )
    ks = ", ".join(map(str, CANDIDATES))
    print(f"\n| storage | run by | clock | s a run | ms a partition | ms each with {ks} in a run |")
    print("| --- | --- | --- | --- | --- | --- |")
    for (storage, way), by_size in times.items():
        for clock in ("wall", "processor"):
            a, b = line_through(by_size, clock)
            shares = ", ".join(f"{1000 * (a / k + b):.0f}" for k in CANDIDATES)
            print(f"| {storage} | {way} | {clock} | {a:.2f} | {1000 * b:.0f} | {shares} |")
            verdict(
                f"own cost of a partition, {PARTITIONS_PER_RUN} a run : the cheapest work on one "
                f"({storage}, {way}, {clock})",
                (a / PARTITIONS_PER_RUN + b) / CHEAPEST_SECONDS, TARGET_SHARE, at_most=True,
            )  # fmt: skip


def line_through(by_size: dict[int, list[Taken]], clock: str) -> tuple[float, float]:
    """Seconds a run and seconds a partition, by least squares of relative errors."""
    points = [(n, getattr(one, clock)) for n, taken in by_size.items() for one in taken]
    sizes, seconds = np.array(points, dtype=float).T
    slope, start = np.polyfit(sizes, seconds, 1, w=1 / seconds)
    return float(start), float(slope)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 16, 256])
    parser.add_argument(
        "--storage", nargs="+", choices=["sqlite", "postgres"], default=["sqlite", "postgres"]
    )
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    args = parser.parse_args()
    print(machine())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the cluster is stopped
    os.environ[PARTITIONS_VARIABLE] = str(max(args.sizes))
    os.environ["PYTHONPATH"] = f"{REPOSITORY}:{os.environ.get('PYTHONPATH', '')}"
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory()))
        sides = [Side(storage, scratch / storage, stack) for storage in args.storage]
        report(measure_all(sides, args.ways, args.sizes, args.rounds))


if __name__ == "__main__":
    main()
