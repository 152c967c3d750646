"""Processor time of commands that people wait for: `recap --help` and `recap plan`.

Each runs in a process of its own, as a shell starts it, with the bytecode of an earlier start;
user and system time of the process and its children. `plan` is of what --data holds of the
experiment, such as the demo after `make demo`.

    python benchmarks/commands.py [--experiment demo] [--data data] [--rounds 5]
"""

import argparse
import resource
import statistics
import subprocess
import sys
from pathlib import Path

from verdicts import machine, verdict

RECAP = [str(Path(sys.executable).with_name("recap"))]


def seconds(words: list[str]) -> float:
    """Processor time of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*RECAP, *words], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", default="demo")
    parser.add_argument("--data", default="data")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(machine())
    of = ["-e", given.experiment, "--data", given.data]
    for name, words, most in (
        ("recap --help", ["--help"], 0.3),
        (f"recap plan, {given.experiment}", [*of, "plan"], 1.5),
    ):
        seconds(words)
        took = [seconds(words) for _ in range(given.rounds)]
        print(f"{name}: " + ", ".join(f"{one:.2f}" for one in took))
        verdict(f"{name}, its limit against its processor time", most / statistics.median(took), 1)


if __name__ == "__main__":
    main()
