"""The gallery at a million images: every page, each search and filter, memory, and what is written.

A made-up pool (`gallery_pool.py`) of 100 partitions with 10,000 samples each: drawn embeddings of
768 numbers, captions of three sources, scores of two scorers, mixes computed by the platform. Then
`recap look` runs as a process of its own, and pages are asked for over HTTP, one after the other:
the first of each kind, and then others of it, which differ in what they ask for, so that none is
answered from memory. Each page is read in full, without its images, which are measured beside. The
limits are for processor time of the gallery's process, which a busy machine disturbs less than the
clock's, printed beside it.

What a search finds is compared with the exact order, computed here from the stored embeddings. The
versions of all tables and every file below the data folder are compared before and after: only
`judgements` may have changed.

    python benchmarks/gallery.py [--rows 1_000_000] [--partitions 100] [--dimension 768]
        [--rounds 10] [--keep DIR]

A million rows of 768 numbers take 3 GB of disk and some minutes to write.
"""

import argparse
import http.client
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

import gallery_pool
import numpy as np
import polars as pl
import yaml
from verdicts import machine, verdict

from recap_assets.artefacts.catalogue import all_tables
from recap_assets.artefacts.judgements import JUDGEMENTS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import IMAGE_EMBEDDINGS, vectors_of
from recap_assets.artefacts.table import is_usable
from recap_assets.defs.session import Session
from recap_assets.graph.project import Project

REPOSITORY = Path(__file__).parents[1]
FIRST_SECONDS, FIRST_SECONDS_SMALL, SMALL = 2.0, 1.0, 6_000
FILTER_SECONDS = 0.5
TARGET_GIB = 2.0
TARGET_RECALL = 0.95
STARTS_WITHIN = 120.0
BROWSED = 24
"""Images of a page of the gallery."""

FORM = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)"')


