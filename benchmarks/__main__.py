"""All benchmarks one after the other, and a table of every ratio against its target.

Each runs in a process of its own: one that crashes does not stop the rest. The exit code is 1 where
one crashed; a ratio that misses its target is a result like any other.

    python -m benchmarks [--quick] [--only NAME]...
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from verdicts import MARK, machine  # noqa: E402 - the benchmarks are scripts beside this file

QUICK: dict[str, tuple[str, ...]] = {
    "thresholds": ("--scores", "2_000_000", "--part", "200_000", "--rounds", "1"),
    "selection": ("--rows", "300_000", "--rounds", "1"),
    "trigrams": ("--captions", "50_000", "--rounds", "1"),
    "index_shards": ("--samples", "300", "--rounds", "2"),
    "resharding": ("--images", "300", "--rounds", "1"),
    "scoring": ("--images", "32", "--rounds", "1"),
    "evaluation_sets": ("--images", "64", "--rounds", "1", "--without-models"),
    "scoring_stage": ("--images", "16", "--samples", "512", "--rounds", "1"),
    "captioning": ("--model", "small", "--rounds", "1"),
    "prompt_prefix": ("--images", "8", "--rounds", "1", "--system", "32"),
    "training_launcher": (
        "--model", "ViT-S-32-alt", "--batch", "2", "--steps", "1", "2", "--rounds", "1",
    ),
    "daemon": ("--pause", "2"),
    "overhead": (
        "--set", "pool.samples=400", "--set", "pool.samples_per_shard=200",
        "--set", "training.samples_seen=1024", "--set", "models.scorer.samples_seen=1024",
        "--set", "models.backbone.samples_seen=1024",
        "--set", "models.captioner_a.samples_seen=1024",
    ),
    "planner": ("--partitions", "100"),
    "run_overhead": ("--rounds", "1", "--sizes", "1", "16", "--storage", "sqlite"),
    "status_page": ("--partitions", "500", "--rounds", "1"),
    "imports": ("--rows", "200_000", "--partitions", "4"),
    "rows": ("--rows", "250_000"),
    "nothing_to_reuse": ("--images", "300", "--partitions", "3", "--rounds", "1"),
    "threshold_edit": ("--images", "64_000", "--partitions", "4", "--rounds", "1"),
    "mix_trial": ("--images", "64_000", "--partitions", "4", "--rounds", "1"),
    "large_pool": ("--partitions", "2", "4", "--rows", "20_000", "--distinct", "1"),
    "gallery": (
        "--rows", "3_000", "--partitions", "3", "--dimension", "64", "--rounds", "2",
    ),
    "duplicates": (
        "--hashes", "100_000", "--embeddings", "3_000", "--clusters", "3", "--dimension", "64",
        "--beside", "20_000", "2_000",
    ),
    "commands": ("--experiment", "smoke", "--rounds", "1"),
    "kills": ("--kills", "2"),
    "remote_workers": ("--tars", "4", "--seconds", "0.2"),
}  # fmt: skip
"""Every benchmark in its order, with the options of a quick look: sizes too small to be quoted."""


def run(name: str, options: tuple[str, ...]) -> tuple[list[list[str]], int]:
    """Run one benchmark, passing its output on; its rows of the table and its exit code."""
    print(f"\n--- {name} {' '.join(options)}", flush=True)
    command = [sys.executable, str(HERE / f"{name}.py"), *options]
    rows = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith(MARK):
                rows.append(line.removeprefix(MARK).strip().split(" | "))
            else:
                print(line, end="", flush=True)
    return rows, process.returncode


def print_table(rows: list[list[str]]) -> None:
    table = [["what", "ratio", "target", ""], *rows]
    widths = [max(len(row[i]) for row in table) for i in range(4)]
    for what, ratio, target, met in table:
        print(
            f"{what.ljust(widths[0])}  {ratio.rjust(widths[1])}  {target.ljust(widths[2])}  {met}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: do they run at all?")
    parser.add_argument("--only", action="append", choices=list(QUICK), help="may be repeated")
    args = parser.parse_args()
    print(machine())
    rows: list[list[str]] = []
    crashed = []
    for name, quick in QUICK.items():
        if args.only and name not in args.only:
            continue
        found, code = run(name, quick if args.quick else ())
        rows += found
        if code:
            crashed.append(f"{name} (exit code {code})")
    print(f"\n{machine()}{', quick: sizes too small to be quoted' if args.quick else ''}")
    print_table(rows)
    if crashed:
        print(f"crashed: {', '.join(crashed)}")
        sys.exit(1)


if __name__ == "__main__":
    main()
