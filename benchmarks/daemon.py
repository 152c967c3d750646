"""Five edits of a file under a running daemon: does it compute exactly what it must?

Six shards, three captioners, five mixes, all tiny; the real code server, web server and daemon,
asked over GraphQL. The same experiment is built beside it in this process, without Dagster, after
each edit: what that computes is what the daemon has to compute. Training and what follows are left
out by `automation.stages`.

1. from nothing, 2. one captioner's temperature, 3. one mix's threshold, 4. keys in another order
and comments, 5. one shard more, 6. another seed of a greedy captioner: identical captions.

    python benchmarks/daemon.py [--pause 30]
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import yaml

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY))

from verdicts import machine, verdict  # noqa: E402

from recap_assets.defs.session import Session  # noqa: E402
from recap_assets.graph.planner import plan  # noqa: E402
from recap_assets.specs.loading import parse_experiment  # noqa: E402
from recap_assets_tests.defs.asset_events import (  # noqa: E402
    Done,
    computed_since,
    newest_event,
)
from recap_assets_tests.defs.services import (  # noqa: E402
    Services,
    services,
    wait_for,
    write_instance,
)
from recap_assets_tests.tiny import EXPERIMENT, Bench  # noqa: E402

STAGES = ("world", "pool", "models", "captions", "scores", "diversity", "mixes")
SECONDS = 3_600
QUIET_SECONDS = 20

Content = dict[str, Any]


def experiment() -> Content:
    def source(**decoding: str | int) -> Content:
        return {
            "kind": "embedded",
            "model": "captioner",
            "decoding": {"max_tokens": 10, **decoding},
        }

    best = {"use": "raw", "where": {"top": 0.3}}
    return {
        **EXPERIMENT,
        "name": "edited",
        "pool": {"kind": "embedded", "samples": 60, "samples_per_shard": 10},
        "sources": {"a": source(seed=1), "b": source(seed=2), "c": source(strategy="greedy")},
        "mixes": {
            "raw": [{"use": "raw"}],
            "raw_top30": [best],
            "mixed_a": [best, {"use": "a"}],
            "top_b": [{"use": "b", "where": {"top": 0.5}}],
            "best_of_bc": [{"use": {"best_of": ["b", "c"]}}],
        },
        "report": {},
        "automation": {"enabled": True, "stages": list(STAGES), "interval_seconds": 5},
    }


def temperature(content: Content) -> None:
    content["sources"]["b"]["decoding"]["temperature"] = 1.5


def threshold(content: Content) -> None:
    content["mixes"]["raw_top30"][0]["where"]["top"] = 0.5


def shard(content: Content) -> None:
    content["pool"]["samples"] += 10


def same_captions(content: Content) -> None:
    content["sources"]["c"]["decoding"]["seed"] = 7


EDITS: dict[str, Callable[[Content], None] | None] = {
    "a captioner's temperature": temperature,
    "a mix's threshold": threshold,
    "order and comments": None,
    "a shard more": shard,
    "identical captions": same_captions,
}


class Trial:
    """The daemon and the reference, on one file."""

    def __init__(self, folder: Path, running: Services) -> None:
        self.folder, self.path, self.running = folder, folder / "experiment.yaml", running
        self.instance = dg.DagsterInstance.get()
        self.memory = None
        self.missed = 0

    def expected(self) -> Done:
        """What building without Dagster computes after the edit."""
        content = yaml.safe_load(self.path.read_text())
        bench = Bench(self.folder / "reference", parse_experiment(content), self.memory)
        self.memory = bench.memory
        return set(bench.build(*STAGES))

    def step(self, name: str, since: int, start: float) -> None:
        expected = self.expected()
        session = Session(self.path)

        def settled() -> bool:
            entries = plan(session.graph, session.records(self.instance)).to_build
            unfinished = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.QUEUED]
            return not any(session.graph.nodes[e.asset].stage in STAGES for e in entries) and (
                not self.instance.get_runs_count(dg.RunsFilter(statuses=unfinished))
            )

        wait_for(settled, SECONDS, name)
        seconds = time.monotonic() - start
        # Had anything more been started, it would be seen by now.
        time.sleep(QUIET_SECONDS)
        found = computed_since(self.instance, session.graph, since)
        reused = computed_since(self.instance, session.graph, since, reused=True)
        wrong = found ^ expected
        self.missed += bool(wrong)
        print(
            f"{name}: {len(found)} computed of {len(expected)} expected, {len(reused)} reused, "
            f"{seconds:.0f} s",
            flush=True,
        )
        for asset, partition in sorted(wrong):
            kind = "too much" if (asset, partition) in found else "missing"
            print(f"  {kind}: {asset}[{partition}]")

    def edit(self, change: Callable[[Content], None] | None) -> None:
        content = yaml.safe_load(self.path.read_text())
        if change is None:
            text = yaml.safe_dump(dict(reversed(content.items())), sort_keys=False, indent=4)
            self.path.write_text(f"# the same in another order\n{text}")
            self.running.reload()
            time.sleep(QUIET_SECONDS)
            return
        change(content)
        self.path.write_text(yaml.safe_dump(content))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pause", type=float, default=30.0, help="the daemon's between backfills")
    args = parser.parse_args()
    print(machine())
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        path = folder / "experiment.yaml"
        path.write_text(yaml.safe_dump(experiment()))
        os.environ |= {
            "RECAP_EXPERIMENT": str(path),
            "RECAP_SET": "[]",
            "RECAP_DATA": str(folder / "data"),
            "RECAP_INSTANCE": str(folder / "data" / "edited" / "dagster"),
            "DAGSTER_HOME": str(folder / "home"),
            "DAGSTER_DISABLE_TELEMETRY": "yes",
        }
        write_instance(folder / "home")
        session = Session(path)
        session.create_tables()
        session.open_instance().dispose()
        start = time.monotonic()
        with services(folder / "home", dict(os.environ), pause=args.pause) as running:
            trial = Trial(folder, running)
            trial.step("from nothing", 0, start)
            for name, change in EDITS.items():
                since, start = newest_event(trial.instance), time.monotonic()
                trial.edit(change)
                trial.step(name, since, start)
    exact = len(EDITS) + 1 - trial.missed
    verdict("edits under the daemon that computed exactly what they must", exact, len(EDITS) + 1)


if __name__ == "__main__":
    main()
