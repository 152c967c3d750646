"""The contract of what trains: subclass `LauncherContract` in a module of tests.

It needs an experiment whose mix is built, such as one on the embedded world::

    class TestOurs(LauncherContract):
        @pytest.fixture(autouse=True)
        def given(self, built):
            self.project, self.mix = built, "raw"
"""

from pathlib import Path

import numpy as np

from recap_assets.engines.trained import load_trained_clip
from recap_assets.graph.node import Step
from recap_assets.graph.project import Project
from recap_assets.testing.inputs import marked_but_deciding, some_images
from recap_assets.training.assets import launcher_of
from recap_assets.training.kind import Trained

CURVE = ("step", "samples_seen", "loss", "learning_rate_factor")
ROUNDING = 1e-4


class LauncherContract:
    """What must hold of every launcher; its tests need `project` and `mix`."""

    project: Project
    """An experiment with the launcher, whose mix and what is read beside it are built."""

    mix: str

    def trained(self) -> Trained:
        """The mix trained on with the first seed."""
        launcher = launcher_of(self.project)
        step = Step(str(launcher.seeds[0]), fingerprint="contract")
        return launcher.train(self.project, self.mix, step)

    def test_what_it_saves_embeds_and_comes_again_if_it_repeats(self, tmp_path: Path) -> None:
        """A CLIP that evaluation can load; trained again, it embeds the same but for rounding."""
        found: list[np.ndarray] = []
        names = ("one", "two") if launcher_of(self.project).repeats else ("one",)
        for folder in (tmp_path / name for name in names):
            folder.mkdir()
            trained = self.trained()
            trained.save(folder)
            trained.clear()
            model = load_trained_clip(folder, 4)
            found.append(model.embed_images(some_images()))
            texts = model.embed_texts(["a dog", "two cats"])
            assert texts.shape == (2, model.embedding_dim)
        np.testing.assert_allclose(found[0], found[-1], atol=ROUNDING)

    def test_the_curve_says_what_was_seen(self) -> None:
        """It ends with all the samples, at most a step over, and has losses that are numbers."""
        trained = self.trained()
        trained.clear()
        assert tuple(trained.curve.columns) == CURVE
        assert trained.curve["loss"].is_finite().all()
        assert trained.curve["samples_seen"].is_sorted()
        assert trained.curve["samples_seen"][-1] >= launcher_of(self.project).samples_seen

    def test_what_it_reads_it_makes(self) -> None:
        """Each asset that it reads beside the pairs is one of its own."""
        launcher = launcher_of(self.project)
        made = {node.key for node in launcher.nodes(self.project)}
        assert set(launcher.reads(self.mix)) <= made

    def test_what_decides_is_what_has_no_mark(self) -> None:
        """Speed, places, secrets and prices are in no version."""
        assert not marked_but_deciding(launcher_of(self.project))
