"""The contracts of corpora: subclass `CorpusContract` or `TextCorpusContract` in a test module."""

from pathlib import Path
from typing import TypeVar

import numpy as np

from recap_assets.graph.building import compute_and_write
from recap_assets.graph.stage import Project, Step
from recap_assets.shards.reading import CorpusSample
from recap_assets.specs.loading import parse_experiment
from recap_assets.storage.workspace import Workspace
from recap_assets.testing.inputs import marked_but_deciding
from recap_assets.testing.stored_pool import EXPERIMENT
from recap_assets.training.corpora.kind import CorpusKind, ImageCorpus, TextCorpus

T = TypeVar("T")

NAME = "learned"


class AnyCorpusContract:
    """What must hold of every kind of corpus; its tests need `given` alone."""

    def given(self, folder: Path) -> CorpusKind:
        """A corpus of two samples or more, whose files are put below a folder that is empty."""
        raise NotImplementedError

    def project(self, folder: Path) -> Project:
        """An experiment with the corpus, which is made where assets make it."""
        (folder / "given").mkdir()
        corpus = self.given(folder / "given")
        pool = {"kind": "webdataset", "shards": str(folder)}
        experiment = parse_experiment({**EXPERIMENT, "pool": pool})
        experiment = experiment.model_copy(update={"corpora": {NAME: corpus}})
        project = Project(experiment, Workspace(folder / "data", experiment.name))
        for node in corpus.nodes(NAME, project):
            compute_and_write(node, Step("", asset=node.key))
        return project

    def test_a_model_rests_on_an_asset_or_on_what_lies_outside(self, tmp_path: Path) -> None:
        """Exactly one of them describes another content, and twice the same."""
        (tmp_path / "given").mkdir()
        corpus = self.given(tmp_path / "given")
        assert (corpus.made_by(NAME) is None) == (corpus.version() is not None)
        assert corpus.version() == corpus.version()

    def test_marks_hold(self, tmp_path: Path) -> None:
        """Speed, places and secrets are in no version."""
        assert not marked_but_deciding(self.given(tmp_path))


class CorpusContract(AnyCorpusContract):
    """What must hold of every kind of corpus with images."""

    def test_each_image_has_captions(self, tmp_path: Path) -> None:
        """Images are RGB arrays of bytes, and no caption is empty."""
        project = self.project(tmp_path)
        found = read(project)
        assert len(found) > 1
        for sample in found:
            assert (sample.image.dtype, sample.image.ndim, sample.image.shape[2]) == ("uint8", 3, 3)
            assert sample.captions
            assert all(caption.strip() for caption in sample.captions)

    def test_read_again_it_is_the_same(self, tmp_path: Path) -> None:
        """In the same order: what a model has seen is a function of it."""
        project = self.project(tmp_path)
        for one, other in zip(read(project), read(project), strict=True):
            assert (one.key, one.captions) == (other.key, other.captions)
            assert np.array_equal(one.image, other.image)

    def test_its_pairs_are_what_is_read(self, tmp_path: Path) -> None:
        """A text or more an image, of the side asked for."""
        project = self.project(tmp_path)
        found = read(project)
        pairs = of(project, ImageCorpus).pairs(NAME, project, 32)
        assert pairs.images.shape == (len(found), 32, 32, 3)
        assert sorted(pairs.texts) == sorted(text for one in found for text in one.captions)


class TextCorpusContract(AnyCorpusContract):
    """What must hold of every kind of corpus of texts."""

    def test_each_row_has_its_inputs_and_an_output(self, tmp_path: Path) -> None:
        """As many inputs as there are names, not all of them empty."""
        project = self.project(tmp_path)
        corpus = of(project, TextCorpus)
        rows = list(corpus.rows(NAME, project))
        assert len(rows) > 1
        for row in rows:
            assert len(row.inputs) == len(corpus.inputs)
            assert any(row.inputs)
            assert row.output.strip()

    def test_read_again_it_is_the_same(self, tmp_path: Path) -> None:
        """In the same order."""
        project = self.project(tmp_path)
        corpus = of(project, TextCorpus)
        assert list(corpus.rows(NAME, project)) == list(corpus.rows(NAME, project))


def of(project: Project, kind: type[T]) -> T:
    """The corpus."""
    corpus = project.experiment.corpora[NAME]
    assert isinstance(corpus, kind)
    return corpus


def read(project: Project) -> list[CorpusSample]:
    """All samples."""
    return list(of(project, ImageCorpus).read(NAME, project))
