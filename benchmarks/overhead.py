"""The share of a build's time that goes to neither models nor image work.

Builds the `smoke` experiment with the real `recap build` in a temporary folder, or reads a finished
build of any experiment with --data. What each partition took is in its materialization, when each
run began and ended in Dagster's event log, what writing a table took in its Delta log. All of
(jobs x wall time) is told apart:

- models: what the stages models, captions, scores, training and evaluation took;
- image work: drawing (stage world), indexing and hashing (stage pool);
- Delta: writing, as delta-rs logs it, taken out of the stages above; preparing and reading tables
  is not logged and stays in them;
- the other stages; asset checks; the rest of Dagster's runs (events, steps, retries);
- planner: from the end of a run to the next run of an idle worker; the next plan is in it;
- waiting: a worker idle while what is left needs what another worker is building;
- start and end of the command: imports, first plan, starting workers, the leaderboard.

Two readings: of (jobs x wall), where an idle worker counts as overhead, and of wall time alone, the
share in which no worker was at models or image work. Importing torch falls into the first stage
that uses it, charts and tables' reading into their stages: both readings take these for work.

On a busy machine all of this is stretched, and unevenly. So where it builds, it prints a third
reading, of processor time: what the command and its workers used, and what of it was used within
partitions of the stages above (`benchmarks/overhead_command.py` notes it).

    python benchmarks/overhead.py [--jobs 2] [--set KEY=VALUE]... [-e smoke.yaml]
    python benchmarks/overhead.py --data data -e demo.yaml
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import overhead_command
from verdicts import machine, verdict

import recap_assets
from recap_assets.defs.session import Session

TARGET = 0.15
MODELS = ("models", "captions", "scores", "training", "evaluation")
IMAGES = ("world", "pool")
BREAK_SECONDS = 60.0
"""Builds are told apart by a pause of all workers of this length."""
REPOSITORY = Path(__file__).parents[1]
EXPERIMENTS = Path(recap_assets.__file__).parent / "experiments"

PARTITIONS = "processor_seconds.txt"

Interval = tuple[float, float]


@dataclass
class Run:
    """One Dagster run; times are seconds since the epoch.

    Attributes:
        worker: Process id.
        created: When it was handed to the worker.
        built: Asset, end and seconds of each partition that was built.
        checking: Seconds of asset checks.
    """

    worker: str
    created: float
    end: float
    built: list[tuple[str, float, float]] = field(default_factory=list)
    checking: float = 0.0


def runs_of(instance: dg.DagsterInstance) -> list[Run]:
    records = [r for r in instance.get_run_records() if r.start_time and r.end_time]
    runs = [run_of(instance, r.dagster_run.run_id, r) for r in records]
    return sorted(runs, key=lambda run: run.created)


def run_of(instance: dg.DagsterInstance, run_id: str, record: dg.RunRecord) -> Run:
    assert record.end_time
    run = Run("", record.create_timestamp.timestamp(), record.end_time)
    last_built: dict[str | None, float] = {}
    for entry in instance.all_logs(run_id):
        event = entry.dagster_event
        if event is None:
            continue
        if event.is_step_materialization:
            materialization = event.step_materialization_data.materialization
            seconds = float(materialization.metadata["seconds"].value)
            asset = "/".join(materialization.asset_key.path)
            run.built.append((asset, entry.timestamp, seconds))
            last_built[event.step_key] = entry.timestamp
        elif event.event_type_value in ("ASSET_CHECK_EVALUATION", "STEP_OUTPUT"):
            # A step's checks are judged after its last partition, before it yields anything.
            if (before := last_built.pop(event.step_key, None)) is not None:
                run.checking += entry.timestamp - before
        elif "(pid: " in (event.message or "") and not run.worker:
            run.worker = event.message.split("(pid: ")[1].split(")")[0]
    return run


def longest_build(runs: Sequence[Run]) -> list[Run]:
    """The runs of the build that took longest, where there were several."""
    builds: list[list[Run]] = []
    end = 0.0
    for run in runs:
        if not builds or run.created - end > BREAK_SECONDS:
            builds.append([])
        builds[-1].append(run)
        end = max(end, run.end)
    return max(builds, key=lambda build: max(r.end for r in build) - build[0].created)


def idle(runs: Sequence[Run], start: float, end: float, jobs: int) -> tuple[float, float]:
    """Seconds of planner and of waiting, over all workers, between start and end."""
    ends = sorted(run.end for run in runs)
    planner = waiting = 0.0
    workers: dict[str, list[Run]] = {}
    for run in runs:
        workers.setdefault(run.worker, []).append(run)
    for own in workers.values():
        at = start
        for run in own:
            # The driver plans when a run ends: until the last end nothing was there to be done.
            ready = max([at, *(e for e in ends if at < e <= run.created)])
            waiting += ready - at
            planner += max(0.0, run.created - ready)
            at = run.end
        waiting += end - at
    return planner, waiting + (jobs - len(workers)) * (end - start)


def delta_seconds(tables: Path, start: float, end: float) -> Counter[str]:
    """Seconds of writing by asset, from the Delta logs' commits in that time."""
    spent: Counter[str] = Counter()
    for path in tables.glob("*/_delta_log/*.json"):
        for line in path.read_text().splitlines():
            info = json.loads(line).get("commitInfo", {})
            if start <= info.get("timestamp", 0) / 1000 <= end:
                took = info.get("operationMetrics", {}).get("execution_time_ms", 0)
                spent[info.get("recap.asset", "")] += took / 1000
    return spent