@dataclass
class Browser:
    """Asks the gallery, and notes how long each answer took.

    Attributes:
        port: Where it listens.
        process: Its number.
        seconds: By what was asked for, in order.
        processor: The same, seconds of processor time of the gallery's process.
        peaks: The most memory of that process until then, in GiB.
    """

    port: int
    process: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    processor: dict[str, list[float]] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)

    def get(self, what: str, path: str, /, **values: object) -> bytes:
        """A page; the time counts for `what`."""
        return self._asked(what, "GET", f"{path}?{urlencode(values)}" if values else path)

    def post(self, what: str, path: str, body: bytes, kind: str) -> bytes:
        """What a form is answered with."""
        return self._asked(what, "POST", path, body, {"Content-Type": kind})

    def _asked(
        self, what: str, method: str, path: str, body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:  # fmt: skip
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        started, used = time.perf_counter(), self._used()
        connection.request(method, path, body, dict(headers or {}))
        reply = connection.getresponse()
        content = reply.read()
        self.seconds.setdefault(what, []).append(time.perf_counter() - started)
        self.processor.setdefault(what, []).append(self._used() - used)
        self.peaks[what] = self.peak_gib()
        connection.close()
        if reply.status not in (200, 303):
            raise SystemExit(f"{method} {path}: {reply.status}\n{content[-2_000:].decode()}")
        return content

    def _used(self) -> float:
        """Processor seconds of the gallery's process so far, in hundredths."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_gib(self) -> float:
        """The most memory that the process has held at a time."""
        lines = Path(f"/proc/{self.process}/status").read_text().splitlines()
        return float(next(one for one in lines if one.startswith("VmHWM")).split()[1]) / 2**20


@contextmanager
def gallery(session: Session) -> Iterator[Browser]:
    """A browser at `recap look` on a free port, once it listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    main = "from recap_assets.cli.main import main; main()"
    command = [
        sys.executable, "-c", main, "-e", str(session.path), "look", "--port", str(port),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    started = time.perf_counter()
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            _wait_for(port)
            print(f"recap look listens after {time.perf_counter() - started:.1f} s", flush=True)
            yield Browser(port, process.pid)
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(port)


def browse(browser: Browser, images: Sequence[tuple[str, bytes]], rounds: int) -> None:
    """Every page: the first of its kind, then others."""
    page = browser.get("start page", "/").decode()
    for path in dict.fromkeys(re.findall(r'src="(/image/thumb/[^"]+)"', page)):
        browser.get("a small image", path)
    for i in range(rounds):
        browser.get("other images", "/", draw=i + 1)
    for partition, uid in images[:rounds]:
        browser.get("page of an image", f"/pair/{partition}/{uid.hex()}")
    _search(browser, images, rounds)
    browser.get("sources", "/sources")
    for i in range(rounds):
        browser.get("sources, another page", "/sources", page=(i + 1) * 7)
    for order in ("gain", "random", "disagreement") * (1 + rounds // 3):
        browser.get("sources, another order", "/sources", order=order, of="llava")
    for at in ("raw_top30:rules.0.where.top", "both:rules.0.where.all.1.top"):
        _drag(browser, at, rounds)
    browser.get("differences", "/mixes", before="raw_top30", after="mixed")
    browser.get("differences, again", "/mixes", before="raw_top30", after="mixed")
    browser.get("set aside", "/set-aside")
    for what in ("undecodable", "too_small") * (rounds // 2):
        browser.get("set aside, another reason", "/set-aside", what=f"raw_pool {what}")
    browser.get("lineage", "/lineage")
    browser.get("results", "/results")
    _judge(browser, rounds)


def _search(browser: Browser, images: Sequence[tuple[str, bytes]], rounds: int) -> None:
    for i, (_, uid) in enumerate(images[: rounds + 1]):
        browser.get("like this" if i else "like this, the first", "/", like=uid.hex())
    for i in range(rounds + 1):
        what = "by text" if i else "by text, the first (loads the model)"
        browser.get(what, "/", q=f"a red boat number {i}")
    partition, uid = images[0]
    image = browser.get("an image's bytes", f"/bytes/{partition}/{uid.hex()}")
    part = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    for _ in range(max(1, rounds // 2)):
        body = part + image + b"\r\n--x--\r\n"
        browser.post("by file", "/like", body, "multipart/form-data; boundary=x")
    for words in ("red boat", gallery_pool.RARE, "no such words"):
        browser.get(f"words, {words}", "/", q=words, by="words")
    for _, uid in images[:rounds]:
        browser.get("by uid", "/", q=uid.hex()[:12], by="uid")


def _drag(browser: Browser, at: str, rounds: int) -> None:
    name = f"thresholds of {at.partition(':')[0]}"
    browser.get(name, "/thresholds", at=at)
    for i in range(rounds):
        value = round(0.05 + 0.9 * ((0.618 * (i + 1)) % 1), 3)
        browser.get(f"{name}, dragged: counts", "/thresholds/counts", at=at, value=value)
        browser.get(f"{name}, dragged: images", "/thresholds/strips", at=at, value=value)


def _judge(browser: Browser, rounds: int) -> None:
    page = browser.get("compare", "/compare", judge="ann").decode()
    for i in range(rounds):
        fields = {**dict(FORM.findall(page)), "choice": "120"[i % 3]}
        kind = "application/x-www-form-urlencoded"
        browser.post("an answer", "/compare", urlencode(fields).encode(), kind)
        page = browser.get("the next comparison", "/compare", judge="ann").decode()


def exact(project: Project, queries: np.ndarray, n: int) -> list[list[str]]:
    """The uids nearest to each of the queries, by all embeddings as they are stored."""
    best = [pl.DataFrame(schema={"uid": pl.Binary, "cosine": pl.Float32}) for _ in queries]
    for partition in project.partitions:
        rows = project.workspace.tables.read(IMAGE_EMBEDDINGS, scorer="clip", partition=partition)
        cosines = vectors_of(rows["embedding"]) @ queries.T
        for i in range(len(queries)):
            part = pl.DataFrame({"uid": rows["uid"], "cosine": cosines[:, i]})
            best[i] = pl.concat([best[i], part.top_k(n, by="cosine")]).top_k(n, by="cosine")
    return [[uid.hex() for uid in one.sort("cosine", descending=True)["uid"]] for one in best]


def recall(browser: Browser, project: Project, uids: Sequence[bytes]) -> None:
    """How many of the nearest images the search finds."""
    rows = project.workspace.tables.scan(IMAGE_EMBEDDINGS, scorer="clip")
    stored = rows.filter(pl.col("uid").is_in(list(uids))).select("uid", "embedding").collect()
    wanted = exact(project, vectors_of(stored["embedding"]), 1_000)
    shares: dict[int, list[float]] = {BROWSED: [], 1_000: []}
    for uid, nearest in zip(stored["uid"], wanted, strict=True):
        found = browser.get("uids as a file", "/uids.txt", like=uid.hex()).decode().split()
        for n, share in shares.items():
            few = nearest[:n]
            share.append(len({*found[:n]} & {*few}) / len(few))
    for n, share in shares.items():
        mean = statistics.mean(share)
        verdict(f"the nearest {n:,} of {len(share)} images found", mean, TARGET_RECALL)


def state(project: Project) -> tuple[Mapping[str, int | None], Mapping[str, int]]:
    """The version of each table, and when each file below the data folder was written."""
    tables = {name: project.workspace.tables.version(one) for name, one in all_tables().items()}
    files = [path for path in project.workspace.data.rglob("*") if path.is_file()]
    return tables, {str(path): path.stat().st_mtime_ns for path in files}


def refuse_written(before: Mapping[str, object], after: Mapping[str, object], allowed: str) -> None:
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    if wrong := [name for name in changed if allowed not in name]:
        raise SystemExit(f"the gallery wrote {', '.join(sorted(wrong)[:10])}")


def report(browser: Browser, rows: int, peak: float) -> None:
    """Every time, and those that have a limit with a verdict."""
    print(f"load: {', '.join(f'{one:.1f}' for one in os.getloadavg())}")
    width = max(map(len, browser.seconds))
    for what, seconds in browser.seconds.items():
        used = statistics.median(browser.processor[what])
        more = f", at most {max(seconds):.2f} of {len(seconds)}" if len(seconds) > 1 else ""
        times = f"{statistics.median(seconds):6.3f} s, {used:5.2f} of processor time"
        times += f", {browser.peaks[what]:.2f} GiB"
        print(f"{what.ljust(width)}  {times}{more}")
    size = f"{rows:,} rows"
    first = FIRST_SECONDS_SMALL if rows <= SMALL else FIRST_SECONDS
    for what, used in browser.processor.items():
        if what in PAGES:
            verdict(f"{what}, {size}, first, processor seconds", used[0], first, at_most=True)
        elif what.startswith(FILTERS) and "the first" not in what:
            median = statistics.median(used)
            verdict(f"{what}, {size}, processor seconds", median, FILTER_SECONDS, at_most=True)
    verdict(f"the gallery of {size}, GiB", peak, TARGET_GIB, at_most=True)


PAGES = {
    "start page", "sources", "differences", "set aside", "lineage", "results", "compare",
    "thresholds of raw_top30", "thresholds of both",
}  # fmt: skip
FILTERS = (
    "other images", "page of an image", "like this", "by text", "by file", "by uid", "words",
    "sources,", "thresholds of", "set aside,", "the next comparison", "an answer",
)  # fmt: skip


def measure(folder: Path, args: argparse.Namespace) -> None:
    file, is_new = folder / "shown.yaml", not (folder / "pool").exists()
    file.write_text(yaml.safe_dump(gallery_pool.experiment(folder), sort_keys=False))
    os.environ["RECAP_DATA"] = str(folder / "data")
    os.environ["DAGSTER_HOME"] = str(REPOSITORY)
    session = Session(file)
    session.export()
    rows = args.rows // args.partitions
    if is_new:
        started = time.perf_counter()
        gallery_pool.make(session, folder, args.partitions, rows, args.dimension)
        print(f"tables written in {time.perf_counter() - started:.0f} s", flush=True)
    project = Session(file).project
    pool = project.workspace.tables.scan(RAW_POOL).filter(is_usable())
    few = pool.filter(pl.col("partition").is_in(list(project.partitions)[::10]))
    drawn = few.select("partition", "uid").collect().sample(args.rounds + 1, seed=1)
    before = state(project)
    with gallery(session) as browser:
        print(f"{browser.peak_gib():.2f} GiB at its start", flush=True)
        browse(browser, drawn.rows(), args.rounds)
        peak = browser.peak_gib()
        recall(browser, project, drawn["uid"].to_list())
    after = state(project)
    refuse_written(before[0], after[0], JUDGEMENTS.name)
    refuse_written(before[1], after[1], f"/tables/{JUDGEMENTS.name}/")
    print(f"nothing was written but {args.rounds} rows of {JUDGEMENTS.name}")
    report(browser, args.rows, peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="samples of the pool")
    parser.add_argument("--partitions", type=int, default=100)
    parser.add_argument("--dimension", type=int, default=768, help="of the embeddings")
    parser.add_argument("--rounds", type=int, default=10, help="of each search and filter")
    parser.add_argument("--keep", type=Path, help="a folder for the tables: kept, and used again")
    args = parser.parse_args()
    print(machine())
    print(f"load: {', '.join(f'{one:.1f}' for one in os.getloadavg())}")
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
        measure(args.keep, args)
        return
    with TemporaryDirectory() as scratch:
        measure(Path(scratch), args)


if __name__ == "__main__":
    main()
