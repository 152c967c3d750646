"""The contract of corpora: subclass `CorpusContract` in a module of tests."""

from pathlib import Path

import numpy as np

from recap_assets.graph.building import compute_and_write
from recap_assets.graph.stage import Project, Step
from recap_assets.shards.reading import CorpusSample
from recap_assets.specs.loading import parse_experiment
from recap_assets.storage.workspace import Workspace
from recap_assets.testing.inputs import marked_but_deciding
from recap_assets.testing.stored_pool import EXPERIMENT
from recap_assets.training.corpora.kind import CorpusKind

NAME = "learned"


class CorpusContract:
    """What must hold of every kind of corpus; its tests need `given` alone."""

    def given(self, folder: Path) -> CorpusKind:
        """A corpus of two images or more, whose files are put below a folder that is empty."""
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

    def test_a_model_rests_on_an_asset_or_on_what_lies_outside(self, tmp_path: Path) -> None:
        """Exactly one of them describes another content, and twice the same."""
        (tmp_path / "given").mkdir()
        corpus = self.given(tmp_path / "given")
        assert (corpus.made_by(NAME) is None) == (corpus.version() is not None)
        assert corpus.version() == corpus.version()

    def test_marks_hold(self, tmp_path: Path) -> None:
        """Speed, places and secrets are in no version."""
        assert not marked_but_deciding(self.given(tmp_path))


def read(project: Project) -> list[CorpusSample]:
    """All samples."""
    corpus = project.experiment.corpora[NAME]
    assert isinstance(corpus, CorpusKind)
    return list(corpus.read(NAME, project))