def covered(intervals: Iterable[Interval]) -> float:
    """Seconds in at least one of the intervals."""
    total, until = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def parts_of(
    runs: Sequence[Run], session: Session, jobs: int, wall: Interval
) -> tuple[dict[str, float], float]:
    """Seconds of each part of (jobs x wall), and wall seconds without models or image work."""
    first, last = min(run.created for run in runs), max(run.end for run in runs)
    stages = {key: node.stage for key, node in session.graph.nodes.items()}
    built = [one for run in runs for one in run.built]
    by_stage: Counter[str] = Counter()
    for asset, _, seconds in built:
        by_stage[stages[asset]] += seconds
    delta = delta_seconds(session.project.workspace.root / "tables", first, last)
    for asset, seconds in delta.items():
        if asset in stages:
            by_stage[stages[asset]] -= seconds
    planner, waiting = idle(runs, first, last, jobs)
    checks = sum(run.checking for run in runs)
    running = sum(run.end - run.created for run in runs)
    parts = {
        **{f"models: {stage}": by_stage.pop(stage, 0.0) for stage in MODELS},
        **{f"image work: {stage}": by_stage.pop(stage, 0.0) for stage in IMAGES},
        **{f"other stages: {stage}": seconds for stage, seconds in by_stage.items()},
        "Delta: writing": sum(seconds for asset, seconds in delta.items() if asset in stages),
        "Dagster: asset checks": checks,
        "Dagster: rest of its runs": running - sum(seconds for *_, seconds in built) - checks,
        "planner": planner,
        "waiting": waiting,
        "start of the command": jobs * (first - wall[0]),
        "end of the command": jobs * (wall[1] - last),
    }
    busy = [(end - s, end) for asset, end, s in built if stages[asset] in (*MODELS, *IMAGES)]
    return parts, wall[1] - wall[0] - covered(busy)


