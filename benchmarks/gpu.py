"""What a GPU is for, on a machine that may be lent for minutes: its tests, and captioning.

`--captions` measures captioning by a model of BLIP-2's shape (`gpu_captions.py`): the raw results
go into a file of JSON lines, and a table is printed. It takes less than eight minutes on an H200.

`--images` measures scoring decoded images (`gpu_images.py`), in about a minute.

`--tests` runs the tests: counts, and why each failed. First those marked `gpu`, then those of the
engines, which must not see it. Every failure goes into the file at once, so that what was found is
kept where time is up. The exit code is 1 where a test failed, 2 where time was up or nothing ran.

    python benchmarks/gpu.py --captions [--seconds 420] [--into gpu_captions.jsonl] [--tiny]
    python benchmarks/gpu.py --images
    python benchmarks/gpu.py --tests [--seconds 300] [--into gpu_tests.txt] [--processes 12] [PATH]
"""

import argparse
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

from verdicts import machine

HERE = Path(__file__).parent
ENGINES = [f"recap_assets_tests/{name}" for name in ("engines", "captions", "scores", "training")]
COUNTING = 30
"""Seconds for the counts of a run whose time is up."""
COUNTS = re.compile(r"\d+ (?:passed|failed|skipped|deselected|errors?)")


def gpu_names() -> list[str]:
    """What nvidia-smi lists; nothing where there is none."""
    words = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    if shutil.which(words[0]) is None:
        return []
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.splitlines()


def versions() -> str:
    """Of Python, and of the packages that tests depend on most."""
    packages = ("torch", "transformers", "open_clip_torch", "numpy")
    return ", ".join(
        [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)]
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """End a run as Ctrl-C does, so that it still counts what it did; by force where it does not."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(COUNTING)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run(title: str, words: list[str], seconds: float, into: Path) -> int:
    """Run pytest within a time, pass its last lines on to the file, and give its exit code."""
    paths = [str(HERE.parent), str(HERE), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ, "FAILURES": str(into), "PYTHONPATH": os.pathsep.join(filter(None, paths))
    }  # fmt: skip
    command = [sys.executable, "-m", "pytest", "-p", "failures", "-p", "no:cacheprovider"]
    command += ["-o", "addopts=-q --strict-markers --tb=no", "-rs", *words]
    command += ["--continue-on-collection-errors"]
    log = into.with_suffix(".log")
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=HERE.parent, env=environment, stdout=output)
        try:
            code = process.wait(max(1.0, seconds))
        except subprocess.TimeoutExpired:
            end(process)
            code = 2
    lines = log.read_text().splitlines()
    told = ", ".join(COUNTS.findall(lines[-1])) if lines else ""
    skipped = [line for line in lines if line.startswith("SKIPPED")]
    with into.open("a") as file:
        file.write("\n".join([f"{title}: {told or 'no counts'}; exit code {code}", *skipped, ""]))
    return code


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--tests", action="store_true", help="run the tests")
    what.add_argument("--captions", action="store_true", help="measure captioning")
    what.add_argument("--images", action="store_true", help="measure scoring of images")
    parser.add_argument("--seconds", type=float, help="of all; 300 for tests, 420 for captions")
    parser.add_argument("--into", type=Path, help="file of what is found")
    parser.add_argument("--tiny", action="store_true", help="of captioning, a toy on a CPU")
    parser.add_argument("--processes", default="12", help="of the tests that see no GPU")
    parser.add_argument("paths", nargs="*", default=ENGINES)
    args = parser.parse_args()
    if args.images:
        sys.exit(subprocess.run([sys.executable, HERE / "gpu_images.py"], check=False).returncode)
    if args.captions:
        # Torch is loaded for this alone: tests load it in processes of their own.
        from gpu_captions import run as measure  # noqa: PLC0415

        print(f"{machine()}, GPU: {', '.join(gpu_names()) or 'none'}; {versions()}")
        into = args.into or Path("gpu_captions.jsonl")
        sys.exit(min(1, measure(args.seconds or 420, into.absolute(), tiny=args.tiny)))
    tests(args.seconds or 300, (args.into or Path("gpu_tests.txt")).absolute(), args)


def tests(seconds: float, into: Path, args: argparse.Namespace) -> None:
    """Run the tests, marked and others, and end with the exit code."""
    into.write_text(f"{machine()}, GPU: {', '.join(gpu_names()) or 'none'}; {versions()}\n")
    until = time.monotonic() + seconds
    codes = [run("on the GPU", ["-m", "gpu", "-n", "0", *args.paths], seconds, into)]
    hidden = ["-n", args.processes, "--dist", "loadfile", *args.paths]
    codes.append(run("beside the GPU", hidden, until - time.monotonic(), into))
    print(into.read_text())
    sys.exit(max(min(code, 2) for code in codes))


if __name__ == "__main__":
    main()
