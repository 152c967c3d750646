"""The public contracts of pools and corpora, kept by every kind of ours and not by broken ones."""

import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import polars as pl
import pytest

from recap_assets.graph.project import Project
from recap_assets.pool.kind import PoolKind
from recap_assets.pool.kinds.embedded import EmbeddedPool
from recap_assets.pool.kinds.folder import FolderPool
from recap_assets.pool.kinds.urls import UrlPool
from recap_assets.pool.kinds.webdataset import WebDatasetPool
from recap_assets.shards.manifest import Shard
from recap_assets.shards.pools import EncodedImages, ImagePlace, PoolProject
from recap_assets.shards.sample_rows import SampleRow, settle_uid, take_image
from recap_assets.specs.kinds import kinds_of
from recap_assets.testing.corpora import NAME, CorpusContract, TextCorpusContract
from recap_assets.testing.pools import PoolContract
from recap_assets.testing.tars import encoded_image, write_tars
from recap_assets.training.corpora.kinds.embedded import EmbeddedCorpus
from recap_assets.training.corpora.kinds.mix import MixCorpus
from recap_assets.training.corpora.kinds.texts import TextsCorpus
from recap_assets.training.corpora.kinds.webdataset import WebDatasetCorpus
from recap_assets_tests.pool.kinds.urls.fetched import quick
from recap_assets_tests.pool.kinds.urls.web import Web, served
from recap_assets_tests.tiny import EXPERIMENT, Bench, tiny_experiment

PARTS = (range(4), range(4, 7))


class TestWebDataset(PoolContract):
    def given(self, folder: Path) -> WebDatasetPool:
        write_tars(folder / "shards", PARTS)
        return WebDatasetPool(kind="webdataset", shards=str(folder / "shards"))


class TestEmbedded(PoolContract):
    def given(self, folder: Path) -> EmbeddedPool:  # noqa: ARG002
        return EmbeddedPool(kind="embedded", samples=5, samples_per_shard=3)


class TestFolder(PoolContract):
    def given(self, folder: Path) -> FolderPool:
        (folder / "images").mkdir()
        names = [f"{number}.{encoded_image(number)[0]}" for number in range(5)]
        for number, name in enumerate(names):
            (folder / "images" / name).write_bytes(encoded_image(number)[1])
        rows = {"image": [*names, "gone.jpg"], "text": [f"text {name}" for name in [*names, ""]]}
        pl.DataFrame(rows).write_csv(folder / "texts.csv")
        return FolderPool.model_validate({
            "kind": "folder", "images": str(folder / "images"), "texts": str(folder / "texts.csv"),
            "samples_per_shard": 3,
        })  # fmt: skip


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with served() as web:
        yield web