def report(name: str, session: Session, jobs: int, wall: Interval | None) -> None:
    os.environ["DAGSTER_HOME"] = str(REPOSITORY)
    session.export()
    with dg.DagsterInstance.get() as instance:
        runs = longest_build(runs_of(instance))
    workers = len({run.worker for run in runs})
    if workers > jobs:
        raise SystemExit(f"{workers} workers ran: give --jobs {workers}, or one build's data")
    whole = wall or (min(run.created for run in runs), max(run.end for run in runs))
    parts, without = parts_of(runs, session, jobs, whole)
    seconds = whole[1] - whole[0]
    note = "" if wall else ", first to last run: start and end of the command are not known"
    print(f"{name}: {seconds:.1f} s with {jobs} jobs, {len(runs)} runs{note}")
    for part, spent in parts.items():
        print(f"  {part:28} {spent:8.1f} s  {spent / (jobs * seconds):6.1%}")
    work = sum(spent for part, spent in parts.items() if part.startswith(("models", "image")))
    drawing = sum(spent for part, spent in parts.items() if part.startswith("image"))
    print(f"  with drawing and indexing counted as overhead: "
          f"{1 - (work - drawing) / (jobs * seconds):.1%} of jobs x wall")  # fmt: skip
    share = 1 - work / (jobs * seconds)
    verdict(f"overhead of {name}, of jobs x wall", share, TARGET, at_most=True)
    verdict(f"overhead of {name}, of wall time", without / seconds, TARGET, at_most=True)


def report_processor_time(name: str, total: float, lines: Iterable[str]) -> None:
    """The share of processor time that went to neither models nor image work.

    Args:
        name: The experiment.
        total: Processor seconds of the command and all of its workers.
        lines: A stage and its processor seconds, for each partition.
    """
    spent: Counter[str] = Counter()
    for line in lines:
        stage, seconds = line.split()
        spent[stage] += float(seconds)
    print(f"{name}: {total:.1f} s of processor time")
    for stage, seconds in spent.most_common():
        print(f"  {stage:28} {seconds:8.1f} s  {seconds / total:6.1%}")
    rest = total - sum(spent.values())
    print(f"  {'outside of partitions':28} {rest:8.1f} s  {rest / total:6.1%}")
    share = 1 - sum(spent[stage] for stage in (*MODELS, *IMAGES)) / total
    verdict(f"overhead of {name}, of processor time", share, TARGET, at_most=True)


def processor_seconds_of_children() -> float:
    """Of all processes that this one has started and that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def build(experiment: Path, settings: Sequence[str], data: Path, jobs: int) -> Interval:
    """Run `recap build`; when it began and ended."""
    overlay = [word for project in settings for word in ("--set", project)]
    command = [
        sys.executable, overhead_command.__file__, "-e", str(experiment),
        "--data", str(data), *overlay, "build", "--yes", "--jobs", str(jobs),
    ]  # fmt: skip
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(REPOSITORY),
        "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{Path(__file__).parent}",
        overhead_command.FILE: str(data / PARTITIONS),
    }
    for name in ("RECAP_TABLES", "RECAP_SET", "RECAP_EXPERIMENT"):
        environment.pop(name, None)
    start = time.time()
    done = subprocess.run(
        command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"recap build failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return start, time.time()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-e", "--experiment", default="smoke.yaml", help="a file, or a shipped one")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--data", type=Path, help="read this data folder, build nothing")
    args = parser.parse_args()
    given = Path(args.experiment)
    experiment = given if given.exists() else EXPERIMENTS / given.name
    session = Session(experiment, tuple(args.settings))
    print(machine())
    with ExitStack() as stack:
        wall = None
        data = args.data or Path(stack.enter_context(TemporaryDirectory()))
        os.environ["RECAP_DATA"] = str(data.absolute())
        if args.data and not session.project.workspace.instance.is_dir():
            raise SystemExit(f"{session.project.workspace.root} holds no build")
        if not args.data:
            wall = build(experiment, args.settings, data, args.jobs)
        name = session.project.experiment.name
        report(name, session, args.jobs, wall)
        if not args.data:
            lines = (data / PARTITIONS).read_text().splitlines()
            report_processor_time(name, processor_seconds_of_children(), lines)


if __name__ == "__main__":
    main()
