"""The contract of exports: subclass `ExportContract` in a module of tests.

An export that keeps it writes every pair of a mix or says why not, the same bytes each time, and
leaves nothing behind::

    class TestLines(ExportContract):
        spec = LinesExport(to="lines", mix="m")

The mix is that of `exported_pool`: sixteen pairs of fifteen images, whose texts are the pool's own.
"""

import re
import shutil
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from recap_assets.artefacts import CLIP_SCORES, CURATED_MIXES, RAW_POOL, is_usable
from recap_assets.exports import assets
from recap_assets.exports.checksums import CHECKSUMS, MARK, check_folder, read_checksums
from recap_assets.exports.facts import CARD
from recap_assets.exports.finishing import tidy
from recap_assets.exports.kind import ShardedExport, WholeExport
from recap_assets.exports.once import Exported, export_once
from recap_assets.graph.building import compute_and_write
from recap_assets.graph.stage import Project, Step
from recap_assets.pool.assets import nodes as pool_nodes
from recap_assets.specs.base import Spec
from recap_assets.specs.loading import parse_experiment
from recap_assets.specs.sources import RAW
from recap_assets.storage.folders import Folder
from recap_assets.storage.workspace import Workspace
from recap_assets.testing.inputs import marked_but_deciding
from recap_assets.testing.stored_pool import EXPERIMENT, uid_of
from recap_assets.testing.tars import write_tars

MIX = "m"
IN_ORDER = (tuple(range(8)), tuple(range(8, 15)))
SHUFFLED = ((14, 3, 7, 9), (0, 1, 2, 4, 5, 6, 8), (13, 10, 11, 12))
TWICE = 5
"""The image that has two pairs, the second of them of another weight."""

N_PAIRS = 16
SCORE = pl.lit(0.25, pl.Float32)
SAFE = re.compile(r"[A-Za-z0-9_.+-]+(/[A-Za-z0-9_.+-]+)*")
"""A path of which no part comes from the pool."""

REASON = re.compile(r"[a-z][a-z0-9_]*")


def exported_pool(
    folder: Path,
    parts: Sequence[Sequence[int]] = IN_ORDER,
    exports: Mapping[str, Spec] | None = None,
) -> Project:
    """A pool of small images in tars, indexed, with a mix `m` of all of them.

    Args:
        folder: An empty folder.
        parts: Numbers of the samples of each pool partition.
        exports: Exports that the experiment declares.
    """
    filled = _filled(tuple(map(tuple, parts)))
    shutil.copytree(filled.name, folder, dirs_exist_ok=True)
    return _scanned(folder, exports or {})


@cache
def _filled(parts: tuple[tuple[int, ...], ...]) -> TemporaryDirectory[str]:
    """The tars and tables of a pool, made once in a process: copies cost far less."""
    filled = TemporaryDirectory(prefix="recap_exported_pool_")
    write_tars(Path(filled.name) / "shards", parts)
    project = _scanned(Path(filled.name), {})
    for partition in project.partitions:
        _fill(project, partition)
    return filled


def _scanned(folder: Path, exports: Mapping[str, Spec]) -> Project:
    pool = {"kind": "webdataset", "shards": str(folder / "shards")}
    rules = [{"use": "raw"}, {"use": "raw", "weight": 3.0}]
    mixes = {MIX: {"combine": "all", "rules": rules}}
    experiment = parse_experiment({**EXPERIMENT, "pool": pool, "mixes": mixes})
    experiment = experiment.model_copy(update={"exports": dict(exports)})
    project = Project(experiment, Workspace(folder / "data", experiment.name))
    project.scan()
    return project


def _fill(project: Project, partition: str) -> None:
    tables = project.workspace.tables
    (indexed,) = pool_nodes(project)
    compute_and_write(indexed, Step(partition, asset=indexed.key))
    images = tables.read(RAW_POOL, partition=partition).filter(is_usable())
    at = {"scorer": "clip", "source": RAW, "partition": partition}
    scores = images.select("shard", "uid", candidate=pl.lit(0, pl.Int16), score=SCORE)
    tables.replace(CLIP_SCORES, at, scores)
    write_pairs(project, partition, _pairs(images))


def _pairs(images: pl.DataFrame) -> pl.DataFrame:
    pairs = images.select(
        "shard", "uid", "text", source=pl.lit(RAW), candidate=pl.lit(0, pl.Int16), score=SCORE,
        weight=pl.lit(1.0, pl.Float32), rule=pl.lit(0, pl.Int16), image_hash=pl.lit(0, pl.Int64),
    )  # fmt: skip
    again = pairs.filter(pl.col("uid") == uid_of(TWICE)).with_columns(
        weight=pl.lit(3.0, pl.Float32), rule=pl.lit(1, pl.Int16)
    )
    return pl.concat([pairs, again])


