"""What searching for rows that could be taken over costs a stage that finds none.

The stages captions, image embeddings and scores, with the embedded models, which are the least
expensive ones, on one partition of the embedded world. Each is computed and written while as many
rows as the partition has are stored in each of some other partitions, under equal settings and with
other input hashes: all of them are searched for nothing. Measured is the processor time of the
search as a share of what the stage takes without it. `benchmarks/rows.py` measures the search alone
among 10 million rows. Finding the slices in the records is in neither. A process reads what it
searches once: the share of the first partition that it builds is printed beside that of the later
ones.

    python benchmarks/nothing_to_reuse.py [--images 3_000] [--partitions 20] [--rounds 3]
"""

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import torch
from partitions import write
from scoring_stage import RAW, SCORER, only_partition
from verdicts import machine, verdict
from works import Place, _drawn, _with_source

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.scores import CLIP_SCORES, IMAGE_EMBEDDINGS
from recap_assets.artefacts.table import HASH, Table
from recap_assets.captions import assets as captions
from recap_assets.captions.kinds.trained import EmbeddedSource
from recap_assets.graph.kept_rows import KeptSlice
from recap_assets.graph.node import Node, Step
from recap_assets.graph.project import Project
from recap_assets.graph.reuse import Reuse
from recap_assets.graph.stored_keys import KNOWN
from recap_assets.scores import assets as scores
from recap_assets.storage.tables import TableStore

SOURCE = "a"
TARGET = 0.03


class TimedReuse(Reuse):
    """A search of some slices, whatever machine asks, that counts its processor time."""

    def __init__(self, node: Node, kept: Sequence[KeptSlice]) -> None:
        super().__init__(node.rows, lambda: [replace(one, machine=self.asks) for one in kept])
        self.asks: Mapping[str, str] = {}
        self.searching = 0.0

    def divided(
        self, table: Table, wanted: pl.DataFrame, machine: Mapping[str, str]
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """As `Reuse.divided`."""
        self.asks = machine
        start = time.process_time()
        taken, left = super().divided(table, wanted, machine)
        self.searching += time.process_time() - start
        assert left.height == wanted.height
        return taken, left


def stored_elsewhere(project: Project, node: Node, table: Table, n: int) -> list[KeptSlice]:
    """The node's own rows in other partitions, with other hashes; written with one commit each."""
    tables = project.workspace.tables
    (place,) = [one for one in node.content.places(only_partition(project)) if one.table == table]
    rows = tables.read(table, **place.at).drop(table.slices)
    kept = []
    for number in range(n):
        rng = np.random.default_rng(number)
        hashes = pl.Series(HASH, [rng.bytes(16) for _ in range(rows.height)], dtype=pl.Binary)
        at = {**place.at, "partition": f"other{number:05d}"}
        done = tables.replace(table, at, rows.with_columns(hashes))
        kept.append(
            KeptSlice(
                tables, at, int(done.table_version or 0), None, done.data_version,
                rows.height, 1.0, "cpu", {}, "another partition",
            )
        )  # fmt: skip
    return kept


Shares = tuple[list[float], list[float]]


def shares(project: Project, node: Node, table: Table, n: int, rounds: int) -> Shares:
    """Processor time of the search, as a share of the rest of the stage.

    Of each round: where the table is listed and the other partitions are read, as by the first
    partition that a process builds, and where it has read them before.
    """
    step = Step(only_partition(project), fingerprint="bench", asset=node.key)
    write([node], node.key, step)
    kept = stored_elsewhere(project, node, table, n)
    first, later = list[float](), list[float]()
    for found in (first, later) * rounds:
        if found is first:
            KNOWN.clear()
            unread = TableStore(project.workspace.tables.root)
            kept = [replace(one, tables=unread) for one in kept]
        reuse = TimedReuse(node, kept)
        start = time.process_time()
        write([node], node.key, replace(step, reuse=reuse))
        whole = time.process_time() - start
        found.append(reuse.searching / (whole - reuse.searching))
        print(f"{node.key}: {reuse.searching:.3f} of {whole:.2f} s of processor time", flush=True)
    return first, later


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=3_000)
    parser.add_argument("--partitions", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{machine()}; {args.images:,} images, {args.partitions} other partitions", flush=True)
    with TemporaryDirectory() as inputs, TemporaryDirectory() as scratch:
        project = _drawn(Place(Path(inputs), Path(scratch), args.images / 3_000))
        content = {"kind": "embedded", "model": "captioner", "device": "cpu"}
        spec = EmbeddedSource.model_validate(content | {"decoding": {"max_tokens": 15, "seed": 1}})
        project = _with_source(project, SOURCE, spec)
        nodes = {node.key: node for node in (*captions.nodes(project), *scores.nodes(project))}
        for table, names in (
            (SYNTHETIC_CAPTIONS, (SOURCE,)),
            (IMAGE_EMBEDDINGS, (SCORER,)),
            (CLIP_SCORES, (SCORER, RAW)),
        ):
            both = shares(project, nodes[table.key(*names)], table, args.partitions, args.rounds)
            for which, found in zip(("first", "later"), both, strict=True):
                what = f"search for nothing to reuse, {which} partition, share of {table.name}"
                verdict(what, statistics.median(found), TARGET, at_most=True)


if __name__ == "__main__":
    main()
