"""Pieces of the platform's own work, which `against.py` measures on two states of the package.

A work is made ready in a folder and is then a function without arguments. It runs on this
checkout's package or on that of a former commit, whichever PYTHONPATH names, so it uses what both
have: the stages' functions and the command line. What both read lies ready, made once.

    PYTHONPATH=CHECKOUT python benchmarks/works.py WORK --inputs FOLDER [--share 1.0]

A line on standard input asks for a run, a line on standard output answers with its processor
seconds. The first run of the process has with it what is done once, such as loading a model.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import polars as pl
    from deltalake.transaction import AddAction

    from recap_assets.captions.kind import Captioning
    from recap_assets.captions.kinds.imported import ImportSource
    from recap_assets.graph.project import Project

RECAP = (sys.executable, "-c", "from recap_assets.cli.main import main; main()")
PLAIN = "a photo of a dog, number {}, on a beach in the evening sun"
QUOTED = 'a photo of a "dog", number {}, in the evening sun'
JOINED_PARTITIONS = 10
FILE_BYTES = 32

Run = Callable[[], object]


class Place(NamedTuple):
    """What a work has to go on.

    Attributes:
        inputs: The folder of what all runs read.
        scratch: An empty folder of this process.
        share: Which part of the usual size is to be done.
    """

    inputs: Path
    scratch: Path
    share: float

    def size(self, n: int) -> int:
        """That part of a number."""
        return max(1, int(n * self.share))

    def made(self, name: str, make: Callable[[Path], object]) -> Path:
        """A folder among the inputs, filled by the first that asks for it."""
        folder = self.inputs / f"{name} {self.share:g}"
        if not folder.exists():
            half = folder.with_suffix(".half")
            half.mkdir()
            make(half)
            half.rename(folder)
        return folder


def index(place: Place, *, samples: int, side: int) -> Run:
    """Whole shards of JPEGs, as img2dataset writes them."""
    from index_shards import whole, write_shard

    n = place.size(samples)
    folder = place.made(f"shards_{side}", lambda made: write_shard(made / "0.tar", n, side, 0))
    return lambda: whole(folder)


def score_vit(place: Place) -> Run:
    """The scoring stage with ViT-B-32: embeddings, cosines, both tables written."""
    import scoring_stage

    from recap_assets.specs.models import OpenClipTower
    from recap_assets.training.engine.open_clip_trainee import OpenClipTrainee

    def make(made: Path) -> None:
        spec = OpenClipTower(kind="open_clip", name=scoring_stage.MODEL)
        OpenClipTrainee(spec, (224, 224)).save(made / "vit")
        scoring_stage.write_photographs(made / "photographs", place.size(48))

    folder = place.made("vit", make)
    spec = {"kind": "open_clip", "model": f"local-dir:{folder / 'vit'}", "device": "cpu"}
    project = scoring_stage.open_setting(place.scratch, folder / "photographs", spec)
    return lambda: scoring_stage.stage(project)


def score_small(place: Place) -> Run:
    """The same with the embedded scorer, of which a sample takes less than 1 ms."""
    import scoring_stage

    project = _drawn(place)
    return lambda: scoring_stage.stage(project)


def caption_small(place: Place) -> Run:
    """The captioning stage with the embedded captioner; untrained, it writes its longest."""
    from partitions import write
    from scoring_stage import only_partition

    from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
    from recap_assets.captions import assets as captions
    from recap_assets.captions.kinds.trained import EmbeddedSource
    from recap_assets.graph.node import Step

    content = {"kind": "embedded", "model": "captioner", "device": "cpu"}
    spec = EmbeddedSource.model_validate(content | {"decoding": {"max_tokens": 15, "seed": 1}})
    project = _with_source(_drawn(place), "a", spec)
    step = Step(only_partition(project), fingerprint="bench")
    return lambda: write(captions.nodes(project), SYNTHETIC_CAPTIONS.key("a"), step)


def _with_source(project: "Project", name: str, spec: "Captioning | ImportSource") -> "Project":
    experiment = project.experiment.model_copy(update={"sources": {name: spec}})
    return replace(project, experiment=experiment)


def _drawn(place: Place) -> "Project":
    """A pool of the embedded world with an untrained scorer and captioner."""
    from captioning import small_captioner
    from scoring_stage import SCORER, open_setting

    from recap_assets.specs.models import SmallTower
    from recap_assets.training.engine.small_trainee import SmallTrainee
    from recap_assets.training.models.kinds.captioner.engine import TrainedCaptionerModel
    from recap_assets.world.writing import write_pool

    def make(made: Path) -> None:
        write_pool(made / "pool", 5, place.size(3_000), 1_000)
        texts = [f"a photo of thing {i}" for i in range(3_000)]
        SmallTrainee(SmallTower(), texts, (64, 64)).save(made / SCORER)
        TrainedCaptionerModel(*small_captioner(), []).save(made / "captioner")

    folder = place.made("drawn", make)
    spec = {"kind": "embedded", "model": SCORER, "device": "cpu"}
    project = open_setting(place.scratch, folder / "pool", spec)
    project.workspace.models.mkdir(parents=True)
    for name in (SCORER, "captioner"):
        project.workspace.model(name).symlink_to(folder / name)
    return project


def score_head(place: Place, *, rows: int, width: int = 768) -> Run:
    """The scores of a linear head for a partition of embeddings, computed and written."""
    import numpy as np
    import polars as pl
    from partitions import write
    from safetensors.numpy import save_file

    from recap_assets.artefacts.pool import RAW_POOL
    from recap_assets.artefacts.scores import IMAGE_EMBEDDINGS
    from recap_assets.graph.node import Step
    from recap_assets.graph.project import Project
    from recap_assets.scores.of_images.assets import nodes
    from recap_assets.storage.workspace import Workspace
    from recap_assets_tests.tiny import tiny_experiment

    n_rows, generator = place.size(rows), np.random.default_rng(0)
    weights = place.scratch / "head.safetensors"
    layer = generator.normal(size=(1, width)).astype("f4")
    save_file({"0.weight": layer, "0.bias": np.zeros(1, "f4")}, weights)
    head = {"kind": "embedding_head", "scorer": "clip", "weights": str(weights)}
    project = Project(tiny_experiment(image_scorers={"head": head}), Workspace(place.scratch, "w"))
    vectors = [one.tobytes() for one in generator.normal(size=(n_rows, width)).astype("<f2")]
    given = {"uid": _uids(n_rows), "shard": pl.zeros(n_rows), "embedding": pl.Series(vectors)}
    for table, at in ((RAW_POOL, {}), (IMAGE_EMBEDDINGS, {"scorer": "clip"})):
        others = {"status": "ok", "key": "", "text_note": "", "reject_reason": ""}
        columns = {n: given.get(n, pl.repeat(others.get(n), n_rows)) for n in table.unsliced}
        rows_of = pl.select(**columns).cast(dict(table.unsliced.items()))
        project.workspace.tables.replace(table, {**at, "partition": "00000"}, rows_of)
    step = Step("00000", asset="image_scores/head")
    return lambda: write(nodes(project), "image_scores/head", step)


def threshold(place: Place) -> Run:
    """The cut-off of the top 30 % of scores in files, exact, a file at a time."""
    from thresholds import Parts, streamed, write_parts

    n, part = place.size(200_000_000), 2_000_000
    folder = place.made("scores", lambda made: write_parts(made, n, part, quantised=False))
    return lambda: streamed(Parts(folder))


def subset_written(place: Place) -> Run:
    """The top 30 % of a pool decided, and their uids written as a subset file."""
    import selection

    from recap_assets.mixes.cutoffs import realise
    from recap_assets.mixes.score_view import ScoreView
    from recap_assets.specs.mixes import Mix

    pool = selection.pool_of(place.size(3_000_000))
    mix = Mix.model_validate(selection.MIXES["top 30 %"])
    cutoffs = realise(mix, "l14", lambda _: ScoreView(lambda _: [pool]))
    return lambda: selection.ours(mix, cutoffs, pool, place.scratch / "kept.npy")


def subset_read(place: Place) -> Run:
    """Subset files read, an array of numpy's and lines of text."""
    from recap_assets.artefacts.uids import read_subset, to_hex, write_subset

    def make(made: Path) -> None:
        uids = _uids(place.size(2_000_000))
        write_subset(made / "kept.npy", uids)
        (made / "kept.txt").write_text("\n".join(to_hex(uids)))

    folder = place.made("subsets", make)
    return lambda: [read_subset(folder / name) for name in ("kept.npy", "kept.txt")]