def write_pairs(project: Project, partition: str, pairs: pl.DataFrame) -> None:
    """Replace the pairs of one partition of the mix."""
    project.workspace.tables.replace(CURATED_MIXES, {"mix": MIX, "partition": partition}, pairs)


class ExportContract:
    """What must hold of every kind of export; its tests need `spec` alone, with the mix `m`."""

    spec: ShardedExport | WholeExport

    def written(self, project: Project, folder: Path) -> Exported:
        """The export of the mix as it is now, in a folder."""
        return export_once(project, self.spec.model_copy(update={"folder": str(folder)}))

    def test_each_pair_is_written_or_has_a_reason(self, tmp_path: Path) -> None:
        """Nothing is lost, and each reason is a word whose meaning people can read."""
        held = self.written(exported_pool(tmp_path), tmp_path / "out").written.holdings()
        assert held.n_samples > 0
        assert held.n_pairs + sum(held.left_out.values()) == N_PAIRS
        meanings = self.spec.reasons()
        assert all(REASON.fullmatch(word) and meaning for word, meaning in meanings.items())
        assert held.left_out.keys() <= meanings.keys()

    def test_the_same_mix_gives_the_same_bytes(self, tmp_path: Path) -> None:
        """Two exports have the same checksums, wherever they are."""
        project = exported_pool(tmp_path)
        first, second = (self.written(project, tmp_path / name).folder for name in ("a", "b"))
        assert read_checksums(first) == read_checksums(second)

    def test_shards_of_the_pool_change_no_sample(self, tmp_path: Path) -> None:
        """What is written and what is left out is the same for any partitions and any order."""
        one, other = (
            _told(self.written(exported_pool(tmp_path / name, parts), tmp_path / name / "out"))
            for name, parts in (("in_order", IN_ORDER), ("shuffled", SHUFFLED))
        )
        assert one == other

    def test_a_shard_that_is_there_is_not_written_again(self, tmp_path: Path) -> None:
        """So an export that was killed continues, and one that is there is soon up to date."""
        if isinstance(self.spec, WholeExport):
            return
        project, out = exported_pool(tmp_path), tmp_path / "out"
        shards = [f.name for r in self.written(project, out).written.shards for f in r.files]
        before = {name: (out / name).stat().st_mtime_ns for name in shards}
        self.written(project, out)
        assert {name: (out / name).stat().st_mtime_ns for name in shards} == before

    def test_what_leaves_the_mix_leaves_the_folder(self, tmp_path: Path) -> None:
        """A smaller mix leaves no file behind that is not in the list of checksums."""
        project, out = exported_pool(tmp_path), tmp_path / "out"
        before = self.written(project, out).written.holdings().n_samples
        last = list(project.partitions)[-1]
        none = pl.DataFrame(schema=CURATED_MIXES.unsliced)
        write_pairs(project, last, none)
        after = self.written(project, out)
        assert 0 < after.written.holdings().n_samples < before
        assert not check_folder(after.folder).problems

    def test_it_knows_all_files_as_its_own(self, tmp_path: Path) -> None:
        """Where another form is exported to the same folder, `file_patterns` clear it."""
        folder = self.written(exported_pool(tmp_path), tmp_path / "out").folder
        assert all(SAFE.fullmatch(name) for name in folder.names())
        tidy(folder, type(self.spec), ())
        assert set(folder.names()) == {CARD, CHECKSUMS, MARK}

    def test_the_card_says_how_it_is_read(self, tmp_path: Path) -> None:
        """And the files beside it are those that are named."""
        folder = self.written(exported_pool(tmp_path), tmp_path / "out").folder
        example = self.spec.how_to_read("FOLDER")
        assert "FOLDER" in example
        assert example.encode() in (folder.read(CARD) or b"")
        assert set(self.spec.names_beside()) <= set(folder.names())

    def test_it_is_built_as_assets(self, tmp_path: Path) -> None:
        """What is stored is what was reported of it, and the folder is whole."""
        project = exported_pool(tmp_path, exports={"e": self.spec})
        nodes = assets.nodes(project)
        assert nodes
        for node in nodes:
            parts = list(project.partitions) if node.dimension == "pool" else [""]
            for partition in parts:
                outcome = compute_and_write(node, Step(partition, asset=node.key))
                assert node.stored_version(partition, {}) == outcome.data_version
        assert not check_folder(Folder(str(project.workspace.exports / "e"))).problems

    def test_marks_hold(self) -> None:
        """Speed, places and secrets are in no version."""
        assert not marked_but_deciding(self.spec)


def _told(exported: Exported) -> tuple[int, int, Mapping[str, int], Mapping[str, int]]:
    held = exported.written.holdings()
    return held.n_samples, held.n_pairs, dict(held.by_source), dict(held.left_out)
