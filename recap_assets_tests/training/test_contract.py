"""The public contract of launchers, kept by every registered kind and by one of somebody else."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import polars as pl
import pytest
import torch

from recap_assets.artefacts.evaluation import EVALUATION_RESULTS
from recap_assets.artefacts.training import TRAINING_CURVES
from recap_assets.graph.node import Step
from recap_assets.graph.project import Project
from recap_assets.specs.kinds import kinds_of
from recap_assets.specs.models import SmallTower
from recap_assets.testing.launchers import LauncherContract
from recap_assets.training.engine.small_trainee import SmallTrainee
from recap_assets.training.kind import Launcher, Trained
from recap_assets.training.loading import mix_pairs
from recap_assets_tests.registering import registered
from recap_assets_tests.threads import TEST_THREADS
from recap_assets_tests.tiny import EXPERIMENT, TOWER, Bench, tiny_experiment
from recap_assets_tests.training.kinds.torchrun.test_stage import CUT

HELD = {"in_process": "TestInProcess", "torchrun": "TestTorchrun"}
MIXES = {"mixes": {"raw": [{"use": "raw"}]}, "sources": {}, "report": {}}


def test_no_kind_is_left_out() -> None:
    assert HELD.keys() == kinds_of("launchers").keys()
    assert set(HELD.values()) <= globals().keys()


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(TEST_THREADS)
    yield
    torch.set_num_threads(before)


def built(folder: Path, training: Mapping[str, Any]) -> Bench:
    bench = Bench(folder, tiny_experiment(**MIXES, training=training))
    bench.build("world", "pool", "models", "scores", "mixes", "exports")
    return bench


class Unfinished(Launcher):
    """Draws weights, and trains them on nothing."""

    launcher: Literal["unfinished"]
    spread: float = 1.0
    on_gpu = False
    share_seen: ClassVar[float] = 1.0

    def train(self, project: Project, mix: str, step: Step) -> Trained:
        tower = SmallTower.model_validate(TOWER)
        torch.manual_seed(int(step.partition))
        texts = mix_pairs(project, mix, tower.image_size).texts
        seen = int(self.samples_seen * self.share_seen)
        row = {"step": 1, "samples_seen": seen, "loss": self.spread, "learning_rate_factor": 1.0}
        trainee = SmallTrainee(tower, texts, (tower.image_size, tower.image_size))
        return Trained(save=trainee.save, curve=pl.DataFrame([row]), facts={"pairs": len(texts)})


class Given(LauncherContract):
    training: Mapping[str, Any]
    _built: ClassVar[dict[str, Bench]] = {}

    @pytest.fixture(autouse=True)
    def given(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        name = type(self).__name__
        if name not in self._built:
            self._built[name] = built(tmp_path_factory.mktemp(name), self.training)
        self.project, self.mix = self._built[name].project, "raw"


class TestInProcess(Given):
    training = EXPERIMENT["training"]


@pytest.mark.long(reason="open_clip's trainer in processes of its own")
class TestTorchrun(Given):
    training = CUT


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    point = "unfinished = recap_assets_tests.training.test_contract:Unfinished"
    with registered(tmp_path_factory.mktemp("site"), "launchers", point):
        yield tmp_path_factory.mktemp("unfinished")


@pytest.mark.usefixtures("unfinished")
class TestUnfinished(Given):
    training = {"launcher": "unfinished"}  # noqa: RUF012


def test_another_packages_launcher_is_built_and_evaluated(unfinished: Path) -> None:
    bench = built(unfinished, {"launcher": "unfinished", "seeds": [3]})
    bench.build("training", "evaluation")
    tables = bench.project.workspace.tables
    assert tables.read(TRAINING_CURVES)["seed"].to_list() == [3]
    assert set(tables.read(EVALUATION_RESULTS)["task"]) == {"coarse", "retrieval"}
    node = bench.graph.nodes["trained_clip/raw"]
    assert node.pool == "cpu"
    assert "recap-others" in node.decides
    changed = {"launcher": "unfinished", "seeds": [3], "spread": 2.0}
    other = Bench(unfinished, tiny_experiment(**MIXES, training=changed))
    assert other.graph.nodes["trained_clip/raw"].code_version != node.code_version


def test_the_contract_fails_for_what_does_not_keep_it(
    unfinished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = LauncherContract()
    contract.project = built(unfinished, {"launcher": "unfinished"}).project
    contract.mix = "raw"
    monkeypatch.setattr(Unfinished, "share_seen", 0.5)
    with pytest.raises(AssertionError):
        contract.test_the_curve_says_what_was_seen()
    monkeypatch.setattr(Unfinished, "reads", lambda *_: iter(["exports/none"]))
    with pytest.raises(AssertionError):
        contract.test_what_it_reads_it_makes()