def import_(place: Place, *, ending: str, caption: str = PLAIN, rows: int) -> Run:
    """A file of third-party captions, read and put into buckets by key."""
    from imports import setting_of

    from recap_assets.captions.kinds.imported.assets import import_files
    from recap_assets.graph.node import Step

    project = setting_of(place.scratch, 1)
    spec = _drop(place, ending, caption, place.size(rows))
    return lambda: import_files(project, "blip2", spec, Step("", fingerprint="bench"))


def join(place: Place) -> Run:
    """The partitions of a pool, each joined with the import's captions of its images."""
    from imports import setting_of, write_pool
    from partitions import write

    from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
    from recap_assets.captions.kinds.imported import assets as imported
    from recap_assets.graph.node import Step

    n = place.size(600_000)
    spec = _drop(place, ".csv", PLAIN, n)
    project = _with_source(setting_of(place.scratch, JOINED_PARTITIONS), "blip2", spec)
    imported.import_files(project, "blip2", spec, Step("", fingerprint="bench"))
    write_pool(project, _uids(n)[: n // 2])
    # Before kinds were registered the nodes were those of all imports of a project.
    is_former = hasattr(imported, "nodes")
    nodes = imported.nodes(project) if is_former else imported.nodes_of(project, "blip2", spec)
    asset = SYNTHETIC_CAPTIONS.key("blip2")
    return lambda: [write(nodes, asset, Step(partition)) for partition in project.partitions]


def _drop(place: Place, ending: str, caption: str, n: int) -> "ImportSource":
    import polars as pl

    from recap_assets.captions.kinds.imported import ImportSource

    def make(made: Path) -> None:
        rows = pl.DataFrame(_uids(n).bin.encode("hex")).with_row_index("i")
        rows = rows.select("uid", caption=pl.format(caption, "i"))
        writes = {
            ".csv": rows.write_csv, ".jsonl": rows.write_ndjson, ".parquet": rows.write_parquet
        }  # fmt: skip
        writes[ending](made / f"drop{ending}")

    kind = "quoted" if caption == QUOTED else "plain"
    folder = place.made(f"import_{kind}{ending}_{n}", make)
    content = {"kind": "import", "by": "uid", "caption": "caption"}
    return ImportSource.model_validate(content | {"files": str(folder / f"drop{ending}")})


def _uids(n: int) -> "pl.Series":
    import numpy as np
    from imports import random_uids

    return random_uids(np.random.default_rng(0), n)


def plan_files(place: Place) -> Run:
    """What a plan asks of a table with many files: which partitions are there."""
    from deltalake import Schema
    from deltalake.transaction import create_table_with_add_actions

    from recap_assets.artefacts.scores import CLIP_SCORES
    from recap_assets.graph.content import StoredRows, TablesLook
    from recap_assets.storage.tables import TableStore

    n, sources = place.size(5_000), ("a", "b", "c", "d")

    def make(made: Path) -> None:
        where = made / CLIP_SCORES.name
        actions = [_added(where, source, i) for source in sources for i in range(n)]
        schema = Schema.from_arrow(CLIP_SCORES.empty().to_arrow().schema)
        create_table_with_add_actions(
            str(where), schema, actions, partition_by=[*CLIP_SCORES.slices]
        )

    tables = TableStore(str(place.made("files", make)))

    def run() -> None:
        look = TablesLook(tables)
        for source in sources:
            stored = StoredRows(tables, CLIP_SCORES, {"scorer": "clip", "source": source})
            assert len(stored.present(look)) == n

    return run


def _added(table: Path, source: str, n: int) -> "AddAction":
    from deltalake.transaction import AddAction

    values = {"scorer": "clip", "source": source, "partition": f"{n:05d}"}
    path = "/".join(f"{column}={value}" for column, value in values.items()) + "/part.parquet"
    (table / path).parent.mkdir(parents=True)
    (table / path).write_bytes(bytes(FILE_BYTES))
    told = json.dumps({"numRecords": 1})
    return AddAction(path, FILE_BYTES, values, 0, data_change=True, stats=told)


def read_tables(place: Place) -> Run:
    """Slices of a table read, one after the other."""
    from imports import RAW_POOL, setting_of, write_pool

    project = setting_of(place.scratch, place.size(40))
    write_pool(project, _uids(place.size(40) * 2_000))
    read = project.workspace.tables.read
    return lambda: [read(RAW_POOL, partition=partition) for partition in project.partitions]


def command(place: Place, *, words: tuple[str, ...]) -> Run:
    """A command of its own process, from its start to its end."""
    environment = {**os.environ, "RECAP_DATA": str(place.scratch / "data")}
    run = partial(subprocess.run, check=True, capture_output=True)
    return lambda: run([*RECAP, *words], env=environment, cwd=place.scratch)


WORKS: Mapping[str, Callable[[Place], Run]] = {
    "index, 256 pixels": partial(index, samples=4_000, side=256),
    "index, 64 pixels": partial(index, samples=5_000, side=64),
    "scoring, ViT-B-32": score_vit,
    "scoring, embedded": score_small,
    "captioning, embedded": caption_small,
    "scores of a head": partial(score_head, rows=100_000),
    "threshold": threshold,
    "subset file, written": subset_written,
    "subset file, read": subset_read,
    "import, CSV": partial(import_, ending=".csv", rows=1_200_000),
    "import, CSV with quotes": partial(import_, ending=".csv", caption=QUOTED, rows=1_200_000),
    "import, JSON lines": partial(import_, ending=".jsonl", rows=300_000),
    "import, Parquet": partial(import_, ending=".parquet", rows=1_200_000),
    "join of an import": join,
    "files of a plan": plan_files,
    "tables read": read_tables,
    "recap --help": partial(command, words=("--help",)),
    "recap plan": partial(command, words=("plan",)),
}
"""By what it is called in a table."""


def forget_installed() -> None:
    """Have the package on PYTHONPATH alone be imported, and fail where it lacks a module.

    Where this checkout is installed editable, its finder would give what a former commit of
    another layout lacks, and a mixture of both would be measured.
    """
    sys.meta_path[:] = [one for one in sys.meta_path if "__editable__" not in one.__module__]


def seconds(run: Run) -> float:
    """Processor seconds of this process, all its threads, and of those it waited for."""
    start = _used()
    run()
    return _used() - start


def _used() -> float:
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(sum(resource.getrusage(who)[:2]) for who in both)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", choices=list(WORKS))
    parser.add_argument("--inputs", type=Path, required=True, help="what all runs read")
    parser.add_argument("--share", type=float, default=1.0, help="of the usual size")
    args = parser.parse_args()
    forget_installed()
    with TemporaryDirectory() as scratch:
        run = WORKS[args.work](Place(args.inputs.absolute(), Path(scratch), args.share))
        print("ready", flush=True)
        for _ in sys.stdin:
            print(seconds(run), flush=True)


if __name__ == "__main__":
    main()