@pytest.fixture(scope="module")
def fetched(web: Web, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of URLs whose shards are fetched."""
    folder = tmp_path_factory.mktemp("fetched")
    contract = PoolContract()
    urls = {"url": [web.of(f"image/{seed}") for seed in range(4)], "text": ["a text"] * 4}

    def given(at: Path) -> UrlPool:
        pl.DataFrame(urls).write_parquet(at / "list.parquet")
        return quick(urls=str(at / "list.parquet"), samples_per_shard=2)

    contract.given = given  # type: ignore[method-assign]
    contract.project(folder)
    return folder


class TestUrls(PoolContract):
    @pytest.fixture(autouse=True)
    def here(self, fetched: Path, tmp_path: Path) -> None:
        """A copy, which finds that all is fetched."""
        shutil.copytree(fetched / "data", tmp_path / "data")
        self.list = fetched / "given" / "list.parquet"

    def given(self, folder: Path) -> UrlPool:  # noqa: ARG002
        return quick(urls=str(self.list), samples_per_shard=2)


def test_each_kind_is_held() -> None:
    assert {name for name, kind in kinds_of("pools").items() if kind.is_ours} == {
        "embedded", "webdataset", "folder", "urls",
    }  # fmt: skip
    corpora = {name for name, kind in kinds_of("corpora").items() if kind.is_ours}
    assert corpora == {"embedded", "webdataset", "mix", "texts"}


class TestEmbeddedCorpus(CorpusContract):
    def given(self, folder: Path) -> EmbeddedCorpus:  # noqa: ARG002
        return EmbeddedCorpus(kind="embedded", style="broad", samples=3, captions_per_image=2)


class TestWebDatasetCorpus(CorpusContract):
    def given(self, folder: Path) -> WebDatasetCorpus:
        write_tars(folder / "tars", PARTS)
        return WebDatasetCorpus(kind="webdataset", shards=str(folder / "tars"))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """An experiment with a mix of its pool's texts, built."""
    corpora = {**EXPERIMENT["corpora"], NAME: {"kind": "mix", "mix": "raw"}}
    models = {"scorer": EXPERIMENT["models"]["scorer"]}
    changes = {"mixes": {"raw": [{"use": "raw"}]}, "sources": {}, "report": {}, "models": models}
    bench = Bench(tmp_path_factory.mktemp("mixed"), tiny_experiment(**changes, corpora=corpora))
    bench.build("world", "pool", "models", "scores", "mixes")
    return bench.project


class TestMixCorpus(CorpusContract):
    def given(self, folder: Path) -> MixCorpus:  # noqa: ARG002
        return MixCorpus(kind="mix", mix="raw")

    @pytest.fixture(autouse=True)
    def built(self, mixed: Project) -> None:
        self.mixed = mixed

    def project(self, folder: Path) -> Project:  # noqa: ARG002
        return self.mixed


class TestTextsCorpus(TextCorpusContract):
    def given(self, folder: Path) -> TextsCorpus:
        rows = {"web": ["a", "", "b"], "caption": ["c", "d", ""], "both": ["a c", "d", "b"]}
        pl.DataFrame(rows).write_parquet(folder / "rows.parquet")
        reads = {"raw": "web", "a": "caption"}
        files = str(folder / "rows.parquet")
        return TextsCorpus(kind="texts", files=files, reads=reads, writes="both")


class TestDrawnTexts(TextCorpusContract):
    def given(self, folder: Path) -> TextsCorpus:  # noqa: ARG002
        return TextsCorpus(
            kind="texts", files="embedded", reads={"raw": "raw"}, writes="fused", samples=4
        )


class Memory(PoolKind):
    """Images that are nowhere but in memory, three in a shard."""

    kind: Literal["memory"] = "memory"

    def known_shards(self, project: PoolProject) -> Mapping[int, Shard]:  # noqa: ARG002
        return {number: Shard(f"m{number}", "", 0, "v", number) for number in range(2)}

    def index(self, shard: Shard, uids: Mapping[str, bytes]) -> Iterable[SampleRow]:  # noqa: ARG002
        rows = [self.row(number) for number in range(3 * shard.number, 3 * shard.number + 3)]
        for row in rows:
            settle_uid(row, shard, 0, set())
        return rows

    def row(self, number: int) -> SampleRow:
        data = encoded_image(number)[1]
        row = SampleRow(str(number), offset=0, size=len(data), text="a text")
        take_image(row, data, self.limits)
        return row

    def open_images(self, shards: Mapping[int, Shard], *, strict: bool) -> EncodedImages:  # noqa: ARG002
        return Held()


class Held:
    def fetch(self, shard: int, places: Sequence[ImagePlace]) -> Sequence[bytes | None]:  # noqa: ARG002
        return [self.data(place) for place in places]

    def data(self, place: ImagePlace) -> bytes | None:
        return encoded_image(int(place.key))[1] if place.key.isdigit() else None

    def close(self) -> None:
        pass


class TestMemory(PoolContract):
    def given(self, folder: Path) -> Memory:  # noqa: ARG002
        return Memory()


class Renumbering(Memory):
    """Gives a shard another number than the one under which it is known."""

    def known_shards(self, project: PoolProject) -> Mapping[int, Shard]:
        return {number + 1: shard for number, shard in super().known_shards(project).items()}


class Wordless(Memory):
    """Sets aside without a word that can be counted."""

    def row(self, number: int) -> SampleRow:
        row = super().row(number)
        if number == 1:
            row.reject("No good!")
        return row


class Drawing(Memory):
    """Draws a new text each time."""

    def row(self, number: int) -> SampleRow:
        row = super().row(number)
        row.text = secrets.token_hex()
        return row


class InOrder(Held):
    """Counts on being asked in order."""

    n = 0

    def data(self, place: ImagePlace) -> bytes | None:
        self.n += 1
        return encoded_image(self.n - 1)[1] if place.key.isdigit() else None


class Ordered(Memory):
    def open_images(self, shards: Mapping[int, Shard], *, strict: bool) -> EncodedImages:  # noqa: ARG002
        return InOrder()


class Raising(Held):
    """Stops at what is gone."""

    def data(self, place: ImagePlace) -> bytes | None:
        return encoded_image(int(place.key))[1]


class Strict(Memory):
    def open_images(self, shards: Mapping[int, Shard], *, strict: bool) -> EncodedImages:  # noqa: ARG002
        return Raising()


BROKEN: Sequence[tuple[type[Memory], str]] = (
    (Renumbering, "test_shards_keep_their_numbers"),
    (Wordless, "test_each_sample_is_good_or_has_a_reason"),
    (Drawing, "test_a_shard_that_is_indexed_again_is_the_same"),
    (Ordered, "test_images_are_those_of_the_index_in_any_order"),
    (Strict, "test_what_is_gone_is_no_image"),
)


@pytest.mark.parametrize(("kind", "test"), BROKEN, ids=lambda part: getattr(part, "__name__", part))
def test_a_broken_kind_fails(kind: type[Memory], test: str, tmp_path: Path) -> None:
    contract = PoolContract()
    contract.given = lambda _folder: kind()  # type: ignore[method-assign]
    with pytest.raises((AssertionError, ValueError)):
        getattr(contract, test)(tmp_path)
